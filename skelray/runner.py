"""Executes a study: what is missing is run, in this process or on Ray, and the tables follow every trial that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from skelray import ledger, machine
from skelray.comparable import T, compared, reasons
from skelray.data.dataset import Splits, load
from skelray.execute import bound, execute, failure, provenance
from skelray.fusion import CHOSEN, Fusion, Study, closed
from skelray.names import HELD_OUT
from skelray.results import check_name, check_writable, write_pictures
from skelray.scale import Scale
from skelray.search import Sample, Search, example
from skelray.store import Store, StoredTrial
from skelray.study import Cell, Fused, Sweep
from skelray.training import Report
from skelray.trial import Trial, canonical
from skelray.weights import chosen

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
    """One trial to run. number: its place in the study, by which a worker finds it; params: a sweep's suggestion."""

    number: int
    name: str
    trial: Trial
    stored: StoredTrial
    sample: Sample | None = None
    config: dict[str, Any] = field(default_factory=dict)


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

    def bound(self, trial: Trial) -> Trial:
        """With the data named that its evaluations read elsewhere; raises DataError where that does not fit."""
        return bound(trial, self.splits(trial), self.load)

    def cells(self) -> list[Cell]:
        cells = [] if isinstance(self.study, Sweep) else self.study.cells(self.scale)
        return [self._compared(replace(cell, trial=self.bound(cell.trial))) for cell in cells]

    def _compared(self, one: T) -> T:
        """With the published numbers of data like this run's."""
        return compared(one, self.load, getattr(self.study, "prepared", None))

    def apart(self) -> list[str]:
        """Why published numbers of the study do not stand beside its own here, a sentence for each reason."""
        if isinstance(self.study, Sweep):
            return []
        ones: list[Cell | Fused] = [*self.study.cells(self.scale), *self.study.fused(self.scale)]
        prepared = getattr(self.study, "prepared", None)
        told = (why for one in ones if one.published for why in reasons(one, self.load, prepared).values())
        return list(dict.fromkeys(filter(None, told)))

    def fused(self, look: bool = False) -> list[Fused]:
        """The ensembles of the study, in a fusion under published and chosen weights. look: weights not chosen are now."""
        found = [] if isinstance(self.study, Sweep) else self.study.fused(self.scale)
        found = [self._compared(one.with_trials(self.bound)) for one in found]
        if not isinstance(self.study, Fusion):
            return found
        fusion, both = self.study.at(self.scale), []
        for one in found:
            ensemble = chosen(fusion, one, self.store, self.data(one.trial), look)
            both += [closed(one)] if ensemble is None else [one, replace(one, arm=CHOSEN, ensemble=ensemble, published={})]
        return both

    def size(self) -> tuple[int, int, int]:
        """Trials in all, epochs of those that are missing (a sweep's at most), and trials that are done."""
        if self.search is not None:
            epochs = example(self.search.sweep, self.scale).epochs
            ended = [s for s in self.search.samples.values() if s.status in ("done", "stopped")]
            trials = max(self.search.sweep.samples, len(self.search.samples))
            return trials, epochs * (trials - len(ended)), len(ended)
        cells = {(self.stored(cell.trial).id, cell.trial.epochs): cell.trial for cell in self.cells()}
        missing = [t for (id, _), t in cells.items() if not ledger.complete(t, self.store.trial(id))]
        return len(cells), sum(t.epochs for t in missing), len(cells) - len(missing)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """What holds while trials run: tables can be written, and no other run extends the same sweep's ledger."""
        check_writable(self.settings.results)
        with nullcontext() if self.search is None else self.search.claim():
            yield

    def jobs(self) -> Iterator[Job]:
        """What is missing, in the study's order; a sweep proposes each when it is asked for."""
        if self.search is not None:
            yield from self._samples(self.search)
            return
        seen = set()
        for number, cell in enumerate(self.cells()):
            stored = self.stored(cell.trial)
            if (stored.id, cell.trial.epochs) not in seen and not ledger.complete(cell.trial, stored):
                seen.add((stored.id, cell.trial.epochs))
                stored.save_spec({"trial": canonical(cell.trial), "data": self.data(cell.trial)})
                yield Job(number, cell.name, cell.trial, stored, config={"number": number, "id": stored.id})

    def _samples(self, search: Search) -> Iterator[Job]:
        for sample in search.unfinished():
            search.restart(sample)
            yield self._job(search, sample)
        while (proposed := search.propose()) is not None:
            yield self._job(search, proposed)

    def _job(self, search: Search, sample: Sample) -> Job:
        trial = search.trial(sample)
        stored = self.stored(trial)
        stored.save_spec({"trial": canonical(trial), "data": self.data(trial)})
        config = {"number": sample.number, "id": stored.id, "params": sample.params}
        return Job(sample.number, search.arm(sample), trial, stored, sample, config)

    def heard(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Whether a job goes on after a report."""
        if self.search is None or job.sample is None or HELD_OUT not in report.metrics:
            return True
        return self.search.read(job.sample, report.epoch, report.metrics[HELD_OUT], source)

    def ended(self, job: Job, status: str) -> None:
        """Keeps how a job ended and brings the tables up to date."""
        if self.search is not None and job.sample is not None:
            self.search.end(job.sample, status)
        self.write_tables()

    def write_tables(self) -> Path:
        """The tables from what the store holds now, finished or not."""
        rows: list[ledger.Row] = []
        trials: list[tuple[Trial, StoredTrial]] = []
        for cell in self.cells():
            if not isinstance(self.study, Fusion):  # whose table is about ensembles alone
                rows += ledger.cell_rows(self.name, cell, self.store, self.data(cell.trial))
            trials.append((cell.trial, self.stored(cell.trial)))
            write_pictures(self.name, ledger.pictures(cell, self.store, self.data(cell.trial)), self.settings.results)
        for one in self.fused():
            rows += ledger.fused_rows(self.name, one, self.store, self.data(one.trial))
        if self.search is not None:
            for _, sample in sorted(self.search.samples.items()):
                trial = self.search.trial(sample)
                row = ledger.sample_row(self.name, self.search, sample, self.store, self.data(trial))
                rows += [row] if row is not None else []
                trials.append((trial, self.stored(trial)))
            for arm, trial in self.finals().items():
                cell = Cell(arm, trial, {})
                rows += ledger.cell_rows(self.name, cell, self.store, self.data(trial))
        return ledger.write(self.name, rows, ledger.curve_rows(trials), self.settings.results)

    def finals(self) -> dict[str, Trial]:
        """The trials of a sweep that are evaluated on the test split: the published setting and the best sample."""
        if self.search is None:
            return {}
        best, first = self.search.best(), self.search.samples.get(0)
        finals = {}
        if first is not None and first.status == "done" and self.search.published:
            finals["published (test)"] = self.bound(self.search.final(first))
        if best is not None:
            finals[f"best: {self.search.arm(best)} (test)"] = self.bound(self.search.final(best))
        return finals

    def evaluate_finals(self, device: torch.device) -> None:
        """Once a search is over; trains nothing. One that fails is a failed row. Brings the tables up to date."""
        over = self.search is not None and self.search.over()
        finals = list(self.finals().values()) if over else []
        if isinstance(self.study, Fusion):
            finals = [cell.trial for one in self.fused(look=True) if one.arm == CHOSEN for cell in one.members.values()]
        for trial in finals:
            try:
                for _ in execute(trial, self.splits(trial), self.stored(trial), device, self.load):
                    pass
            except Exception as error:
                self.stored(trial).save_failure(trial.epochs, failure(error))
        self.write_tables()


def run_inline(run: Run, listener: Listener | None = None) -> None:
    """Everything in this process, one trial after the other."""
    listener = listener or Listener()
    device = machine.choose_device(run.settings.device)
    machine.settle(run.settings.threads)
    with run.begun():
        for job in run.jobs():
            listener.started(job)
            status = _attempts(run, job, device, listener)
            run.ended(job, status)
            listener.ended(job, status)
        run.evaluate_finals(device)


def _attempts(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    for attempt in range(RETRIES + 1):
        try:
            return _attempt(run, job, device, listener)
        except Exception as error:
            failed = failure(error)
            job.stored.save_failure(job.trial.epochs, failed)
            if not failed["transient"]:
                break
            time.sleep(attempt)
    return "failed"


def _attempt(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    source = provenance(device)
    with closing(execute(job.trial, run.splits(job.trial), job.stored, device, run.load)) as reports:
        for report in reports:
            listener.report(job, report)
            if not run.heard(job, report, source):
                return "stopped"
    return "done"
