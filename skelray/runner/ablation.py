"""The work of an ablation: all trials are known beforehand, and cells that share an encoder are one job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property

from skelray.bench.estimate import count_parameters
from skelray.identity.canonical import canonical, digest
from skelray.results.book import CELLS, ENSEMBLES, REFERENCES, Book
from skelray.results.rows import (
    Row,
    cell_rows,
    complete,
    curve_rows,
    fused_pictures,
    fused_rows,
    pictures,
    reference_row,
    side_by_side,
)
from skelray.runner.context import Context
from skelray.runner.fusing import fusing_jobs
from skelray.runner.job import Job
from skelray.runner.work import Planned, RunSize, Savings, Searches
from skelray.store.store import StoredTrial
from skelray.study.cell import Cell, Fused
from skelray.study.comparable import keep_comparable, why_data_differs, why_incomparable
from skelray.study.notes import notes_of
from skelray.study.quoted import Quoted
from skelray.study.study import Expands, HasReferences
from skelray.training import Report
from skelray.trial import Trial


class AblationWork:
    """The work of any study that expands, whatever its kind."""

    most_waiting = float("inf")

    def __init__(self, study: Expands, context: Context) -> None:
        self._study, self._context = study, context
        self._counted: dict[str, float] = {}
        self._under_way: set[int] = set()  # jobs by identity: a trial may be measured once more

    @cached_property
    def cells(self) -> list[Cell]:
        """The trials of the table, with the published numbers of data like that of the run."""
        pin, load = self._context.pin_targets, self._context.load_splits
        cells = [replace(cell, trial=pin(cell.trial)) for cell in self._study.cells(self._context.scale)]
        return [keep_comparable(cell, load, self._study.prepared) for cell in cells]

    @cached_property
    def ensembles(self) -> list[Fused]:
        """The ensembles as the study names them."""
        pin, load = self._context.pin_targets, self._context.load_splits
        return [
            keep_comparable(one.with_trials(pin), load, self._study.prepared)
            for one in self._study.fused(self._context.scale)
        ]

    @cached_property
    def jobs(self) -> list[Job]:
        """The jobs of the table, done or not, in the study's order: one for all cells that share an encoder.

        Of trials that differ in length alone the shorter comes first, so that the longer goes on from it.
        """
        found: dict[tuple[str, int], Job] = {}
        for number, cell in enumerate(self.cells):
            job = Job(number, cell.name, cell.trial, self._places[number])
            known = found.setdefault(job.key, job)
            new = [one for one in cell.trial.evaluations if one not in known.trial.evaluations]
            if new:
                known.trial = replace(known.trial, evaluations=(*known.trial.evaluations, *new))
        return _shorter_first(list(found.values()))

    def claim(self) -> AbstractContextManager[None]:
        """Claims nothing: the store keeps two runs of one table from the same trial."""
        return nullcontext()

    def missing(self) -> Iterator[Job | None]:
        yield from self._handed(job for job in self.jobs if not complete(job.trial, job.stored))
        yield from self._put_side_by_side()

    def _handed(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yields the jobs, each noted as under way until it has ended."""
        for job in jobs:
            self._under_way.add(id(job))
            yield job

    def _settled(self) -> Iterator[None]:
        """Waits until all that was handed out has ended."""
        while self._under_way:
            yield None

    def _put_side_by_side(self) -> Iterator[Job | None]:
        """Yields jobs for ensembles that read their streams side by side, once the streams are there."""
        if any(side_by_side(evaluation) for one in self.ensembles for evaluation in one.trial.evaluations):
            yield from self._settled()
            yield from self._handed(fusing_jobs(self.ensembles, self._context))

    def size(self) -> RunSize:
        missing = [job.trial.epochs for job in self.jobs if not complete(job.trial, job.stored)]
        return RunSize(len(self.jobs), sum(missing), len(self.jobs) - len(missing))

    def planned(self) -> list[Planned]:
        return [Planned(job.name, job.trial) for job in self.jobs]

    def examples(self) -> list[Trial]:
        return []

    def searches(self) -> Searches:
        return Searches()

    def savings(self) -> Savings:
        """Returns the epochs that arms share: a longer trial goes on from a shorter one, and equal ones train once."""
        apart: dict[tuple[str, str], int] = {}
        once: dict[str, int] = {}
        for cell, stored in zip(self.cells, self._places, strict=True):
            of_arm = (cell.arm, stored.id)
            apart[of_arm] = max(cell.trial.epochs, apart.get(of_arm, 0))
            once[stored.id] = max(cell.trial.epochs, once.get(stored.id, 0))
        return Savings(shared=sum(apart.values()) - sum(once.values()))

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Always: a table compares trials of whole length."""
        return True

    def ended(self, job: Job, status: str) -> str:
        """Returns the status unchanged: the store has the trial."""
        self._under_way.discard(id(job))
        return status

    def put(self, job: Job, book: Book) -> None:
        """Puts the rows of the cells that share the job's encoder, and of their ensembles, into the book."""
        if job.fused is not None:
            self._put_ensemble(self.ensembles.index(job.fused), book)
            return
        cells, ensembles = self._sharing.get(job.key, ([], []))
        for number in cells:
            self._put_cell(number, book)
        for number in ensembles:
            self._put_ensemble(number, book)

    def put_all(self, book: Book) -> None:
        book.notes = notes_of(self._study)
        book.arms = self._study.row_labels if isinstance(self._study, HasReferences) else []
        for number, quoted in enumerate(self.references):
            book.put((REFERENCES, number), [reference_row(self._context.name, quoted)])
        for number in range(len(self.cells)):
            self._put_cell(number, book)
        for number in range(len(self.ensembles)):
            self._put_ensemble(number, book)

    def close(self, book: Book) -> None:
        """Puts what another run of these trials has finished since the rows were read."""
        for job in self.jobs:
            if not all(self._is_whole(number, book) for number in self._sharing[job.key][0]):
                self.put(job, book)

    def _is_whole(self, number: int, book: Book) -> bool:
        """Returns whether the book has every evaluation of a cell."""
        done = {row["evaluation"] for row in book.rows.get((CELLS, number), []) if row["status"] == "done"}
        return len(done) == len(self.cells[number].trial.evaluations)

    def incomparable(self) -> list[str]:
        study, scale, load = self._study, self._context.scale, self._context.load_splits
        ones: list[Cell | Fused] = [*study.cells(scale), *study.fused(scale)]
        told = (why for one in ones if one.published for why in why_incomparable(one, load, self._study.prepared).values())
        return list(dict.fromkeys(filter(None, told)))

    def rows_of_cell(self, cell: Cell, stored: StoredTrial) -> list[Row]:
        context, parameters = self._context, self._parameters(cell)
        return cell_rows(context.name, cell, context.store, context.fingerprint(cell.trial), stored, parameters)

    @cached_property
    def references(self) -> list[Quoted]:
        """The numbers that are only published, where an arm is measured on data like the papers'."""
        load, alike = self._context.load_splits, set[tuple[str, str]]()
        study, scale = self._study, self._context.scale
        quoted = study.quoted(scale) if isinstance(study, HasReferences) else []
        for trial in (cell.trial for cell in study.cells(scale) if quoted):
            at = trial.benchmark, trial.protocol
            if at not in alike and not why_data_differs(trial, *at, load(*at), study.prepared):
                alike.add(at)
        return [one for one in quoted if (one.benchmark, one.protocol) in alike]

    def _parameters(self, one: Cell | Fused) -> float | None:
        """Returns the millions of parameters of an encoder, if a published number stands beside it."""
        if one.params is None:
            return None
        skeleton = self._context.splits(one.trial).train.skeleton
        key = digest({"backbone": canonical(one.trial.backbone), "skeleton": skeleton.name})
        if key not in self._counted:
            self._counted[key] = count_parameters(one.trial.backbone, skeleton) / 1e6
        return self._counted[key]

    def weighed(self, one: Fused) -> list[Fused]:
        """Returns an ensemble under each of the weights that the table has."""
        return [one]

    def _put_cell(self, number: int, book: Book) -> None:
        cell, stored = self.cells[number], self._places[number]
        with stored.listed_once():
            book.put((CELLS, number), self.rows_of_cell(cell, stored))
            book.curves[stored.id, cell.trial.epochs] = curve_rows(cell.trial, stored)
            book.put_pictures(pictures(cell, stored))

    def _put_ensemble(self, number: int, book: Book) -> None:
        one, context = self.ensembles[number], self._context
        data = context.fingerprint(one.trial)
        count = self._parameters(one)
        rows = (fused_rows(context.name, found, context.store, data, count) for found in self.weighed(one))
        book.put((ENSEMBLES, number), [row for some in rows for row in some])
        book.put_pictures(fused_pictures(one, context.store, data))

    @cached_property
    def _places(self) -> list[StoredTrial]:
        """Finds the places of the cells in the store."""
        return [self._context.stored(cell.trial) for cell in self.cells]

    @cached_property
    def _sharing(self) -> dict[tuple[str, int], tuple[list[int], list[int]]]:
        """The cells and the ensembles, by number, that each encoder is for."""
        shared: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        for number, cell in enumerate(self.cells):
            shared.setdefault((self._places[number].id, cell.trial.epochs), ([], []))[0].append(number)
        for number, one in enumerate(self.ensembles):
            for cell in one.members.values():
                key = self._context.stored(cell.trial).id, cell.trial.epochs
                shared.setdefault(key, ([], []))[1].append(number)
        return shared


def _shorter_first(jobs: list[Job]) -> list[Job]:
    """Jobs of one trial take its places in the list in the order of their lengths."""
    places: dict[str, list[int]] = {}
    for place, job in enumerate(jobs):
        places.setdefault(job.stored.id, []).append(place)
    ordered = list(jobs)
    for own in places.values():
        for place, job in zip(own, sorted((jobs[p] for p in own), key=lambda job: job.trial.epochs), strict=True):
            ordered[place] = job
    return ordered
