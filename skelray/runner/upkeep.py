"""What a run takes away of its store as its trials end: checkpoints, and more where the store outgrows its budget."""

from __future__ import annotations

import logging

from skelray.checks import UserError
from skelray.names import HELD_OUT, KEEP
from skelray.results.book import Book
from skelray.runner.context import Context
from skelray.runner.job import Job
from skelray.runner.pruning import Pruning, pruned_text, stopped_samples, trials_in_tables
from skelray.runner.work import Work
from skelray.store.excerpts import FOLDER
from skelray.store.inventory import CHECKPOINTS, DAMAGED, inventory, size_text, total_size
from skelray.store.pruning import drop_checkpoints

log = logging.getLogger("skelray")
LAST, BEST, _ = KEEP
SLACK = 0.9  # of the budget: what pruning goes down to, so that it is not the next trial's turn at once
FURTHER = 1.1  # times the size at which nothing more could go: when it is tried again

Key = tuple[str, int]  # a trial's id, and its epochs


class Upkeep:
    """The upkeep of a run's store: ``Settings.keep`` says whose checkpoints stay, ``Settings.disk`` how large it may be.

    What a process works with is left for later. Nothing that tables are made of is taken away.
    """

    def __init__(self, context: Context, work: Work, book: Book) -> None:
        self._context, self._work, self._book = context, work, book
        self._keep, self._disk = context.settings.keep, context.settings.disk
        self._longest: dict[str, int] = {}  # epochs that the run trains each id to
        self._waiting: dict[str, bool] = {}  # ids whose checkpoints are to go, and whether a search has stopped them
        self._best: tuple[float, str, bool] | None = None  # the reading, the id, and whether a search has stopped it
        self._sizes: dict[str, int] = {}  # bytes, by folder
        self._stuck = 0.0  # bytes of the store, below which nothing more could go

    def begin(self) -> None:
        """Looks at what earlier runs have left; the book has its rows by now.

        Raises UserError where no trial has what the best one is told by.
        """
        if self._keep != LAST:
            self._look_back()
        if self._disk is not None:
            self._measure()
            self._fit()

    def ended(self, job: Job, status: str) -> None:
        """Takes up that a job has ended. status: done, stopped, paused or failed; a job that may go on keeps what it has."""
        if self._keep != LAST and status in ("done", "stopped"):
            self._over(job.key, status == "stopped")
            self.drop_waiting()
        if self._disk is not None:
            for folder in (job.stored.id, FOLDER):
                self._sizes[folder] = total_size(inventory(self._context.store, folder))
            self._fit()

    def drop_waiting(self) -> None:
        """Takes away the checkpoints that could not go while they were in use."""
        for id, stopped in list(self._waiting.items()):
            if drop_checkpoints(self._context.store.trial(id), (id,) if stopped else ()) is not None:
                del self._waiting[id]

    def _look_back(self) -> None:
        """Treats what earlier runs have ended as what this one will."""
        planned = self._work.planned()
        if self._keep == BEST and all(one.trial.monitor is None for one in planned):
            raise UserError(
                "--keep best: no trial of this study reads held-out subjects, by which the best is told: give last or none"
            )
        known = [(self._context.stored(one.trial), one) for one in planned if not one.open]
        for stored, one in known:
            self._longest[stored.id] = max(one.trial.epochs, self._longest.get(stored.id, 0))
        stopped = stopped_samples(self._context.store) if any(one.stopped for _, one in known) else frozenset()
        for stored, one in known:
            if stored.id in stopped or stored.has_encoder(one.trial.epochs):
                self._over((stored.id, one.trial.epochs), stored.id in stopped)
        self.drop_waiting()

    def _over(self, key: Key, stopped: bool) -> None:
        """Marks a trial's checkpoint to go, unless a longer trial or the best is to have it."""
        id, epochs = key
        if epochs < self._longest.get(id, 0):
            return
        reading = self._reading(key) if self._keep == BEST else None
        if reading is not None and (self._best is None or reading > self._best[0] or id == self._best[1]):
            before, self._best = self._best, (reading, id, stopped)
            if before is None or before[1] == id:
                return
            _, id, stopped = before
        self._waiting[id] = stopped

    def _reading(self, key: Key) -> float | None:
        """Returns the last reading of the monitor; None if there is none."""
        found = [(row["epoch"], row["value"]) for row in self._book.curves.get(key, []) if row["metric"] == HELD_OUT]
        return max(found)[1] if found else None

    def _measure(self) -> None:
        self._sizes.clear()
        for one in inventory(self._context.store):
            folder = one.name.partition("/")[0]
            self._sizes[folder] = self._sizes.get(folder, 0) + one.size

    def _fit(self) -> None:
        """Prunes a store that has outgrown its budget. If nothing more may go, it warns, and the run goes on."""
        if self._disk is None or sum(self._sizes.values()) <= max(self._disk, self._stuck):
            return
        gone = self._pruning(int(SLACK * self._disk)).of(self._context.store)
        if gone:
            log.warning("the store outgrew --disk; taken away: %s", pruned_text(gone))
        self._measure()
        left = sum(self._sizes.values())
        if left > self._disk:
            self._stuck = FURTHER * left
            log.warning("the store takes %s, more than --disk, and nothing more of it may go", size_text(left))

    def _pruning(self, most: int) -> Pruning:
        own = {self._context.stored(one.trial).id for one in self._work.planned() if not one.open}
        try:
            named = trials_in_tables(self._context.settings.results)
        except UserError:  # a table that cannot be read may name any
            return Pruning((DAMAGED, CHECKPOINTS), most=most)
        return Pruning(named=named | own, most=most)
