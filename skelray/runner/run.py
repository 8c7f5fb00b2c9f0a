"""Executes a study: what is missing is run, in this process or on Ray, and the tables follow every trial that ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import torch

from skelray import machine
from skelray.data import Preprocessing
from skelray.data.dataset import Splits, load
from skelray.machine import provenance
from skelray.names import HELD_OUT
from skelray.results import rows as ledger
from skelray.results.book import Book
from skelray.results.tables import check_name, check_writable, write_pictures
from skelray.runner.execute import execute, failure, pin_targets
from skelray.search.fusion_weights import chosen
from skelray.search.ledger import Sample, Search, example
from skelray.store.store import Store, StoredTrial
from skelray.study.ablation import Ablation, Cell, Fused
from skelray.study.comparable import T, compared, reasons
from skelray.study.fusion import CHOSEN, Fusion, Study, closed
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep
from skelray.training import Report
from skelray.trial import Trial

log = logging.getLogger("skelray")
RETRIES = 2  # attempts beyond the first at a trial that failed for a transient cause


@dataclass(frozen=True)
class Settings:
    """Where a run reads and writes, and what it computes on. threads: of a trial; they decide the order of sums."""

    data: Path = Path("data")
    store: str = "store"
    results: Path = Path("results")
    device: str | None = None
    threads: int = 1


class Listener:
    """Hears how a run goes, and here says nothing; the command line draws it."""

    def started(self, job: Job) -> None:
        """A trial has been taken up."""

    def report(self, job: Job, report: Report) -> None:
        """An epoch has ended, or is read back from an earlier run."""

    def ended(self, job: Job, status: str) -> None:
        """A trial is done, was stopped or has failed."""


@dataclass
class Job:
    """One trial to run, with all that the study's cells measure on its encoder. number: of its first cell or sample."""

    number: int
    name: str
    trial: Trial
    stored: StoredTrial
    sample: Sample | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What the encoder is known by: the trial's id, and for how many epochs."""
        return self.stored.id, self.trial.epochs


@lru_cache(maxsize=4)
def splits(root: Path, benchmark: str, protocol: str) -> Splits:
    """A protocol's splits, opened once a process."""
    return load(root, benchmark, protocol)


class Run:
    """A study at a scale, with its store and data; raises DataError where data is missing."""

    def __init__(self, name: str, study: Study, scale: Scale | None, settings: Settings) -> None:
        self.name, self.study, self.scale, self.settings = name, study, scale or Scale(), settings
        check_name(name)
        self.store = Store(settings.store)
        self.book = Book(name, settings.results)
        self.running: set[str] = set()  # ids of trials under way
        self._cells: list[Cell] | None = None
        self._places: list[StoredTrial] | None = None  # of the cells in the store
        self._jobs: list[Job] | None = None
        self._ensembles: list[Fused] | None = None
        self._shared: dict[tuple[str, int], tuple[list[int], list[int]]] | None = None
        self._told: set[str] = set()
        self.search: Search | None = None
        if isinstance(study, Sweep):
            data = self.data(example(study, self.scale))
            self.search = Search(name, study, self.scale, self.store, data)

    def splits(self, trial: Trial) -> Splits:
        return splits(self.settings.data, trial.benchmark, trial.protocol)

    def data(self, trial: Trial) -> str:
        return self.splits(trial).train.fingerprint

    def stored(self, trial: Trial) -> StoredTrial:
        return self.store.trial(trial.id(self.data(trial)))

    def load(self, benchmark: str, protocol: str) -> Splits:
        return splits(self.settings.data, benchmark, protocol)

    def pin_targets(self, trial: Trial) -> Trial:
        """Names the data that its evaluations read elsewhere; raises DataError where that does not fit."""
        return pin_targets(trial, self.splits(trial), self.load)

    def cells(self) -> list[Cell]:
        """The trials of a table; expanded once."""
        if self._cells is None:
            cells = [] if isinstance(self.study, Sweep) else self.study.cells(self.scale)
            self._cells = [self._compared(replace(cell, trial=self.pin_targets(cell.trial))) for cell in cells]
        return self._cells

    def _compared(self, one: T) -> T:
        """With the published numbers of data like this run's."""
        return compared(one, self.load, self._prepared())

    def _prepared(self) -> Preprocessing | None:
        """How the data of the published numbers was, where the study says so."""
        return self.study.prepared if isinstance(self.study, Ablation) else None

    def apart(self) -> list[str]:
        """Why published numbers of the study do not stand beside its own here, a sentence for each reason."""
        if isinstance(self.study, Sweep):
            return []
        ones: list[Cell | Fused] = [*self.study.cells(self.scale), *self.study.fused(self.scale)]
        told = (why for one in ones if one.published for why in reasons(one, self.load, self._prepared()).values())
        return list(dict.fromkeys(filter(None, told)))

    def fused(self, look: bool = False) -> list[Fused]:
        """The ensembles of the study, in a fusion under published and chosen weights. look: weights not chosen are now."""
        return [found for one in self._streams() for found in self._weighed(one, look)]

    def _streams(self) -> list[Fused]:
        """The ensembles as the study names them; expanded once."""
        if self._ensembles is None:
            found = [] if isinstance(self.study, Sweep) else self.study.fused(self.scale)
            self._ensembles = [self._compared(one.with_trials(self.pin_targets)) for one in found]
        return self._ensembles

    def _weighed(self, one: Fused, look: bool = False) -> list[Fused]:
        if not isinstance(self.study, Fusion):
            return [one]
        ensemble = chosen(self.study.at(self.scale), one, self.store, self.data(one.trial), look)
        return [closed(one)] if ensemble is None else [one, replace(one, arm=CHOSEN, ensemble=ensemble, published={})]

    def planned(self) -> list[Job]:
        """The jobs of a table, done or not, in the study's order: one for all cells that share an encoder.

        Of trials that differ in length alone the shorter comes first, so that the longer goes on from it.
        """
        if self._jobs is None:
            found: dict[tuple[str, int], Job] = {}
            for number, cell in enumerate(self.cells()):
                job = Job(number, cell.name, cell.trial, self._place(number))
                known = found.setdefault(job.key, job)
                new = [one for one in cell.trial.evaluations if one not in known.trial.evaluations]
                if new:
                    known.trial = replace(known.trial, evaluations=(*known.trial.evaluations, *new))
            self._jobs = _shorter_first(list(found.values()))
        return self._jobs

    def size(self) -> tuple[int, int, int]:
        """Trials in all, epochs of those that are missing (a sweep's at most), and trials that are done."""
        if self.search is not None:
            epochs = example(self.search.sweep, self.scale).epochs
            ended = [s for s in self.search.samples.values() if s.status in ("done", "stopped")]
            trials = max(self.search.sweep.samples, len(self.search.samples))
            return trials, epochs * (trials - len(ended)), len(ended)
        jobs = self.planned()
        missing = [job for job in jobs if not ledger.complete(job.trial, job.stored)]
        return len(jobs), sum(job.trial.epochs for job in missing), len(jobs) - len(missing)

    @contextmanager
    def session(self) -> Iterator[None]:
        """What holds while trials run: tables can be written, and no other run extends the same sweep's ledger."""
        check_writable(self.settings.results)
        with nullcontext() if self.search is None else self.search.claim():
            self._read_all()
            try:
                yield
            except BaseException:  # an interrupt: what has ended so far is in the tables
                with self.going_on("the tables"):
                    self.book.write()
                raise

    def jobs(self) -> Iterator[Job | None]:
        """What is missing, in the study's order; a sweep proposes each when it is asked for.

        None: nothing can start before a job that is under way has ended. No two jobs of one trial are under way at once:
        the later would only wait for the store.
        """
        missing, waiting, more = self._missing(), list[Job](), True
        while more or waiting:
            job = next((job for job in waiting if job.stored.id not in self.running), None)
            if job is not None:
                waiting.remove(job)
            elif more and (self.search is None or len(waiting) < 2):  # a sweep is not proposed ahead for this
                found = next(missing, self)
                if isinstance(found, Run):
                    more = False
                    continue
                if found is not None and found.stored.id in self.running:
                    waiting.append(found)
                    continue
                job = found
            if job is not None:
                self.running.add(job.stored.id)
            yield job

    def _missing(self) -> Iterator[Job | None]:
        if self.search is not None:
            yield from self._samples(self.search)
            return
        for job in self.planned():
            if not ledger.complete(job.trial, job.stored):
                yield job

    def _samples(self, search: Search) -> Iterator[Job | None]:
        for sample in search.unfinished():
            search.restart(sample)
            yield self._job(search, sample)
        while True:
            while not search.may_propose():
                yield None
            if (proposed := search.propose()) is None:
                return
            yield self._job(search, proposed)

    def _job(self, search: Search, sample: Sample) -> Job:
        trial = search.trial(sample)
        return Job(sample.number, search.arm(sample), trial, self.stored(trial), sample)

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Whether a job goes on after a report."""
        if self.search is None or job.sample is None or HELD_OUT not in report.metrics:
            return True
        with self.going_on("the ledger"):
            return self.search.read(job.sample, report.epoch, report.metrics[HELD_OUT], source)
        return bool(job.sample.goes_on(report.epoch))  # judged, if not written

    def ended(self, job: Job, status: str) -> None:
        """Keeps how a job ended and its rows; the tables follow when it costs little."""
        self.running.discard(job.stored.id)
        if self.search is not None and job.sample is not None:
            with self.going_on("the ledger"):
                self.search.end(job.sample, status)
        with self.going_on("the tables"):
            self._read(job)
            self.book.write_if_due()

    @contextmanager
    def going_on(self, what: str) -> Iterator[None]:
        """What cannot be written now costs no trial: it is said, and tried again, and raised at the end."""
        try:
            yield
        except (OSError, ValueError) as error:
            line = f"{what} could not be brought up to date: {' '.join(str(error).split())}; the run goes on"
            if line not in self._told:
                log.warning("%s", line)
            self._told.add(line)

    def _place(self, number: int) -> StoredTrial:
        if self._places is None:
            self._places = [self.stored(cell.trial) for cell in self.cells()]
        return self._places[number]

    def _read(self, job: Job) -> None:
        """The rows of the cells that share a job's encoder, and of the ensembles that they are in."""
        if job.sample is not None:
            self._read_sample(job.sample)
            return
        cells, ensembles = self._sharing().get(job.key, ([], []))
        for number in cells:
            self._read_cell(number)
        for number in ensembles:
            self._read_ensemble(number)

    def _sharing(self) -> dict[tuple[str, int], tuple[list[int], list[int]]]:
        """The cells and the ensembles, by number, that each encoder is for."""
        if self._shared is None:
            self._shared = {}
            for number, cell in enumerate(self.cells()):
                key = self._place(number).id, cell.trial.epochs
                self._shared.setdefault(key, ([], []))[0].append(number)
            for number, one in enumerate(self._streams()):
                for cell in one.members.values():
                    key = self.stored(cell.trial).id, cell.trial.epochs
                    self._shared.setdefault(key, ([], []))[1].append(number)
        return self._shared

    def _read_all(self) -> None:
        """Every row from the store."""
        for number in range(len(self.cells())):
            self._read_cell(number)
        for number in range(len(self._streams())):
            self._read_ensemble(number)
        if self.search is not None:
            for sample in self.search.samples.values():
                self._read_sample(sample)
        self._read_finals()

    def _read_cell(self, number: int) -> None:
        cell, stored = self.cells()[number], self._place(number)
        if not isinstance(self.study, Fusion):  # whose table is about ensembles alone
            self.book.put((0, number), ledger.cell_rows(self.name, cell, self.store, self.data(cell.trial), stored))
        self.book.curves[stored.id, cell.trial.epochs] = ledger.curve_rows(cell.trial, stored)
        write_pictures(self.name, ledger.pictures(cell, stored), self.settings.results)

    def _read_ensemble(self, number: int) -> None:
        found = self._weighed(self._streams()[number])
        data = self.data(self._streams()[number].trial)
        self.book.put((1, number), [row for one in found for row in ledger.fused_rows(self.name, one, self.store, data)])

    def _read_sample(self, sample: Sample) -> None:
        search = self.search
        if search is not None:
            trial = search.trial(sample)
            row = ledger.sample_row(self.name, search, sample, self.store, self.data(trial))
            self.book.put((2, sample.number), [] if row is None else [row])
            stored = self.stored(trial)
            self.book.curves[stored.id, trial.epochs] = ledger.curve_rows(trial, stored)

    def _read_finals(self) -> None:
        self.book.drop(3)
        for number, (arm, trial) in enumerate(self.finals().items()):
            self.book.put((3, number), ledger.cell_rows(self.name, Cell(arm, trial, {}), self.store, self.data(trial)))

    def write_tables(self) -> Path:
        """The tables from what the store holds now, finished or not."""
        self._read_all()
        return self.book.write()

    def finals(self) -> dict[str, Trial]:
        """The trials of a sweep that are evaluated on the test split: the published setting and the best sample."""
        if self.search is None:
            return {}
        best, first = self.search.best(), self.search.samples.get(0)
        finals = {}
        if first is not None and first.status == "done" and self.search.published:
            finals["published (test)"] = self.pin_targets(self.search.final(first))
        if best is not None:
            finals[f"best: {self.search.arm(best)} (test)"] = self.pin_targets(self.search.final(best))
        return finals

    def evaluate_finals(self, device: torch.device) -> None:
        """Once a search is over; trains nothing. One that fails is a failed row. Brings the tables up to date."""
        over = self.search is not None and self.search.over()
        finals = list(self.finals().values()) if over else []
        if isinstance(self.study, Fusion):
            finals = [cell.trial for one in self.fused(look=True) if one.arm == CHOSEN for cell in one.members.values()]
        for trial in finals:
            started = datetime.now(UTC)
            try:
                for _ in execute(trial, self.splits(trial), self.stored(trial), device, self.load):
                    pass
            except Exception as error:
                self.stored(trial).save_failure(trial.epochs, failure(error, device, started))
        if self.search is not None:
            self.search.flush()
        if isinstance(self.study, Fusion):
            for number in range(len(self._streams())):
                self._read_ensemble(number)
        self._read_finals()
        self.book.write()


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


def run_inline(run: Run, listener: Listener | None = None) -> None:
    """Everything in this process, one trial after the other."""
    listener = listener or Listener()
    device = machine.choose_device(run.settings.device)
    machine.configure_process(run.settings.threads)
    with run.session():
        for job in run.jobs():
            if job is None:
                raise RuntimeError("no trial is under way, and none can start")
            listener.started(job)
            status = _attempts(run, job, device, listener)
            run.ended(job, status)
            listener.ended(job, status)
        run.evaluate_finals(device)


def _attempts(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    for attempt in range(RETRIES + 1):
        started = datetime.now(UTC)
        try:
            return _attempt(run, job, device, listener)
        except _Failed as failed:
            kept = failure(failed.error, device, started)
            with run.going_on("the store"):
                job.stored.save_failure(job.trial.epochs, kept)
            if not kept["transient"]:
                break
            time.sleep(attempt)
    return "failed"


class _Failed(Exception):
    """The trial has failed, and not what listens to it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _attempt(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    source = provenance(device)
    with closing(_reports(run, job, device)) as reports:
        for report in reports:
            listener.report(job, report)
            if not run.should_continue(job, report, source):
                return "stopped"
    return "done"


def _reports(run: Run, job: Job, device: torch.device) -> Generator[Report, None, None]:
    """What ``execute`` reports. Raises _Failed for every error of it."""
    try:
        yield from execute(job.trial, run.splits(job.trial), job.stored, device, run.load)
    except Exception as error:
        raise _Failed(error) from error
