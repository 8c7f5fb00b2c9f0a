"""What runners ask of a study: the protocol that each kind of study has a class for, chosen in ``kinds``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from skelray.results.book import Book
from skelray.runner.job import Job
from skelray.training import Report
from skelray.trial import Trial


class RunSize(NamedTuple):
    """Trials in all, epochs of those that are missing (a search's at most), and trials that are done."""

    trials: int
    epochs: int
    done: int


class Savings(NamedTuple):
    """Epochs that are not trained: since arms share trials; and, at most, of what is to come, since samples are stopped.

    stopped: None where the rule does not tell.
    """

    shared: int = 0
    stopped: int | None = 0


class Searches(NamedTuple):
    """Searches on stored scores, which train nothing: how many are missing, and the points of each."""

    missing: int = 0
    points: int = 0


@dataclass(frozen=True)
class Planned:
    """A row of a plan. stopped: it ended before its last epoch. final: what a search evaluates.

    open: the search has not decided yet which trial it is; another one stands in for what it takes.
    """

    name: str
    trial: Trial
    stopped: bool = False
    final: bool = False
    open: bool = False


@runtime_checkable
class Work(Protocol):
    """A study at a scale, as runners see it: jobs to run, what becomes of them, and the rows of its table.

    A runner claims it, fills the book, takes up missing jobs, asks after each report whether the job goes on, says how it
    ended, and closes the book.
    """

    most_waiting: float
    """How many jobs may be asked for that wait for another of the same trial; a search is not asked ahead of its results."""

    def claim(self) -> AbstractContextManager[None]:
        """Keeps other runs from what only one may write. Raises StoreError where another has it."""
        ...

    def missing(self) -> Iterator[Job | None]:
        """Yields the jobs to run in the study's order, last what is read once the trials have ended (``Job.final``).

        None: nothing can start before a job that is under way has ended.
        """
        ...

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Returns whether a job goes on after a report. source: device, version and commit of the report.

        Raises UserError where a rule of the study's own fails, which costs this job alone.
        """
        ...

    def ended(self, job: Job, status: str) -> str:
        """Keeps how a job ended, and returns the word for it: done, stopped, failed, or paused if it is to go on later."""
        ...

    def put(self, job: Job, book: Book) -> None:
        """Puts the rows of what an ended job is for into the book."""
        ...

    def put_all(self, book: Book) -> None:
        """Puts every row that the store has into the book."""
        ...

    def close(self, book: Book) -> None:
        """Writes what could not be written before, and puts the rows that the last jobs brought into the book."""
        ...

    def size(self) -> RunSize: ...

    def planned(self) -> list[Planned]:
        """Returns the rows of a plan: every trial, done or not."""
        ...

    def examples(self) -> list[Trial]:
        """Returns trials that a search might draw; none where those to come are known."""
        ...

    def searches(self) -> Searches: ...

    def savings(self) -> Savings: ...

    def incomparable(self) -> list[str]:
        """Returns why published numbers of the study cannot stand beside its own here, a sentence for each reason."""
        ...
