"""A sweep under way: Optuna proposes, a rule judges, and a ledger in the store remembers, so that nothing is ever lost.

A sample's proposal depends on (seed, number, samples before it) alone and is recorded before it is used; a rung's verdict is
recorded with its reading, and neither is ever made again. So a search that was killed and started again proposes and stops
exactly as one that ran through.

Where several samples run at once, which of them has ended when another is proposed or judged is a matter of time. An ordered
search (``Scale.ordered`` = lag) looks at what is fixed by number alone: sample n is proposed once every sample up to n - lag
has ended, from their results and from the mere parameters of those between, and judged against the readings of those up to
n - lag. At most ``lag`` samples are under way at once, nobody waits at a rung, and the first sample that has not ended can
always run: so it ends whatever the number of slots, and the same. With a lag of 1 it is what one slot does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.search import judging, leading
from skelray.search.ledger import Ledger
from skelray.search.ledger_name import ledger_folder
from skelray.search.optuna_study import LedgerStorage
from skelray.search.progress import Progress, waiting_place
from skelray.search.proposals import proposed
from skelray.search.sample import Epoch, Sample, Seed
from skelray.search.space import check_named, check_scale, trial_of_point
from skelray.search.trials import Trials, first_seed
from skelray.store.store import Store
from skelray.study.scale import Scale
from skelray.study.stopping.rule import ON, PAUSE, Verdict
from skelray.study.sweep import Sweep
from skelray.trial import Trial


class Search:
    """The samples of a sweep at a scale on a data set; the study's name keeps ledgers apart that are alike."""

    def __init__(self, name: str, sweep: Sweep, scale: Scale, store: Store, data: str) -> None:
        self.name, self.sweep, self.scale, self.data = name, sweep.at_scale(scale), scale, data
        self.published = dict(sweep.published)
        self.used_up = False  # the space has no trial left that is not in the ledger
        check_named(sweep)
        check_scale(sweep, scale)
        if scale.ordered is not None and getattr(sweep.stopping, "promotion", False):
            raise UserError("--ordered: a rule with promotion=True decides by what has come so far, in no fixed order")
        self.ledger = Ledger(store, ledger_folder(name, sweep, scale, data))
        self.storage = LedgerStorage(name, self.ledger, tuple(sweep.objectives))
        self._trials = Trials(self.sweep, scale)
        self._progress = Progress(getattr(sweep.stopping, "bracket", None))
        self._numbers: dict[str, int] = {}  # of samples, by the id of their first trial
        self.ledger.add_follower(self._progress)
        self._index()

    @property
    def samples(self) -> dict[int, Sample]:
        """Returns the samples by number, as the ledger has them."""
        return self.ledger.samples

    # Whether it goes on

    def is_over(self) -> bool:
        """Returns whether every sample was proposed and has ended; a waiting one has, unless it may go on now."""
        if self.under_way():
            return False
        all_proposed = self.used_up or len(self.samples) >= self.sweep.samples
        return bool(self.enough()) or (all_proposed and self.promoted() is None)

    def is_budget_spent(self) -> bool:
        """Returns whether the budget is used up."""
        budget = self.scale.budget
        return budget is not None and budget.spent(self._progress.seconds, self._progress.epochs)

    def enough(self) -> str:
        """Returns why no further sample is proposed although one could be; an empty text if one is."""
        if self.is_budget_spent():
            return f"the budget of {self.scale.budget} is spent"
        until = self.scale.until
        if until is None:
            return ""
        ended = [s for _, s in sorted(self.samples.items()) if s.status not in ("running", "failed") and s.value is not None]
        by_seed = [[own[max(own)] for own in s.readings.values() if own] for s in ended if s.status == "done"]
        return str(until) if until.reached([s.value or 0.0 for s in ended], by_seed) else ""

    def under_way(self) -> bool:
        """Returns whether any sample was proposed and has not ended."""
        return bool(self._progress.running)

    def unfinished(self) -> list[Sample]:
        """Returns samples that were proposed and have not ended: a killed run's, and failed ones to try again."""
        return [s for _, s in sorted(self.samples.items()) if s.status in ("running", "failed")]

    def may_propose(self) -> bool:
        """Returns whether the next sample can be proposed now: an ordered search waits for the samples that decide it."""
        lag, number = self.scale.ordered, self._progress.next_number
        if lag is None or number >= self.sweep.samples:
            return True
        return all(under_way > number - lag for under_way in self._progress.running)

    # Proposals

    def propose(self) -> Sample | None:
        """Returns the next sample, recorded before it is returned; None if all have been proposed, or no other can be.

        One whose line was lost comes back as it was: from its copy, else from its seed and the samples before it.
        """
        number = self._progress.next_number
        if number >= self.sweep.samples or self.used_up:
            return None
        if why := self.enough():
            self.ledger.note_end(why, len(self.samples))
            return None
        sample = self.ledger.copy_of(number) or self._proposed(number)
        if sample is None:
            self.used_up = True
            return None
        sample.status, sample.readings = "running", {}
        self._complete(sample)
        if not self._numbers:
            self.ledger.write_about({"study": self.name, "objectives": list(self.sweep.objectives)})
        self.ledger.record(sample)
        self._numbers[_first_trial(sample)] = number
        return sample

    def _proposed(self, number: int) -> Sample | None:
        def known(suggestion: Any) -> bool:
            trial = trial_of_point(number, self.sweep.searched, suggestion, self.scale)
            return self._numbers.get(trial.id(self.data), number) != number

        reads_stopped = self.sweep.sampler.reads_stopped and not self.sweep.objectives
        self.storage.begin_draw(number, number - (self.scale.ordered or 1), "read" if reads_stopped else "ended")
        try:
            return proposed(self.sweep, number, self.storage, known)
        finally:
            self.storage.end_draw()

    def _complete(self, sample: Sample) -> None:
        """Adds what is known of a sample before it runs: its trials, and the further objectives."""
        trials = self._trials.of_new(sample)
        sample.trials = {trial.seed: trial.id(self.data) for trial in trials}
        for name, objective in self.sweep.objectives.items():
            value = call_contained(objective, trials[-1])
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(f"objective {name!r} is {value!r} for sample {sample.number}: a number is needed")
            sample.figures[name] = value

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keeps the ledger for this run alone until it ends. Raises StoreError if another run of the sweep has it."""
        with self.ledger.claim():
            self._trials.clear()
            self._index()
            yield

    def _index(self) -> None:
        self._numbers = {_first_trial(sample): number for number, sample in sorted(self.samples.items(), reverse=True)}

    def restart(self, sample: Sample) -> None:
        """Marks a sample that failed, or was cut with its run, as under way again: it goes on from its checkpoint."""
        sample.status = "running"
        self.ledger.record(sample)

    # What a sample is

    def arm_label(self, sample: Sample) -> str:
        return "published" if sample.number == 0 and self.published else f"sample {sample.number}"

    def trial(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """Returns the trial that is trained for a sample under a seed, by default the first."""
        return self._trials.searched(sample, seed)

    def final(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """Returns the trial with its evaluations on the test split, for samples that are reported at the end."""
        return self._trials.final(sample, seed)

    def seeds_left(self, sample: Sample) -> list[Seed]:
        """Returns the seeds of a sample under way that have not reached their last epoch; all seeds, if each has."""
        last = self.trial(sample).epochs
        return [seed for seed in sample.trials if last not in sample.readings.get(seed, {})] or list(sample.trials)

    # What becomes of it

    def verdict(self, sample: Sample, epoch: Epoch, value: float, seed: Seed | None = None) -> Verdict:
        """Returns the verdict on a sample after a reading of the monitor.

        Raises UserError, with the line, if the rule fails.

        The published setting goes on, and so does what is at its last epoch. What was judged before is not judged again.
        The reading that a rule sees is the mean over the seeds that have come to this epoch.
        """
        seed = first_seed(sample) if seed is None else seed
        if (verdict := judging.known(sample, seed, epoch)) is not None:
            return verdict
        judging.check_finite(sample, epoch, value)
        if self.arm_label(sample) == "published" or epoch >= self.trial(sample, seed).epochs:
            return ON
        readings = {**sample.readings, seed: {**sample.readings.get(seed, {}), epoch: value}}
        return self._judged(replace(sample, readings=readings), seed, epoch)

    def _judged(self, sample: Sample, seed: Seed, epoch: Epoch) -> Verdict:
        """Returns the rule's verdict on a sample's reading, among the samples that it is compared with.

        In order these are the ones that it was proposed from; else all that were there when it started, and those since.
        """
        lag, trial = self.scale.ordered, self.trial(sample, seed)
        compared = self._progress.readings(sample) if lag is None else self._progress.until(sample.number - lag, sample)
        return judging.judged(self.sweep.stopping, sample, trial, epoch, compared)

    def record_reading(
        self,
        sample: Sample,
        epoch: Epoch,
        value: float,
        verdict: Verdict,
        provenance: dict[str, str],
        seed: Seed | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Records a reading of the monitor with its verdict. seconds: of the training since the last one."""
        seed = first_seed(sample) if seed is None else seed
        readings, verdicts = sample.readings.setdefault(seed, {}), sample.verdicts.setdefault(seed, {})
        if readings.get(epoch) != value or epoch not in verdicts:
            readings[epoch], sample.provenance = value, provenance
            sample.seconds += seconds
            verdicts.setdefault(epoch, verdict)
            self.ledger.record(sample)

    def promoted(self) -> tuple[Sample, Seed, Epoch] | None:
        """Returns the paused sample that may go on now, with where it waits; None if none may."""
        for number in self._progress.waiting():
            sample = self.samples[number]
            if (waits := waiting_place(sample)) is not None and self._judged(sample, *waits) == ON:
                return sample, *waits
        return None

    def promote(self) -> Sample | None:
        """Lets the paused sample that may go on now do so; the verdict where it waited is then that."""
        if self.enough() or (found := self.promoted()) is None:
            return None
        sample, seed, epoch = found
        sample.verdicts[seed][epoch] = ON
        if not any(PAUSE in own.values() for own in sample.verdicts.values()):
            sample.status = "running"
        self.ledger.record(sample)
        return sample

    def end_sample(self, sample: Sample, status: str) -> None:
        sample.status, sample.ended = status, time.time()
        self.ledger.record(sample)

    # Racers

    def record_race(self, sample: Sample, seed: Seed, value: float, seconds: float) -> None:
        """Records what a racer read at its end under a further seed."""
        judging.check_finite(sample, self.trial(sample).epochs, value)
        sample.raced[seed] = value
        sample.seconds += seconds
        self.ledger.record(sample)

    def record_lost_seed(self, sample: Sample, seed: Seed) -> None:
        """Records that a racer failed under a further seed, so that the race goes on without it."""
        if seed not in sample.lost_seeds:
            sample.notes["lost"] = [*sample.lost_seeds, seed]
            self.ledger.record(sample)

    def forgive(self, may_pass: Callable[[Sample, Seed], bool]) -> None:
        """Lets racers that failed in an earlier run try again where the cause may have passed.

        A race that goes no further stays as it ended: without the seeds of those that failed it would have another leader.
        """
        if self.is_budget_spent():
            return
        for sample in self.samples.values():
            if sample.lost_seeds != (left := [seed for seed in sample.lost_seeds if not may_pass(sample, seed)]):
                sample.notes["lost"] = left
                self.ledger.record(sample)

    # The best

    def best(self) -> Sample | None:
        """Returns the finished sample with the best last reading; the earlier of equals."""
        return leading.best(self.samples.values())

    def front(self) -> list[Sample]:
        """Returns the finished samples that no other beats in accuracy and in every further objective."""
        return leading.front(self.samples.values(), tuple(self.sweep.objectives))


def _first_trial(sample: Sample) -> str:
    """Returns the id of a sample's trial under its first seed."""
    return next(iter(sample.trials.values()), "")
