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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna

from skelray.checks import UserError
from skelray.contained import contained
from skelray.identity.canonical import canonical, digest
from skelray.search import judging
from skelray.search.ledger import Ledger
from skelray.search.optuna_study import LedgerStorage
from skelray.search.proposals import proposed
from skelray.search.sample import Epoch, Sample, Seed
from skelray.search.space import asked, check_named, check_scale, example
from skelray.store.store import Store
from skelray.study.scale import Scale
from skelray.study.stopping.rule import ON, PAUSE, Verdict
from skelray.study.sweep import Sweep
from skelray.trial import Trial


class Search:
    """The samples of a sweep at a scale on a data set; the study's name keeps ledgers apart that are alike."""

    def __init__(self, name: str, sweep: Sweep, scale: Scale, store: Store, data: str) -> None:
        self.name, self.sweep, self.scale, self.data = name, sweep.at(scale), scale, data
        self.published = dict(sweep.published)
        self.used_up = False  # the space has no trial left that is not in the ledger
        check_named(sweep)
        check_scale(sweep, scale)
        if scale.ordered is not None and getattr(sweep.stopping, "promotion", False):
            raise UserError("--ordered: a rule with promotion=True decides by what has come so far, in no fixed order")
        content = {
            "study": name,
            "space": canonical(sweep.space),
            "example": canonical(replace(example(sweep, scale), evaluations=())),  # what the source takes from elsewhere
            "published": sorted((name, canonical(value)) for name, value in sweep.published.items()),
            "sweep": canonical([sweep.sampler, sweep.stopping, sweep.monitor, sweep.seeds]),
            "objectives": sorted((name, canonical(objective)) for name, objective in sweep.objectives.items()),
            "scale": canonical(replace(scale, samples=None, budget=None, until=None)),
            "data": data,
        }
        self.ledger = Ledger(store, f"sweeps/{digest(content)}")
        self.storage = LedgerStorage(name, self.ledger, tuple(sweep.objectives))
        self._trials: dict[tuple[int, Seed], Trial] = {}
        self._there: dict[str, int] = {}  # the samples' numbers by the id of their first trial
        self._index()

    @property
    def samples(self) -> dict[int, Sample]:
        """Returns the samples by number, as the ledger has them."""
        return self.ledger.samples

    def over(self) -> bool:
        """Whether every sample was proposed and has ended; one that waits has, unless it may go on now."""
        if self.under_way():
            return False
        proposed = self.used_up or len(self.samples) >= self.sweep.samples
        return bool(self.enough()) or (proposed and self.promoted() is None)

    def spent(self) -> bool:
        """Whether the budget is used up."""
        budget = self.scale.budget
        if budget is None:
            return False
        epochs = sum(s.epochs + len(s.raced) * self.trial(s).epochs for s in self.samples.values())
        return budget.spent(sum(s.seconds for s in self.samples.values()), epochs)

    def enough(self) -> str:
        """Why no further sample is proposed, though there could be; nothing where one is."""
        if self.spent():
            return f"the budget of {self.scale.budget} is spent"
        until = self.scale.until
        if until is None:
            return ""
        ended = [s for _, s in sorted(self.samples.items()) if s.status not in ("running", "failed") and s.value is not None]
        by_seed = [[own[max(own)] for own in s.readings.values() if own] for s in ended if s.status == "done"]
        return str(until) if until.reached([s.value or 0.0 for s in ended], by_seed) else ""

    def under_way(self) -> bool:
        """Whether any sample was proposed and has not ended."""
        return any(s.status == "running" for s in self.samples.values())

    def unfinished(self) -> list[Sample]:
        """Samples that were proposed and neither ended nor failed for good: a killed run's, and failed ones to retry."""
        return [s for _, s in sorted(self.samples.items()) if s.status in ("running", "failed")]

    def may_propose(self) -> bool:
        """Whether the next sample can be proposed now: an ordered search waits for the samples that it is decided by."""
        lag, number = self.scale.ordered, self._next()
        if lag is None or number >= self.sweep.samples:
            return True
        known = [self.samples.get(n) for n in range(number - lag + 1)]
        return all(sample is not None and sample.status != "running" for sample in known)

    def _next(self) -> int:
        return next(n for n in range(len(self.samples) + 1) if n not in self.samples)  # one may have been lost

    def propose(self) -> Sample | None:
        """The next sample, recorded before it is returned; None where all have been proposed, or no other can be.

        One whose line was lost comes back as it was: from its copy, else from its seed and the samples before it.
        """
        number = self._next()
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
        self._forget(number)
        self._complete(sample)
        if not self._there:
            self.ledger.describe({"study": self.name, "objectives": list(self.sweep.objectives)})
        self.ledger.record(sample)
        self._there[_first(sample)] = number
        return sample

    def _proposed(self, number: int) -> Sample | None:
        lag, reads_stopped = self.scale.ordered, self.sweep.sampler.reads_stopped

        def shown(sample: Sample) -> str:
            if sample.number >= number:
                return "nothing"
            if lag is not None and sample.number > number - lag:
                return "params"
            return "read" if reads_stopped and not self.sweep.objectives else "ended"

        def known(suggestion: Any) -> bool:
            trial = asked(number, self.sweep.searched, suggestion, self.scale)
            return self._there.get(trial.id(self.data), number) != number

        return proposed(self.sweep, number, self.storage, shown, known)

    def _complete(self, sample: Sample) -> None:
        """Adds what is known of a sample before it runs: its trials, and the further objectives."""
        for seed in self.sweep.seeds_at(self.scale) or (None,):
            trial = asked(sample.number, self.sweep.searched, self._point(sample), self.scale, seed)
            sample.trials[trial.seed] = trial.id(self.data)
            self._trials[sample.number, trial.seed] = trial
        for name, objective in self.sweep.objectives.items():
            value = contained(objective, trial)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(f"objective {name!r} is {value!r} for sample {sample.number}: a number is needed")
            sample.figures[name] = value

    @contextmanager
    def claim(self) -> Iterator[None]:
        """The ledger is this run's alone until it ends. Raises StoreError where another run of the sweep has it."""
        with self.ledger.claim():
            self._trials.clear()
            self._index()
            yield

    def _index(self) -> None:
        self._there = {_first(sample): number for number, sample in sorted(self.samples.items(), reverse=True)}

    def _forget(self, number: int) -> None:
        self._trials = {key: trial for key, trial in self._trials.items() if key[0] != number}

    def restart(self, sample: Sample) -> None:
        """A sample that was under way in a run that ended, or failed, is run again from its checkpoint."""
        sample.status = "running"
        self.ledger.record(sample)

    def arm(self, sample: Sample) -> str:
        return "published" if sample.number == 0 and self.published else f"sample {sample.number}"

    def trial(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """What is trained for a sample under a seed, the first by default."""
        seed = next(iter(sample.trials)) if seed is None else seed
        if (sample.number, seed) not in self._trials:
            found = asked(sample.number, self.sweep.searched, self._point(sample), self.scale, seed)
            self._trials[sample.number, seed] = found
        return self._trials[sample.number, seed]

    def final(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """The trial with its evaluations on the test split, for the samples that are reported at the end."""
        seed = next(iter(sample.trials)) if seed is None else seed
        return asked(sample.number, self.sweep.trial, self._point(sample), self.scale, seed)

    def _point(self, sample: Sample) -> optuna.trial.FixedTrial:
        return optuna.trial.FixedTrial(sample.params)

    def left(self, sample: Sample) -> list[Seed]:
        """The seeds of a sample under way that have not come to their last epoch; all, where none is left."""
        last = self.trial(sample).epochs
        return [seed for seed in sample.trials if last not in sample.readings.get(seed, {})] or list(sample.trials)

    def judge(self, sample: Sample, epoch: Epoch, value: float, seed: Seed | None = None) -> Verdict:
        """What becomes of a sample after a reading of the monitor. Raises UserError, with the line, where the rule fails.

        The published setting goes on, and so does what is at its last epoch. What was judged before is not judged again.
        The reading that a rule sees is the mean over the seeds that have come to this epoch.
        """
        seed = next(iter(sample.trials)) if seed is None else seed
        if (verdict := judging.known(sample, seed, epoch)) is not None:
            return verdict
        judging.check_finite(sample, epoch, value)
        trial = self.trial(sample, seed)
        if self.arm(sample) == "published" or epoch >= trial.epochs:
            return ON
        own = {**sample.readings, seed: {**sample.readings.get(seed, {}), epoch: value}}
        return judging.judged(self.sweep.stopping, replace(sample, readings=own), trial, epoch, self._rivals(sample))

    def keep(
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
        seed = next(iter(sample.trials)) if seed is None else seed
        readings, verdicts = sample.readings.setdefault(seed, {}), sample.verdicts.setdefault(seed, {})
        if readings.get(epoch) != value or epoch not in verdicts:
            readings[epoch], sample.provenance = value, provenance
            sample.seconds += seconds
            verdicts.setdefault(epoch, verdict)
            self.ledger.record(sample)

    def race(self, sample: Sample, seed: Seed, value: float, seconds: float) -> None:
        """Records what a racer read at its end under a further seed."""
        judging.check_finite(sample, self.trial(sample).epochs, value)
        sample.raced[seed] = value
        sample.seconds += seconds
        self.ledger.record(sample)

    def lose(self, sample: Sample, seed: Seed) -> None:
        """Records that a racer failed under a further seed, so that a run that goes on races without it."""
        if seed not in sample.lost:
            sample.notes["lost"] = [*sample.lost, seed]
            self.ledger.record(sample)

    def promoted(self) -> tuple[Sample, Seed, Epoch] | None:
        """The paused sample that may go on now, with where it waits."""
        for sample, seed, epoch in judging.waiting(self.samples.values()):
            trial = self.trial(sample, seed)
            if judging.judged(self.sweep.stopping, sample, trial, epoch, self._rivals(sample)) == ON:
                return sample, seed, epoch
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

    def _rivals(self, sample: Sample) -> list[Sample]:
        """The samples that one is compared with: in order, those that it was proposed from; else all that there are.

        A later number that started before it was there when it was lost and proposed again, and not when it was judged.
        """
        if self.scale.ordered is not None:
            return [s for n, s in sorted(self.samples.items()) if n <= sample.number - self.scale.ordered]
        others = [s for n, s in sorted(self.samples.items()) if n != sample.number]
        return [s for s in others if s.number < sample.number or s.started >= sample.started]

    def end(self, sample: Sample, status: str) -> None:
        sample.status, sample.ended = status, time.time()
        self.ledger.record(sample)

    def best(self) -> Sample | None:
        """The finished sample with the best last reading; the earlier of equals."""
        done = [s for _, s in sorted(self.samples.items()) if s.status == "done" and s.value is not None]
        return max(done, key=lambda s: s.value or 0.0, default=None)

    def front(self) -> list[Sample]:
        """The finished samples that no other beats in accuracy and in every further objective."""
        done = [s for _, s in sorted(self.samples.items()) if s.status == "done" and s.value is not None]
        values = {s.number: (-(s.value or 0.0), *(s.figures[name] for name in self.sweep.objectives)) for s in done}
        return [s for s in done if not any(_beats(other, values[s.number]) for other in values.values())]


def _first(sample: Sample) -> str:
    """The id of its trial under the first seed."""
    return next(iter(sample.trials.values()), "")


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one point is nowhere larger, and somewhere smaller."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
