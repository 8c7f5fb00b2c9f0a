"""A study under way: its jobs are handed out, and its tables follow every trial that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from skelray.checks import UserError
from skelray.results.book import Book
from skelray.results.earlier import OfLaterVersion
from skelray.results.rows import complete
from skelray.results.tables import check_name, check_writable, list_tables, load
from skelray.runner import ending
from skelray.runner.context import Context, Settings
from skelray.runner.deciding import DecidingWork
from skelray.runner.job import Job
from skelray.runner.kinds import work_of
from skelray.runner.packing import structure_of
from skelray.runner.upkeep import Upkeep
from skelray.runner.work import Planned
from skelray.study.notes import Notes
from skelray.study.scale import Scale
from skelray.study.study import Study
from skelray.training import Report
from skelray.trial import Trial

RETRIES = 2  # attempts beyond the first at a trial that failed for a transient cause


class Run:
    """A study at a scale, with its store and data; raises DataError where data is missing."""

    def __init__(self, name: str, study: Study, scale: Scale | None, settings: Settings) -> None:
        check_name(name)
        self.name, self.study, self.scale, self.settings = name, study, scale or Scale(), settings
        self.context = Context(name, self.scale, settings)
        self.book = Book(name, settings.results)
        self.work = work_of(study, self.context)
        self._structures: dict[tuple[Trial, str], str] = {}  # by trial and the fingerprint of its data
        self.running: set[str] = set()  # ids of trials under way
        self._upkeep: Upkeep | None = None

    def add_seeds_until_decided(self, budget: float | None = None) -> None:
        """Lets the run add seeds until the study's contrasts are decided; budget: seconds, None for as long as it takes.

        Raises UserError for a study without contrasts.
        """
        self.work = DecidingWork(self.study, self.context, budget)  # type: ignore[arg-type]

    @contextmanager
    def session(self) -> Iterator[None]:
        """Holds, while trials run, what is this run's alone, after checking that tables can be written.

        They are brought up to date at the end.
        """
        check_writable(self.settings.results)
        self._check_kept()
        ending.raise_if_asked_to_end()
        with self.work.claim():
            self.work.put_all(self.book)
            upkeep = self._upkeep = Upkeep(self.context, self.work, self.book)
            upkeep.begin()
            try:
                yield
                self.work.close(self.book)
                self.book.write()
                upkeep.drop_waiting()
            except BaseException:  # an interrupt: what has ended so far is in the tables
                with self.context.tolerating_write_errors("the tables"):
                    self.book.write()
                raise

    def _check_kept(self) -> None:
        """Raises UserError where this run would drop seeds that were added to the table until it was decided.

        What was looked at more than once would then stand there as if it had been looked at once. A table that a later
        version has written is refused, too: it may say more than this one can write.
        """
        if self.name not in list_tables(self.settings.results):
            return
        try:
            there = load(self.name, self.settings.results)
        except OfLaterVersion:
            raise
        except UserError:  # it cannot be read, and is written anew
            return
        if Notes.of(there.attrs.get("notes", {})).looks and not isinstance(self.work, DecidingWork):
            raise UserError(
                f"seeds were added to the table of {self.name} until it was decided: run it with --until-decided, which "
                "keeps them and the looks so far, or give this run a table of its own by --name"
            )

    def jobs(self) -> Iterator[Job | None]:
        """Yields the missing jobs in the study's order; None if nothing can start before a job under way has ended.

        No two jobs of one trial are under way at once: the later would only wait for the store.
        """
        missing, waiting, more = self.work.missing(), list[Job](), True
        while more or waiting:
            job = next((job for job in waiting if job.stored.id not in self.running), None)
            if job is not None:
                waiting.remove(job)
            elif more and len(waiting) < self.work.most_waiting:
                try:
                    job = next(missing)
                except StopIteration:
                    more = False
                    continue
                if job is not None and job.stored.id in self.running:
                    waiting.append(job)
                    continue
            if job is not None:
                self.context.check_content(job.trial)
                self.running.add(job.stored.id)
            yield job

    def alike(self, structure: str) -> int:
        """Returns how many trials of a structure are left that may share packs.

        Those yet to be drawn are among them, unless the space of a search changes the structure from sample to sample.
        """
        return sum(self._is_left(one) for one in self.work.planned() if self._structure_of(one.trial) == structure)

    def _is_left(self, one: Planned) -> bool:
        if one.open or one.stopped:
            return one.open and not one.final and self._are_open_alike
        return not complete(one.trial, self.context.stored(one.trial))

    @cached_property
    def _are_open_alike(self) -> bool:
        """Whether all that a search may yet draw is of one structure, by examples."""
        return len({self._structure_of(trial) for trial in self.work.examples()}) <= 1

    def _structure_of(self, trial: Trial) -> str:
        """Returns what trials of one pack have in common, found out once for each."""
        data = self.context.fingerprint(trial)
        try:
            if (trial, data) not in self._structures:
                self._structures[trial, data] = structure_of(trial, data)
            return self._structures[trial, data]
        except TypeError:  # a part of the study's own has no hash
            return structure_of(trial, data)

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Returns whether a job goes on after a report."""
        return self.work.should_continue(job, report, source)

    def ended(self, job: Job, status: str) -> str:
        """Keeps how a job ended and its rows; the tables follow when that is cheap. Returns the word for how it ended."""
        self.running.discard(job.stored.id)
        status = self.work.ended(job, status)
        with self.context.tolerating_write_errors("the tables"):
            self.work.put(job, self.book)
            self.book.write_if_due()
        with self.context.tolerating_write_errors("the store"):
            if self._upkeep is not None:
                self._upkeep.ended(job, status)
        return status
