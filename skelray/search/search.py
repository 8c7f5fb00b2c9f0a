"""A sweep under way: Optuna proposes, ASHA judges, and a ledger in the store remembers, so that nothing is ever lost.

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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import optuna

from skelray.contained import contained
from skelray.identity.canonical import canonical, digest
from skelray.search.ledger import Ledger
from skelray.search.proposals import proposed
from skelray.search.sample import ON, STOP, Sample
from skelray.search.space import asked, check_scale, example, failing
from skelray.store.store import Store
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep
from skelray.trial import Trial


class Search:
    """The samples of a sweep at a scale on a data set; the study's name keeps ledgers apart that are alike."""

    def __init__(self, name: str, sweep: Sweep, scale: Scale, store: Store, data: str) -> None:
        self.sweep, self.scale = sweep.at(scale), scale
        self.published = dict(sweep.published)
        check_scale(sweep, scale)
        content = {
            "study": name,
            "space": canonical(sweep.space),
            "example": canonical(replace(example(sweep, scale), evaluations=())),  # what the source takes from elsewhere
            "published": sorted((name, canonical(value)) for name, value in sweep.published.items()),
            "sweep": canonical([sweep.sampler, sweep.stopping, sweep.monitor]),
            "scale": canonical(replace(scale, samples=None)),
            "data": data,
        }
        self.ledger = Ledger(store, f"sweeps/{digest(content)}")
        self._trials: dict[int, Trial] = {}

    @property
    def samples(self) -> dict[int, Sample]:
        """By number, as the ledger has them."""
        return self.ledger.samples

    def over(self) -> bool:
        """Whether every sample was proposed and has ended."""
        return len(self.samples) >= self.sweep.samples and all(s.status != "running" for s in self.samples.values())

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
        """The next sample, recorded before it is returned; None where all have been proposed.

        One whose line was lost comes back as it was: from its copy, else from its seed and the samples before it.
        """
        number = self._next()
        if number >= self.sweep.samples:
            return None
        sample = self.ledger.copy_of(number) or proposed(self.sweep, self.scale, number, self.samples)
        sample.status, sample.rungs = "running", {}
        self._trials.pop(number, None)
        self.ledger.record(sample)
        return sample

    @contextmanager
    def claim(self) -> Iterator[None]:
        """The ledger is this run's alone until it ends. Raises StoreError where another run of the sweep has it."""
        with self.ledger.claim():
            self._trials.clear()
            yield

    def restart(self, sample: Sample) -> None:
        """A sample that was under way in a run that ended, or failed, is run again from its checkpoint."""
        sample.status = "running"
        self.ledger.record(sample)

    def arm(self, sample: Sample) -> str:
        return "published" if sample.number == 0 and self.published else f"sample {sample.number}"

    def trial(self, sample: Sample) -> Trial:
        if sample.number not in self._trials:
            point = optuna.trial.FixedTrial(sample.params)
            self._trials[sample.number] = asked(sample.number, self.sweep.searched, point, self.scale)
        return self._trials[sample.number]

    def final(self, sample: Sample) -> Trial:
        """The trial with its evaluations on the test split, for the samples that are reported at the end."""
        return asked(sample.number, self.sweep.trial, optuna.trial.FixedTrial(sample.params), self.scale)

    def judge(self, sample: Sample, epoch: int, value: float) -> bool:
        """Whether a sample goes on after a reading of the monitor. Raises UserError, with the line, where the rule fails.

        The published setting always does. What was read and judged before is not judged again.
        """
        if (verdict := sample.goes_on(epoch)) is not None:
            return verdict
        trial = self.trial(sample)
        try:
            return contained(self._ruled, sample, trial, epoch, value)
        except Exception as error:
            raise failing("the stopping rule", sample.number, error) from error

    def _ruled(self, sample: Sample, trial: Trial, epoch: int, value: float) -> bool:
        """What the study's rule says, which may be code of its own."""
        rule = replace(self.sweep.stopping, grace=trial.monitor.every if trial.monitor else self.sweep.stopping.grace)
        if epoch not in rule.rungs(trial.epochs) or self.arm(sample) == "published":
            return True
        verdict: bool | None = rule.goes_on(value, [s.rungs[epoch] for s in self._rivals(sample) if epoch in s.rungs])
        if verdict is None:
            raise TypeError("goes_on() returns None: True or False is needed")
        return bool(verdict)

    def keep(self, sample: Sample, epoch: int, value: float, verdict: bool, provenance: dict[str, str]) -> None:
        """Records a reading of the monitor with its verdict."""
        if sample.rungs.get(epoch) != value or epoch not in sample.verdicts:
            sample.rungs[epoch], sample.provenance = value, provenance
            sample.verdicts[epoch] = ON if verdict else STOP
            self.ledger.record(sample)

    def _rivals(self, sample: Sample) -> list[Sample]:
        """The samples that one is compared with: in order, those that it was proposed from; else all that there are.

        A later number that started before it was there when it was lost and proposed again, and not when it was judged.
        """
        if self.scale.ordered is not None:
            return [s for n, s in sorted(self.samples.items()) if n <= sample.number - self.scale.ordered]
        others = [s for n, s in sorted(self.samples.items()) if n != sample.number]
        return [s for s in others if s.number < sample.number or s.started >= sample.started]

    def end(self, sample: Sample, status: str) -> None:
        sample.status = status
        self.ledger.record(sample)

    def best(self) -> Sample | None:
        """The finished sample with the best last reading; the earlier of equals."""
        done = [s for _, s in sorted(self.samples.items()) if s.status == "done" and s.value is not None]
        return max(done, key=lambda s: s.value or 0.0, default=None)
