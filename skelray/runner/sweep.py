"""The work of a sweep: a search proposes one sample after another, judges each at its rungs and evaluates the best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from skelray.checks import MOST
from skelray.names import HELD_OUT
from skelray.results.book import FINALS, FUSED_FINALS, SAMPLES, Book
from skelray.results.rows import cell_rows, complete, curve_rows, fused_rows, side_by_side
from skelray.results.sample_rows import sample_rows
from skelray.runner import finals
from skelray.runner.context import Context
from skelray.runner.fusing import fusing_jobs
from skelray.runner.job import Job
from skelray.runner.race import Standing, race_standing
from skelray.runner.work import Planned, RunSize, Savings, Searches
from skelray.search.sample import Sample, Seed
from skelray.search.saving import saved_at_most
from skelray.search.search import Search
from skelray.search.space import example_trial, example_trials
from skelray.study.cell import Cell, Fused
from skelray.study.stopping.rule import ON, PAUSE
from skelray.study.sweep import Sweep
from skelray.training import Report
from skelray.trial import Trial


@dataclass(frozen=True)
class _Part:
    """A job's part in a search: a sample under a seed, judged as it goes, or a racer; None: one of the finals."""

    sample: Sample | None = None
    seed: Seed = 0
    judged: bool = False


class SweepWork:
    """A job is a sample under a seed; then come the racers, and what the finals lack. Raises DataError without data."""

    most_waiting = 2.0

    def __init__(self, sweep: Sweep, context: Context) -> None:
        self._context, self._example = context, example_trial(sweep, context.scale)
        self.search = Search(context.name, sweep, context.scale, context.store, context.fingerprint(self._example))
        self._parts: dict[int, _Part] = {}
        self._finals: set[int] = set()  # under way, by number
        self._seconds: dict[int, float] = {}  # trained since the last reading, by job

    def claim(self) -> AbstractContextManager[None]:
        """Claims the ledger, so that no other run extends it."""
        return self.search.claim()

    def missing(self) -> Iterator[Job | None]:
        """Yields what an earlier run left unfinished, new samples, each proposed when it is asked for, and the race."""
        with self._context.tolerating_write_errors("the ledger"):
            self.search.forgive(self._may_pass)
        for sample in self.search.unfinished():
            self.search.restart(sample)
            yield from self._jobs(sample)
        yield from self._searched()
        yield from self._raced()
        yield from self._confirmed()
        yield from self._put_side_by_side()

    def _may_pass(self, sample: Sample, seed: Seed) -> bool:
        """Returns whether the cause of a racer's failure may pass, such as a lost node or a full disk."""
        trial = self.search.trial(sample, seed)
        failure = self._context.stored(trial).failure(trial.epochs)
        return failure is None or failure["transient"]

    def _searched(self) -> Iterator[Job | None]:
        while True:
            while not self.search.may_propose():
                yield None
            if (sample := self.search.promote() or self.search.propose()) is not None:
                yield from self._jobs(sample)
            elif self.search.under_way():  # what comes of it may let another go on
                yield None
            else:
                return

    def _jobs(self, sample: Sample) -> Iterator[Job]:
        """Yields a job for each of a sample's seeds, until one of them has stopped it."""
        for seed in self.search.seeds_left(sample):
            if sample.status == "running":
                yield self._job(sample, seed, judged=True)

    def _raced(self) -> Iterator[Job | None]:
        while (
            self.search.sweep.racing is not None and not self.search.is_budget_spent() and (needed := self._race().missing)
        ):
            yield from [self._job(sample, seed, judged=False) for sample, seed in needed]
            asked = {(sample.number, seed) for sample, seed in needed}
            while any((sample.number, seed) in asked for sample, seed in self._race().missing):
                yield None

    def _race(self) -> Standing:
        racing = self.search.sweep.racing
        return Standing(self.search.best(), ()) if racing is None else race_standing(self.search, racing)

    def _confirmed(self) -> Iterator[Job | None]:
        """Yields the finals: samples on the test split, and other streams, protocols and seeds, which are trained now."""
        own: dict[tuple[str, int], Cell] = {}
        for cell in self._cells():  # the published setting may be the best one, too
            own.setdefault((self._context.stored(cell.trial).id, cell.trial.epochs), cell)
        for number, cell in enumerate(own.values()):
            stored = self._context.stored(cell.trial)
            if not complete(cell.trial, stored):
                yield self._final(Job(-1 - number, self._named(cell), cell.trial, stored, final=True))

    def _put_side_by_side(self) -> Iterator[Job | None]:
        """Yields jobs for ensembles of finals that read their streams side by side, once the streams are there."""
        ensembles = finals.final_ensembles(self.search, self._cells())
        if any(side_by_side(evaluation) for one in ensembles for evaluation in one.trial.evaluations):
            while self._finals:
                yield None
            yield from map(self._final, fusing_jobs(ensembles, self._context))

    def _final(self, job: Job) -> Job:
        self._parts[job.number] = _Part()
        self._finals.add(job.number)
        return job

    def _job(self, sample: Sample, seed: Seed, judged: bool) -> Job:
        trial, arm = self.search.trial(sample, seed), self.search.arm_label(sample)
        seeds = list(sample.trials)
        place = seeds.index(seed) if seed in seeds else len(seeds) + seed
        number = place * MOST + sample.number
        self._parts[number] = _Part(sample, seed, judged)
        name = arm if seeds == [seed] else f"{arm} seed {seed}"
        return Job(number, name, trial, self._context.stored(trial))

    def should_continue(self, job: Job, report: Report, source: dict[str, str]) -> bool:
        """Asks the search's stopping rule about a reading of the monitor. Raises UserError if the rule fails."""
        part = self._parts[job.number]
        if not report.replayed:
            self._seconds[job.number] = self._seconds.get(job.number, 0.0) + report.seconds
        if part.sample is None or HELD_OUT not in report.metrics:
            return True
        value = report.metrics[HELD_OUT]
        if not part.judged:
            if report.epoch == job.trial.epochs:
                with self._context.tolerating_write_errors("the ledger"):
                    self.search.record_race(part.sample, part.seed, value, self._spent(job))
            return True
        verdict = self.search.verdict(part.sample, report.epoch, value, part.seed)
        with self._context.tolerating_write_errors("the ledger"):
            self.search.record_reading(part.sample, report.epoch, value, verdict, source, part.seed, self._spent(job))
        return verdict == ON

    def _spent(self, job: Job) -> float:
        return self._seconds.pop(job.number, 0.0)

    def ended(self, job: Job, status: str) -> str:
        """Keeps how a job ended; one that a rule has paused is to go on."""
        part = self._parts[job.number]
        sample = part.sample
        if sample is None:
            self._finals.discard(job.number)
            return status
        if not part.judged:
            if status == "failed":
                with self._context.tolerating_write_errors("the ledger"):
                    self.search.record_lost_seed(sample, part.seed)
            return status
        if status == "stopped" and PAUSE in sample.verdicts.get(part.seed, {}).values():
            status = "paused"
        more = status == "done" and any(
            job.trial.epochs not in sample.readings.get(seed, {}) for seed in sample.trials if seed != part.seed
        )
        if sample.status == "running" and not more:  # else another of its seeds has ended it, or is to come
            with self._context.tolerating_write_errors("the ledger"):
                self.search.end_sample(sample, status)
        return status

    def put(self, job: Job, book: Book) -> None:
        part = self._parts[job.number]
        if part.sample is not None:
            self._put_sample(part.sample, book)
        else:
            self._put_finals(book)

    def put_all(self, book: Book) -> None:
        for sample in self.search.samples.values():
            self._put_sample(sample, book)
        self._put_finals(book)

    def _put_sample(self, sample: Sample, book: Book) -> None:
        context = self._context
        book.put((SAMPLES, sample.number), sample_rows(context.name, self.search, sample, context.store))
        for seed in (*sample.trials, *sample.raced):
            trial = self.search.trial(sample, seed)
            stored = context.stored(trial)
            book.curves[stored.id, trial.epochs] = curve_rows(trial, stored)

    def _put_finals(self, book: Book, look: bool = False) -> None:
        """Puts the rows of the finals into the book. look: weights not chosen yet are chosen now."""
        context, own = self._context, self._cells()
        book.drop(FINALS)
        book.drop(FUSED_FINALS)
        for number, cell in enumerate(own):
            book.put((FINALS, number), cell_rows(context.name, cell, context.store, context.fingerprint(cell.trial)))
        for number, one in enumerate(self._fused(own, look)):
            book.put((FUSED_FINALS, number), fused_rows(context.name, one, context.store, context.fingerprint(one.trial)))

    def _cells(self) -> list[Cell]:
        """Returns what is evaluated on the test split: the published setting and the best sample so far."""
        pin, chosen = self._context.pin_targets, finals.finalists(self.search, self._race().leader)
        return [replace(cell, trial=pin(cell.trial)) for cell in finals.final_cells(self.search, chosen)]

    def _fused(self, own: list[Cell], look: bool) -> list[Fused]:
        return finals.weighed(finals.final_ensembles(self.search, own), self._context.store, self._context.fingerprint, look)

    def close(self, book: Book) -> None:
        self.search.ledger.flush()
        self._put_finals(book, look=True)

    def size(self) -> RunSize:
        ended = [s for s in self.search.samples.values() if s.status in ("done", "stopped", "paused")]
        trials = max(self.search.sweep.samples, len(self.search.samples))
        seeds = len(self.search.sweep.seeds_at(self._context.scale) or (0,))
        return RunSize(trials * seeds, self._example.epochs * seeds * (trials - len(ended)), len(ended) * seeds)

    def planned(self) -> list[Planned]:
        """Returns the samples so far, those to come, and what is evaluated in the end."""
        search, pin = self.search, self._context.pin_targets
        samples = [s for _, s in sorted(search.samples.items())]
        rows = [
            Planned(self._job(s, seed, judged=True).name, search.trial(s, seed), stopped=s.status in ("stopped", "paused"))
            for s in samples
            for seed in s.trials
        ]
        searched = replace(self._example, evaluations=())
        seeds = search.sweep.seeds_at(self._context.scale) or (searched.seed,)
        for n in range(len(samples), search.sweep.samples):
            for seed in seeds:
                name = f"sample {n}" + (f" seed {seed}" if len(seeds) > 1 else "")
                rows.append(Planned(f"{name}, if it runs to its end", replace(searched, seed=seed), open=True))
        if search.is_over():
            return rows + [Planned(self._named(cell), cell.trial, final=True) for cell in self._cells()]
        arms = [*(["published (test)"] if search.published else []), "best sample (test)"]
        return rows + [Planned(name, pin(self._example), final=True, open=True) for name in arms]

    def _named(self, cell: Cell) -> str:
        alone = not self.search.sweep.across and len(self.search.sweep.seeds_at(self._context.scale) or (0,)) == 1
        return cell.arm if alone and self.search.sweep.racing is None else cell.name

    def examples(self) -> list[Trial]:
        return example_trials(self.search.sweep, self._context.scale)

    def searches(self) -> Searches:
        return Searches()

    def savings(self) -> Savings:
        """Returns what the samples to come may save, each under every seed; the table says what the others have saved."""
        sweep, monitor = self.search.sweep, self._example.monitor
        rule = sweep.stopping if monitor is None else replace(sweep.stopping, grace=monitor.every)
        counts = len(self.search.samples), max(sweep.samples, len(self.search.samples))
        before, all_ = (saved_at_most(rule, n, self._example.epochs, bool(self.search.published)) for n in counts)
        if before is None or all_ is None:
            return Savings(stopped=None)
        return Savings(stopped=(all_ - before) * len(sweep.seeds_at(self._context.scale) or (0,)))

    def incomparable(self) -> list[str]:
        return []
