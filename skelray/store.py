"""Encoders, scores and checkpoints by content id, on a local folder or any pyarrow file system.

    <root>/<trial id>/spec.json               what the id stands for
                      checkpoint.pt           the latest whole training state, and the history up to it
                      checkpoint.json         that history alone, for tables
                      encoder-<epochs>.pt     query encoder and projector at the end of a trial of so many epochs
                      encoder-<epochs>.json   its history alone
                      <epochs>-<evaluation>.npz / .json   scores with labels, and the figures from them; .png: a picture
                      failure-<epochs>.json   why the last attempt at so many epochs failed; gone once one succeeds
    <root>/weights/<digest>.pt                encoders imported from elsewhere

A file is written beside its place and moved there, so a reader or a killed writer never leaves half of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import fs

from skelray.checks import UserError
from skelray.packed import packed, unpacked
from skelray.trial import digest

STALE = 3600.0  # seconds after which a temporary file has no writer


class StoreError(OSError):
    """The store cannot be read or written; one sentence."""


class Store:
    """root: a local path or a URI that pyarrow knows (s3://bucket/prefix, gs://...)."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        if "://" in self.root:
            try:
                self.files, self.path = fs.FileSystem.from_uri(self.root)
            except ValueError as error:  # ArrowInvalid
                raise UserError(f"store {self.root!r}: {error}") from error
            if not self.path.strip("/"):
                raise UserError(f"store {self.root!r}: a URI names a folder, too, as in s3://bucket/prefix")
        else:
            self.root = self.path = str(Path(root).absolute())
            self.files = fs.LocalFileSystem()
        self.local = isinstance(self.files, fs.LocalFileSystem)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self.files.open_input_stream(f"{self.path}/{name}") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file at once. Raises StoreError where it cannot; what was there stays."""
        folder, _, file = f"{self.path}/{name}".rpartition("/")
        temporary = f"{folder}/.{file}.{uuid.uuid4().hex}.tmp"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(temporary) as stream:
                stream.write(content)
            self.files.move(temporary, f"{folder}/{file}")
        except OSError as error:
            with contextlib.suppress(OSError):
                self.files.delete_file(temporary)
            why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise StoreError(
                f"{self.root}/{name} was not written: {why}; the run goes on from here when started again"
            ) from error

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.files.delete_file(f"{self.path}/{name}")

    def names(self, folder: str) -> list[str]:
        """The files in a folder, sorted."""
        selector = fs.FileSelector(f"{self.path}/{folder}", allow_not_found=True)
        return sorted(info.base_name for info in self.files.get_file_info(selector) if info.is_file)

    def folders(self) -> list[str]:
        """The folders of the store, sorted: the ids of trials, and a few others."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        return sorted(info.base_name for info in self.files.get_file_info(selector) if not info.is_file)

    def read_json(self, name: str) -> Any:
        """None where there is none. Raises StoreError where it is damaged: what it said is not for us to make up."""
        content = self.read(name)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            raise StoreError(f"{self.root}/{name} is damaged ({error}); delete it to have it made again") from error

    def write_json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content, indent=1).encode())

    @contextlib.contextmanager
    def claim(self, name: str, wait: bool = True) -> Iterator[None]:
        """Held by one process at a time, released when it ends however it ends. Local stores only.

        Others wait, or get a StoreError.
        """
        if not self.local:
            yield
            return
        folder = Path(self.path) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = open(folder / ".lock", "a")  # noqa: SIM115 - closed below
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to: {error}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(f"{folder} is in use by another run of this study: wait until it has ended") from None
            for leftover in folder.glob(".*.tmp"):  # of a writer that was killed; a live one takes no hour
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - leftover.stat().st_mtime > STALE:
                        leftover.unlink()
            yield

    def save_weights(self, digest: str, content: dict[str, Any]) -> None:
        """Keeps an encoder from elsewhere. content: as for StoredTrial.save_encoder."""
        self.write(f"weights/{digest}.pt", packed(content))

    def weights(self, digest: str) -> dict[str, Any]:
        """Raises UserError where there are none of this digest."""
        content = unpacked(self.read(f"weights/{digest}.pt"))
        if content is None:
            raise UserError(f"{self.root} has no weights {digest}: `skelray import-weights` puts them there")
        return content

    def trial(self, id: str) -> StoredTrial:
        return StoredTrial(self, id)


class StoredTrial:
    """What the store holds of one trial."""

    def __init__(self, store: Store, id: str) -> None:
        self.store, self.id = store, id

    def claim(self) -> contextlib.AbstractContextManager[None]:
        return self.store.claim(self.id)

    def save_state(self, state: dict[str, Any]) -> None:
        self.store.write_json(f"{self.id}/checkpoint.json", state.get("history", []))  # first: never behind the state
        self.store.write(f"{self.id}/checkpoint.pt", packed(state))

    def state(self) -> dict[str, Any] | None:
        """The latest training state; None where there is none or it cannot be read."""
        return unpacked(self.store.read(f"{self.id}/checkpoint.pt"))

    def save_encoder(self, epoch: int, content: dict[str, Any]) -> None:
        """content: the ``model`` state of the query branch, the ``masks`` of its streams, and the ``history`` up to now."""
        self.store.write_json(f"{self.id}/encoder-{epoch}.json", content.get("history", []))
        self.store.write(f"{self.id}/encoder-{epoch}.pt", packed(content))

    def encoder(self, epoch: int) -> dict[str, Any] | None:
        return unpacked(self.store.read(f"{self.id}/encoder-{epoch}.pt"))

    def history(self, epochs: int) -> list[list[Any]]:
        """(epoch, metrics, seconds) of every epoch of a trial of so many epochs, or as far as it got."""
        for file, content in ((f"encoder-{epochs}", lambda: self.encoder(epochs)), ("checkpoint", self.state)):
            history = self.store.read_json(f"{self.id}/{file}.json")
            if history is None and (found := content()) is not None:  # its history was deleted
                history = found["history"]
            if history is not None:
                return history
        return []

    def has_encoder(self, epoch: int) -> bool:
        return f"encoder-{epoch}.pt" in self.store.names(self.id)

    def save_scores(
        self,
        epoch: int,
        evaluation: Any,
        arrays: dict[str, np.ndarray],
        result: dict[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Scores and pictures first, then the figures: where there are figures there are scores."""
        name = f"{self.id}/{evaluated(epoch, evaluation)}"
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        self.store.write(f"{name}.npz", buffer.getvalue())
        for ending, content in (files or {}).items():
            self.store.write(f"{name}.{ending}", content)
        self.store.write_json(f"{name}.json", result)

    def result(self, epoch: int, evaluation: Any) -> dict[str, Any] | None:
        """The figures of an evaluation, in canonical form, of the encoder at an epoch."""
        return self.store.read_json(f"{self.id}/{evaluated(epoch, evaluation)}.json")

    def scores(self, epoch: int, evaluation: Any) -> dict[str, np.ndarray] | None:
        return self.arrays(evaluated(epoch, evaluation))

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Scores by the name of their file, as ``evaluated`` gives it. Raises StoreError where they are damaged."""
        content = self.store.read(f"{self.id}/{name}.npz")
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            file = f"{self.store.root}/{self.id}/{name}"
            raise StoreError(f"{file}.npz is damaged ({error}); delete it and {name}.json to have it made again") from error

    def picture(self, epoch: int, evaluation: Any, ending: str) -> bytes | None:
        return self.store.read(f"{self.id}/{evaluated(epoch, evaluation)}.{ending}")

    def save_failure(self, epochs: int, failure: dict[str, Any]) -> None:
        content = {**failure, "time": time.time(), "process": os.getpid()}
        self.store.write_json(f"{self.id}/failure-{epochs}.json", content)

    def failure(self, epochs: int) -> dict[str, Any] | None:
        return self.store.read_json(f"{self.id}/failure-{epochs}.json")

    def failure_of(self, epochs: int, evaluation: Any) -> dict[str, Any] | None:
        """Why an evaluation, in canonical form, has no figures: its own failure, or that of the whole trial."""
        failure = self.failure(epochs)
        if failure is None or "evaluations" not in failure:
            return failure
        own = failure["evaluations"].get(evaluated(epochs, evaluation))
        return None if own is None else {**own, "time": failure["time"]}

    def clear_failure(self, epochs: int) -> None:
        self.store.remove(f"{self.id}/failure-{epochs}.json")

    def save_spec(self, spec: dict[str, Any]) -> None:
        if self.store.read(f"{self.id}/spec.json") is None:
            self.store.write_json(f"{self.id}/spec.json", spec)


def evaluated(epoch: int, evaluation: Any) -> str:
    """How an evaluation, in canonical form, of the encoder at an epoch is called in a trial's folder."""
    return f"{epoch}-{digest(evaluation)}"
