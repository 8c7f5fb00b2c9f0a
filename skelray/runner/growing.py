"""The work of a study that grows: which trials come next is decided by the results of those before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from skelray.evaluation import main_metric
from skelray.identity.canonical import canonical
from skelray.results.book import Book
from skelray.results.rows import complete
from skelray.runner.ablation import AblationWork
from skelray.runner.context import Context
from skelray.runner.job import Job
from skelray.runner.work import Planned, RunSize
from skelray.study.cell import Cell
from skelray.study.notes import notes_of
from skelray.study.study import Expands, Grows

DECIDED = ("cells", "ensembles", "jobs", "_places", "_sharing")  # by the study as it is now, kept until it grows


class GrowingWork(AblationWork):
    """Runs what the study has, and when all of that has ended asks for what comes next. Cells keep their numbers."""

    def __init__(self, study: Expands, context: Context) -> None:
        super().__init__(study, context)
        self._book: Book | None = None

    def next_study(self) -> Expands | None:
        """Returns the study with its next trials, decided by what the store has; None if there are none."""
        study = self._study
        return study.grown(self.cells, self.main_value) if isinstance(study, Grows) else None

    def main_value(self, cell: Cell) -> float | None:
        """Returns the main metric of a cell's last evaluation; None if the store does not have it."""
        trial, evaluation = cell.trial, cell.trial.evaluations[-1]
        result = self._context.stored(trial).result(trial.epochs, canonical(evaluation))
        return None if result is None else result["metrics"].get(main_metric(evaluation))

    def grow(self) -> bool:
        """Takes up the study's next trials. Returns whether there are any."""
        study = self.next_study()
        if study is None:
            return False
        self._study = study
        for name in DECIDED:
            self.__dict__.pop(name, None)
        if self._book is not None:
            self._put_known(self._book)
        return True

    def settle(self) -> None:
        """Grows as far as the store already decides."""
        while all(complete(job.trial, job.stored) for job in self.jobs) and self.grow():
            pass

    def missing(self) -> Iterator[Job | None]:
        self.settle()
        given: dict[Any, set[int]] = {}
        while True:
            for job in self.jobs:
                before, evaluations = given.setdefault(job.key, set()), len(job.trial.evaluations)
                if evaluations not in before and not complete(job.trial, job.stored):
                    again = bool(before)  # a candidate that was chosen is measured once more
                    before.add(evaluations)
                    yield from self._handed([replace(job, final=again)])
            yield from self._settled()
            if not self.grow():
                break
        yield from self._put_side_by_side()

    def put_all(self, book: Book) -> None:
        self._book = book
        self._put_known(book)
        self.settle()

    def _put_known(self, book: Book) -> None:
        super().put_all(book)

    def close(self, book: Book) -> None:
        super().close(book)
        book.notes = notes_of(self._study)

    def size(self) -> RunSize:
        self.settle()
        known, left = super().size(), self._to_come()
        return RunSize(known.trials + len(left), known.epochs + sum(one.trial.epochs for one in left), known.done)

    def planned(self) -> list[Planned]:
        self.settle()
        return super().planned() + [replace(one, open=True) for one in self._to_come()]

    def _to_come(self) -> list[Planned]:
        study, scale = self._study, self._context.scale
        return [Planned(cell.name, cell.trial) for cell in study.to_come(scale)] if isinstance(study, Grows) else []
