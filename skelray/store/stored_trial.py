"""What a store holds of one trial: its training states, encoders, scores and failures."""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelray.identity.canonical import digest
from skelray.store import lock, records
from skelray.store.checksum import dump_with_checksum
from skelray.store.folder import TrialFolder

if TYPE_CHECKING:
    from skelray.store.store import Store


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the content of a file of arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


class StoredTrial:
    """The files of one trial in a store."""

    def __init__(self, store: Store, id: str) -> None:
        self.store, self.id = store, id
        self.folder = TrialFolder(store, id)
        self.listed_once = self.folder.listed_once

    @contextlib.contextmanager
    def claim(self, epochs: int, wait: bool = True) -> Iterator[None]:
        """Claims a trial of so many epochs: no other of this length runs meanwhile, nor one that shares its checkpoint.

        A trial that has no use for that waits for no longer one: its encoder is there, or the other has left it behind.
        Raises InUse where another process has what it needs, and it is not to wait.
        """
        with contextlib.ExitStack() as stack:
            if not wait:
                stack.enter_context(self.store.claim_at_once(self.id, f".lock-{epochs}"))
                if not self.needs_no_checkpoint(epochs):
                    stack.enter_context(self.store.claim_at_once(self.id))
            else:
                stack.enter_context(self.store.claim(self.id, f".lock-{epochs}"))
                if not self.needs_no_checkpoint(epochs):
                    with contextlib.suppress(BlockingIOError):  # the holder has gone on beyond this trial's end meanwhile
                        stack.enter_context(self.store.claim(self.id, free=lambda: self.needs_no_checkpoint(epochs)))
            stack.enter_context(self.folder.listed_once())
            yield

    def holder(self, epochs: int) -> str | None:
        """Returns the other process that works on a trial of so many epochs, or on what it waits for; None if none does."""
        if self.store.local:
            for name in (f".lock-{epochs}", *(() if self.needs_no_checkpoint(epochs) else (".lock",))):
                path = Path(self.store.path) / self.id / name
                if path.exists() and lock.is_held(path):
                    return lock.read_holder(path)
        return None

    def needs_no_checkpoint(self, epochs: int) -> bool:
        """Returns whether the latest checkpoint is of no use to a trial of so many epochs, now or later."""
        files = self.folder.names()
        return f"encoder-{epochs}.pt" in files or self.last_epoch(files) > epochs

    def last_epoch(self, files: Collection[str] | None = None) -> int:
        """Returns the last epoch of the latest checkpoint, from its history, which stays if the checkpoint is taken away.

        files: of the trial, where they are known, so that what is not there is not asked for.
        """
        files, history = self.folder.names() if files is None else files, None
        if "checkpoint.json" in files:
            history = self.folder.read_json("checkpoint.json", records.is_history)
        if history is None and "checkpoint.pt" in files and (latest := self.state()) is not None:
            return int(latest["epoch"])  # its history was deleted, or is damaged
        return history[-1][0] if history else 0

    def save_state(self, state: dict[str, Any], only: int | None = None) -> None:
        """Saves the latest training state.

        only: it is of a shorter trial of so many epochs, and leaves a longer one's as it is.
        """
        name = "checkpoint" if only is None else f"checkpoint-{only}"
        self.folder.write_json(f"{name}.json", state.get("history", []))  # first: never behind the state
        self.folder.write(f"{name}.pt", dump_with_checksum(state))

    def state(self, epochs: int | None = None) -> dict[str, Any] | None:
        """Returns the latest training state, or the latest of at most so many epochs; None if none is whole."""
        latest = self.folder.read_packed("checkpoint.pt", records.is_state)
        if epochs is None or (latest is not None and latest["epoch"] <= epochs):
            return latest
        shorter = [file for file in self.folder.names() if re.fullmatch(r"checkpoint-\d+\.pt", file)]
        states = [self.folder.read_packed(file, records.is_state) for file in shorter]
        there = [state for state in states if state is not None and state["epoch"] <= epochs]
        return max(there, key=lambda state: state["epoch"], default=None)

    def drop_states(self) -> None:
        """Sets aside what training states there are, as they fit no model of this trial."""
        for file in self.folder.names():
            if re.fullmatch(r"checkpoint(-\d+)?\.pt", file):
                self.folder.set_aside(file, "it does not fit the model")

    def save_encoder(self, epoch: int, content: dict[str, Any]) -> None:
        """Saves an encoder.

        content: the query branch's ``model`` state, its streams' ``masks``, and the ``history`` up to now.
        """
        self.folder.write_json(f"encoder-{epoch}.json", content.get("history", []), lasts=True)
        self.folder.write(f"encoder-{epoch}.pt", dump_with_checksum(content))

    def encoder(self, epoch: int) -> dict[str, Any] | None:
        return self.folder.read_packed(f"encoder-{epoch}.pt", records.is_encoder)

    def drop_encoder(self, epoch: int) -> None:
        """Sets aside an encoder that does not fit the model."""
        self.folder.remove(_record(epoch))
        self.folder.set_aside(f"encoder-{epoch}.pt", "it does not fit the model")

    def history(self, epochs: int) -> list[list[Any]]:
        """Returns (epoch, metrics, seconds) of every epoch of a trial of so many epochs, or as far as it got."""
        if (record := self.record(epochs)) is not None:
            return list(record["history"])
        return self._history(epochs)

    def _history(self, epochs: int) -> list[list[Any]]:
        for file, content in (
            (f"encoder-{epochs}", lambda: self.encoder(epochs)),
            (f"checkpoint-{epochs}", lambda: None),
            ("checkpoint", self.state),
        ):
            lasts = file.startswith("encoder")
            history = self.folder.read_json(f"{file}.json", records.is_history, lasts)
            if history is None and (found := content()) is not None:  # its history was deleted
                history = found["history"]
            if history is not None:
                return [entry for entry in history if entry[0] <= epochs]
        return []

    def has_encoder(self, epoch: int) -> bool:
        return self.folder.has(f"encoder-{epoch}.pt")

    def save_scores(
        self,
        epoch: int,
        evaluation: Any,
        arrays: dict[str, np.ndarray],
        result: dict[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Writes scores and pictures first, then the figures: where there are figures there are scores."""
        name = evaluated(epoch, evaluation)
        self.folder.write(f"{name}.npz", npz(arrays))
        for ending, content in (files or {}).items():
            self.folder.write(f"{name}.{ending}", content)
        self.folder.write_json(f"{name}.json", result, lasts=True)

    def result(self, epoch: int, evaluation: Any) -> dict[str, Any] | None:
        """Returns the figures of an evaluation, in canonical form, of the encoder at an epoch."""
        return self.result_by_name(evaluated(epoch, evaluation))

    def result_by_name(self, name: str) -> dict[str, Any] | None:
        """Returns figures by the name of their file, as ``evaluated`` gives it."""
        record = self.record(int(name.partition("-")[0]))
        if record is not None and name in record["results"]:
            result: dict[str, Any] = record["results"][name]
            return result
        return self.folder.read_json(f"{name}.json", records.is_result, lasts=True)

    def record(self, epochs: int) -> dict[str, Any] | None:
        """Returns the history and the figures of a trial that is done, in one file; None where there is no such file."""
        return self.folder.read_json(_record(epochs), records.is_record, lasts=True, first=True)

    def save_record(self, epochs: int, evaluations: Iterable[Any]) -> None:
        """Writes the record of a done trial.

        evaluations: in canonical form, all with figures; those already in the record stay.
        """
        before = self.record(epochs)
        results = {name: self.result_by_name(name) for name in (evaluated(epochs, one) for one in evaluations)}
        if before is not None and results.keys() <= before["results"].keys():
            return
        kept = before["results"] if before is not None else {}
        self.folder.write_json(_record(epochs), {"history": self._history(epochs), "results": kept | results}, lasts=True)

    def scores(self, epoch: int, evaluation: Any) -> dict[str, np.ndarray] | None:
        return self.arrays(evaluated(epoch, evaluation))

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Returns scores by the name of their file.

        Damaged ones are set aside with their figures, so that both are made again.
        """
        content = self.folder.read(f"{name}.npz")
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
        self.folder.set_aside(f"{name}.npz", why)
        self.folder.set_aside(f"{name}.json", "its scores are damaged")
        self.folder.remove(_record(int(name.partition("-")[0])))
        return None

    def picture(self, epoch: int, evaluation: Any, ending: str) -> bytes | None:
        return self.folder.read(f"{evaluated(epoch, evaluation)}.{ending}")

    def save_failure(self, epochs: int, failure: dict[str, Any]) -> None:
        content = {**failure, "time": time.time(), "process": os.getpid()}
        self.folder.write_json(f"failure-{epochs}.json", content)

    def failure(self, epochs: int) -> dict[str, Any] | None:
        found = self.folder.read_json(f"failure-{epochs}.json", records.is_failure)
        return None if found is None else {"line": "", "traceback": "", **found}

    def failure_of(self, epochs: int, evaluation: Any) -> dict[str, Any] | None:
        """Returns why an evaluation, in canonical form, has no figures: its own failure, or the trial's."""
        failure = self.failure(epochs)
        if failure is None or "evaluations" not in failure:
            return failure
        own = failure["evaluations"].get(evaluated(epochs, evaluation))
        return None if own is None else {**own, "time": failure["time"]}

    def clear_failure(self, epochs: int) -> None:
        self.folder.remove(f"failure-{epochs}.json")

    def spec(self) -> dict[str, Any] | None:
        """Returns what the id stands for."""
        return self.folder.read_json("spec.json", records.is_spec)

    def save_spec(self, spec: dict[str, Any]) -> None:
        if self.spec() is None:
            self.folder.write_json("spec.json", spec)


def _record(epochs: int) -> str:
    return f"record-{epochs}.json"


def evaluated(epoch: int, evaluation: Any) -> str:
    """Returns the name in a trial's folder of an evaluation, in canonical form, of the encoder at an epoch."""
    return f"{epoch}-{digest(evaluation)}"
