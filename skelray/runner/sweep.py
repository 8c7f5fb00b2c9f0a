"""The work of a sweep: a search proposes one sample after another, judges each at its rungs and evaluates the best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from skelray.names import HELD_OUT
from skelray.results.book import FINALS, SAMPLES, Book
from skelray.results.rows import Row, cell_rows, curve_rows
from skelray.results.sample_rows import sample_rows
from skelray.runner.context import Context
from skelray.runner.job import Job
from skelray.runner.work import Planned, Searches, Size
from skelray.search.sample import Sample
from skelray.search.search import Search
from skelray.search.space import example
from skelray.study.ablation import Cell
from skelray.study.stopping.rule import ON, PAUSE
from skelray.study.sweep import Sweep
from skelray.training import Report
from skelray.trial import Trial


class SweepWork:
    """A job is a sample, and its number the sample's. Raises DataError where the data is missing."""

    most_waiting = 2.0

    def __init__(self, sweep: Sweep, context: Context) -> None:
        self._context, self._example = context, example(sweep, context.scale)
        self.search = Search(context.name, sweep, context.scale, context.store, context.data(self._example))

    def claim(self) -> AbstractContextManager[None]:
        """No other run extends the same ledger."""
        return self.search.claim()

    def missing(self) -> Iterator[Job | None]:
        """What an earlier run left unfinished, then new samples, each proposed when it is asked for."""
        for sample in self.search.unfinished():
            self.search.restart(sample)
            yield self._job(sample)
        while True:
            while not self.search.may_propose():
                yield None
            if (more := self.search.promote() or self.search.propose()) is not None:
                yield self._job(more)
            elif self.search.under_way():  # what comes of it may let another go on
                yield None
            else:
                return

    def _job(self, sample: Sample) -> Job:
        trial = self.search.trial(sample)
        return Job(sample.number, self.search.arm(sample), trial, self._context.stored(trial))

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """What the search's stopping rule says of a reading of the monitor. Raises UserError where the rule fails."""
        if HELD_OUT not in report.metrics:
            return True
        sample, value = self.search.samples[job.number], report.metrics[HELD_OUT]
        verdict = self.search.judge(sample, report.epoch, value)
        with self._context.going_on("the ledger"):
            self.search.keep(sample, report.epoch, value, verdict, source)
        return verdict == ON

    def ended(self, job: Job, status: str) -> None:
        sample = self.search.samples[job.number]
        paused = any(PAUSE in own.values() for own in sample.verdicts.values())
        with self._context.going_on("the ledger"):
            self.search.end(sample, "paused" if status == "stopped" and paused else status)

    def put(self, job: Job, book: Book) -> None:
        self._put_sample(self.search.samples[job.number], book)

    def put_all(self, book: Book) -> None:
        for sample in self.search.samples.values():
            self._put_sample(sample, book)
        self._put_finals(book)

    def _put_sample(self, sample: Sample, book: Book) -> None:
        context, rows = self._context, list[Row]()
        for seed in sample.trials:
            trial = self.search.trial(sample, seed)
            stored = context.stored(trial)
            rows += sample_rows(context.name, self.search, sample, seed, stored, context.data(trial))
            book.curves[stored.id, trial.epochs] = curve_rows(trial, stored)
        book.put((SAMPLES, sample.number), rows)

    def _put_finals(self, book: Book) -> None:
        context = self._context
        book.drop(FINALS)
        for number, (arm, trial) in enumerate(self._finals().items()):
            cell = Cell(arm, trial, {})
            book.put((FINALS, number), cell_rows(context.name, cell, context.store, context.data(trial)))

    def finals(self) -> list[Trial]:
        """Names the finals of a search that is over."""
        return list(self._finals().values()) if self.search.over() else []

    def _finals(self) -> dict[str, Trial]:
        """What is evaluated on the test split, by the arm of its row: the published setting and the best sample so far."""
        search, pin = self.search, self._context.pin_targets
        best, first = search.best(), search.samples.get(0)
        finals = {}
        if first is not None and first.status == "done" and search.published:
            finals["published (test)"] = pin(search.final(first))
        if best is not None:
            finals[f"best: {search.arm(best)} (test)"] = pin(search.final(best))
        return finals

    def close(self, book: Book) -> None:
        self.search.ledger.flush()
        self._put_finals(book)

    def size(self) -> Size:
        ended = [s for s in self.search.samples.values() if s.status in ("done", "stopped")]
        trials = max(self.search.sweep.samples, len(self.search.samples))
        return Size(trials, self._example.epochs * (trials - len(ended)), len(ended))

    def planned(self) -> list[Planned]:
        """The samples that are there, those to come, and what is evaluated in the end."""
        search, pin = self.search, self._context.pin_targets
        samples = [s for _, s in sorted(search.samples.items())]
        rows = [Planned(search.arm(s), search.trial(s), stopped=s.status == "stopped") for s in samples]
        searched = replace(self._example, evaluations=())
        rows += [
            Planned(f"sample {n}, if it runs to its end", searched, open=True)
            for n in range(len(samples), search.sweep.samples)
        ]
        if search.over():
            return rows + [Planned(arm, trial, final=True) for arm, trial in self._finals().items()]
        finals = [*(["published (test)"] if search.published else []), "best sample (test)"]
        return rows + [Planned(name, pin(self._example), final=True, open=True) for name in finals]

    def searches(self) -> Searches:
        return Searches()

    def apart(self) -> list[str]:
        return []
