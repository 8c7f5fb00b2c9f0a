"""What a study is run with: its table's name, its scale, the store, the data, and patience with what cannot be written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from skelray.data.content import check_content
from skelray.data.dataset import Splits, load_splits
from skelray.evaluation import Transfer
from skelray.names import KEEP
from skelray.runner.execute import pin_targets
from skelray.store.remote import check_answers
from skelray.store.store import Store, StoredTrial
from skelray.study.scale import Scale
from skelray.trial import Trial

log = logging.getLogger("skelray")


@dataclass(frozen=True)
class Settings:
    """The places that a run reads and writes, and what it computes on. threads: of a trial; they decide the order of sums.

    keep: whose checkpoints stay when they have ended, one of ``names.KEEP``. disk: bytes that the store may take. lanes: the
    most trials that may train as lanes of one step; None: trials train one by one. On a CUDA device there are as many as
    gain from it, elsewhere so many.
    """

    data: Path = Path("data")
    store: str = "store"
    results: Path = Path("results")
    device: str | None = None
    threads: int = 1
    keep: str = KEEP[0]
    disk: int | None = None
    lanes: int | None = None


@lru_cache(maxsize=16)  # a table on all benchmarks has six; what is open is mapped, not read
def open_splits(root: Path, benchmark: str, protocol: str) -> Splits:
    """Opens a protocol's splits, once a process."""
    return load_splits(root, benchmark, protocol)


@lru_cache
def check_content_once(root: Path, benchmark: str) -> None:
    """Checks the content as ``check_content`` does, once a process for data that is sound."""
    check_content(root, benchmark)


def benchmarks_of(trial: Trial) -> set[tuple[str, str]]:
    """Returns the benchmarks that a trial reads, each with its protocol."""
    targets = {(e.benchmark, e.protocol) for e in trial.evaluations if isinstance(e, Transfer)}
    return {(trial.benchmark, trial.protocol), *targets}


class Context:
    """The surroundings of a run. name: of the table. What asks for data raises DataError if it is missing."""

    def __init__(self, name: str, scale: Scale, settings: Settings) -> None:
        self.name, self.scale, self.settings = name, scale, settings
        self.store = Store(settings.store)
        if not self.store.local:
            check_answers(settings.store)
        self._told: set[str] = set()

    def load_splits(self, benchmark: str, protocol: str) -> Splits:
        return open_splits(self.settings.data, benchmark, protocol)

    def check_content(self, trial: Trial) -> None:
        """Raises DataError where the data of a trial is not what was prepared. Data is read once a process for it."""
        for benchmark, _ in benchmarks_of(trial):
            check_content_once(self.settings.data, benchmark)

    def splits(self, trial: Trial) -> Splits:
        return self.load_splits(trial.benchmark, trial.protocol)

    def fingerprint(self, trial: Trial) -> str:
        """Returns the fingerprint of a trial's data."""
        return self.splits(trial).train.fingerprint

    def stored(self, trial: Trial) -> StoredTrial:
        return self.store.trial(trial.id(self.fingerprint(trial)))

    def pin_targets(self, trial: Trial) -> Trial:
        """Returns the trial with its evaluations' data elsewhere named. Raises DataError if that does not fit."""
        return pin_targets(trial, self.splits(trial), self.load_splits)

    @contextmanager
    def tolerating_write_errors(self, what: str) -> Iterator[None]:
        """Lets the run go on where something cannot be written now: it is logged, tried again, and raised at the end."""
        try:
            yield
        except (OSError, ValueError) as error:
            line = f"{what} could not be brought up to date: {' '.join(str(error).split())}; the run goes on"
            if line not in self._told:
                log.warning("%s", line)
            self._told.add(line)
