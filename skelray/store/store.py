"""Encoders, scores and checkpoints by content id, on a local folder or any pyarrow file system.

    <root>/<trial id>/spec.json               what the id stands for
                      checkpoint.pt           the latest whole training state, and the history up to it
                      checkpoint.json         that history alone, for tables
                      encoder-<epochs>.pt     query encoder and projector at the end of a trial of so many epochs
                      encoder-<epochs>.json   its history alone
                      <epochs>-<evaluation>.npz / .json   scores with labels, and the figures from them; .png: a picture
                      checkpoint-<epochs>.pt  the same of a shorter trial that began after a longer one had ended
                      failure-<epochs>.json   why the last attempt at so many epochs failed; gone once one succeeds
    <root>/weights/<digest>.pt                encoders imported from elsewhere

A file is written beside its place and moved there, so a reader or a killed writer never leaves half of one. One that was
damaged from outside is as good as none: it is kept aside as <name>.damaged, which is logged, and made again.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import fs

from skelray.checks import UserError
from skelray.identity.canonical import digest
from skelray.store import lock, records
from skelray.store.checksum import dump_with_checksum, load_with_checksum

STALE = 3600.0  # seconds after which a temporary file has no writer

log = logging.getLogger("skelray")


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
        """The content of a file; None where there is none, or a folder, which is set aside."""
        try:
            with self.files.open_input_stream(f"{self.path}/{name}") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except OSError:
            if not self._is_folder(name):
                raise
            self.set_aside(name, "it is a folder")
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file at once. Raises StoreError where it cannot; what was there stays."""
        folder, _, file = f"{self.path}/{name}".rpartition("/")
        temporary = f"{folder}/.{file}.{uuid.uuid4().hex}.tmp"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(temporary) as stream:
                stream.write(content)
            if self._is_folder(name):
                self.set_aside(name, "it is a folder")
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
        return sorted(info.base_name for info in self._listed(folder) if info.is_file)

    def folders(self) -> list[str]:
        """The folders of the store, sorted: the ids of trials, and a few others."""
        return sorted(info.base_name for info in self._listed("") if not info.is_file)

    def _listed(self, folder: str) -> list[fs.FileInfo]:
        return self.files.get_file_info(fs.FileSelector(f"{self.path}/{folder}".rstrip("/"), allow_not_found=True))

    def _is_folder(self, name: str) -> bool:
        return self.files.get_file_info(f"{self.path}/{name}").type == fs.FileType.Directory

    def read_json(self, name: str, fits: Callable[[Any], bool] = lambda content: True) -> Any:
        """None where there is none, or one that is damaged, which is set aside. fits: whether it has the right shape."""
        content = self.read(name)
        if content is None:
            return None
        try:
            found = json.loads(content)
            if fits(found):
                return found
            why = "its content is of another kind"
        except (ValueError, RecursionError) as error:
            why = str(error) or type(error).__name__
        self.set_aside(name, why)
        return None

    def write_json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content, indent=1).encode())

    def read_packed(self, name: str, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        """Tensors and plain containers, as ``read_json`` reads JSON."""
        content = self.read(name)
        if content is None:
            return None
        found = load_with_checksum(content)
        if found is not None and fits(found):
            return found
        self.set_aside(name, "its content is not what was written")
        return None

    def set_aside(self, name: str, why: str) -> None:
        """Keeps a damaged file as NAME.damaged, or with a number, so that it is made again; logs it in one line."""
        folder, _, file = name.rpartition("/")
        there = [info for info in self._listed(folder) if info.base_name.startswith(f"{file}.damaged")]
        aside = f"{file}.damaged" + (f".{len(there) + 1}" if there else "")
        said = " ".join(why.split())[:200]
        try:
            self.files.move(f"{self.path}/{name}", f"{self.path}/{folder}/{aside}")
        except FileNotFoundError:
            return  # another process has just done so
        except OSError as error:
            log.warning("%s/%s is damaged (%s), cannot be moved (%s), and counts as missing", self.root, name, said, error)
            return
        log.warning("%s/%s is damaged (%s): kept aside as %s, it counts as missing", self.root, name, said, aside)

    @contextlib.contextmanager
    def claim(self, name: str, file: str = ".lock", free: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Held by one process at a time, released when it ends however it ends. Local stores only.

        Others wait, and say for whom. free: as for ``lock.held``.
        """
        if not self.local:
            yield
            return
        path = self._lock(name, file)
        with lock.held(path, f"trial {name}", free):
            self._clean(path.parent)
            yield

    @contextlib.contextmanager
    def claim_at_once(self, name: str) -> Iterator[None]:
        """The same, but others get a StoreError that says who has it."""
        if not self.local:
            yield
            return
        path = self._lock(name, ".lock")
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock.held_at_once(path))
            except BlockingIOError as error:
                who = f"{path.parent} is in use by another run of this study ({error})"
                raise StoreError(f"{who}: wait until it has ended") from None
            self._clean(path.parent)
            yield

    def _lock(self, name: str, file: str) -> Path:
        folder = Path(self.path) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to: {error}") from error
        return folder / file

    def _clean(self, folder: Path) -> None:
        for leftover in folder.glob(".*.tmp"):  # of a writer that was killed; a live one takes no hour
            with contextlib.suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > STALE:
                    leftover.unlink()

    def save_weights(self, digest: str, content: dict[str, Any]) -> None:
        """Keeps an encoder from elsewhere. content: as for StoredTrial.save_encoder."""
        self.write(f"weights/{digest}.pt", dump_with_checksum(content))

    def weights(self, digest: str) -> dict[str, Any]:
        """Raises UserError where there are none of this digest."""
        content = self.read_packed(f"weights/{digest}.pt", records.is_encoder)
        if content is None:
            raise UserError(f"{self.root} has no weights {digest}: `skelray import-weights` puts them there")
        return content

    def trial(self, id: str) -> StoredTrial:
        return StoredTrial(self, id)


class StoredTrial:
    """What the store holds of one trial."""

    def __init__(self, store: Store, id: str) -> None:
        self.store, self.id = store, id

    @contextlib.contextmanager
    def claim(self, epochs: int) -> Iterator[None]:
        """For a trial of so many epochs: no other of this length runs meanwhile, nor one that shares its checkpoint.

        A trial that has no use for that waits for no longer one: its encoder is there, or the other has left it behind.
        """
        with self.store.claim(self.id, f".lock-{epochs}"), contextlib.ExitStack() as stack:
            if not self.apart(epochs):
                with contextlib.suppress(BlockingIOError):  # the holder has gone on beyond this trial's end meanwhile
                    stack.enter_context(self.store.claim(self.id, free=lambda: self.apart(epochs)))
            yield

    def holder(self, epochs: int) -> str | None:
        """Who works on a trial of so many epochs now, another process, or on what it has to wait for."""
        if self.store.local:
            for name in (f".lock-{epochs}", *(() if self.apart(epochs) else (".lock",))):
                path = Path(self.store.path) / self.id / name
                if path.exists() and lock.is_held(path):
                    return lock.holder(path)
        return None

    def apart(self, epochs: int) -> bool:
        """Whether the latest checkpoint is of no use to a trial of so many epochs, now or later."""
        if self.has_encoder(epochs):
            return True
        reached = self.store.read_json(f"{self.id}/checkpoint.json", records.is_history)
        return bool(reached) and reached[-1][0] > epochs

    def save_state(self, state: dict[str, Any], only: int | None = None) -> None:
        """only: of a shorter trial of so many epochs, which leaves the state of a longer one as it is."""
        name = "checkpoint" if only is None else f"checkpoint-{only}"
        self.store.write_json(f"{self.id}/{name}.json", state.get("history", []))  # first: never behind the state
        self.store.write(f"{self.id}/{name}.pt", dump_with_checksum(state))

    def state(self, epochs: int | None = None) -> dict[str, Any] | None:
        """The latest training state, or the latest of at most so many epochs; None where there is none that is whole."""
        latest = self.store.read_packed(f"{self.id}/checkpoint.pt", records.is_state)
        if epochs is None or (latest is not None and latest["epoch"] <= epochs):
            return latest
        shorter = [file for file in self.store.names(self.id) if re.fullmatch(r"checkpoint-\d+\.pt", file)]
        states = [self.store.read_packed(f"{self.id}/{file}", records.is_state) for file in shorter]
        there = [state for state in states if state is not None and state["epoch"] <= epochs]
        return max(there, key=lambda state: state["epoch"], default=None)

    def drop_states(self) -> None:
        """Sets aside what training states there are, as they fit no model of this trial."""
        for file in self.store.names(self.id):
            if re.fullmatch(r"checkpoint(-\d+)?\.pt", file):
                self.store.set_aside(f"{self.id}/{file}", "it does not fit the model")

    def save_encoder(self, epoch: int, content: dict[str, Any]) -> None:
        """content: the ``model`` state of the query branch, the ``masks`` of its streams, and the ``history`` up to now."""
        self.store.write_json(f"{self.id}/encoder-{epoch}.json", content.get("history", []))
        self.store.write(f"{self.id}/encoder-{epoch}.pt", dump_with_checksum(content))

    def encoder(self, epoch: int) -> dict[str, Any] | None:
        return self.store.read_packed(f"{self.id}/encoder-{epoch}.pt", records.is_encoder)

    def drop_encoder(self, epoch: int) -> None:
        """Sets aside an encoder that does not fit the model."""
        self.store.set_aside(f"{self.id}/encoder-{epoch}.pt", "it does not fit the model")

    def history(self, epochs: int) -> list[list[Any]]:
        """(epoch, metrics, seconds) of every epoch of a trial of so many epochs, or as far as it got."""
        for file, content in (
            (f"encoder-{epochs}", lambda: self.encoder(epochs)),
            (f"checkpoint-{epochs}", lambda: None),
            ("checkpoint", self.state),
        ):
            history = self.store.read_json(f"{self.id}/{file}.json", records.is_history)
            if history is None and (found := content()) is not None:  # its history was deleted
                history = found["history"]
            if history is not None:
                return [entry for entry in history if entry[0] <= epochs]
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
        return self.figures(evaluated(epoch, evaluation))

    def figures(self, name: str) -> dict[str, Any] | None:
        """Figures by the name of their file, as ``evaluated`` gives it."""
        return self.store.read_json(f"{self.id}/{name}.json", records.is_result)

    def scores(self, epoch: int, evaluation: Any) -> dict[str, np.ndarray] | None:
        return self.arrays(evaluated(epoch, evaluation))

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Scores by the name of their file. Damaged ones are set aside with their figures, so that both are made again."""
        content = self.store.read(f"{self.id}/{name}.npz")
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                found = dict(arrays)
            if records.are_arrays(found):
                return found
            why = "its arrays are of other kinds"
        except Exception as error:  # whatever damage makes numpy and zipfile raise
            why = str(error) or type(error).__name__
        self.store.set_aside(f"{self.id}/{name}.npz", why)
        self.store.set_aside(f"{self.id}/{name}.json", "its scores are damaged")
        return None

    def picture(self, epoch: int, evaluation: Any, ending: str) -> bytes | None:
        return self.store.read(f"{self.id}/{evaluated(epoch, evaluation)}.{ending}")

    def save_failure(self, epochs: int, failure: dict[str, Any]) -> None:
        content = {**failure, "time": time.time(), "process": os.getpid()}
        self.store.write_json(f"{self.id}/failure-{epochs}.json", content)

    def failure(self, epochs: int) -> dict[str, Any] | None:
        found = self.store.read_json(f"{self.id}/failure-{epochs}.json", records.is_failure)
        return None if found is None else {"line": "", "traceback": "", **found}

    def failure_of(self, epochs: int, evaluation: Any) -> dict[str, Any] | None:
        """Why an evaluation, in canonical form, has no figures: its own failure, or that of the whole trial."""
        failure = self.failure(epochs)
        if failure is None or "evaluations" not in failure:
            return failure
        own = failure["evaluations"].get(evaluated(epochs, evaluation))
        return None if own is None else {**own, "time": failure["time"]}

    def clear_failure(self, epochs: int) -> None:
        self.store.remove(f"{self.id}/failure-{epochs}.json")

    def spec(self) -> dict[str, Any] | None:
        """What the id stands for."""
        return self.store.read_json(f"{self.id}/spec.json", records.is_spec)

    def save_spec(self, spec: dict[str, Any]) -> None:
        if self.spec() is None:
            self.store.write_json(f"{self.id}/spec.json", spec)


def evaluated(epoch: int, evaluation: Any) -> str:
    """How an evaluation, in canonical form, of the encoder at an epoch is called in a trial's folder."""
    return f"{epoch}-{digest(evaluation)}"
