"""A sweep under way: Optuna proposes, ASHA judges, and a ledger in the store remembers, so that nothing is ever lost.

Sampler and rungs are rebuilt from the ledger each time they are asked. A sample's proposal depends on (seed, number,
finished samples) alone, and a rung's verdict on the recorded values alone: a search that was killed and started again
proposes and stops exactly as one that ran through.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import TrialState, create_trial

from skelray.changes import Path, leaves
from skelray.checks import UserError
from skelray.scale import SCHEDULE, Scale
from skelray.store import Store
from skelray.study import Sweep
from skelray.trial import Trial, canonical, digest

_STATES = {
    "running": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass
class Sample:
    """One line of the ledger. rungs: held-out accuracy by epoch; status: running, done, stopped or failed.

    started: seconds since 1970; provenance: device, version and commit of its last reading.
    """

    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    status: str = "running"
    rungs: dict[int, float] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """The latest reading."""
        return self.rungs[max(self.rungs)] if self.rungs else None


def example(sweep: Sweep, scale: Scale) -> Trial:
    """Any trial of a sweep, to see which data it is about; recorded nowhere."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return sweep.trial(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask(), scale)


def check_scale(sweep: Sweep, scale: Scale, draws: int = 12) -> None:
    """Raises UserError where a scale would overwrite what the space suggests, or make one trial of two; asks for some."""
    if scale.as_published:
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for point in [study.ask() for _ in range(draws)]:
        try:
            own = leaves(sweep.space(point))
        except Exception:  # a sample that cannot be is not looked at
            continue
        found.append((own, leaves(sweep.trial(point, scale))))
    for path in sorted({path for own, _ in found for path in own if path[-1] not in (*SCHEDULE, "epochs")}):
        values = [(own[path], scaled.get(path)) for own, scaled in found if path in own]
        if len({before for before, _ in values}) > 1 and any(before != after for before, after in values):
            raise UserError(f"the space suggests {'.'.join(path)}, which would be the same in all samples {scale.said}")
    seen: dict[str, dict[Path, str]] = {}
    for own, scaled in found:
        other = seen.setdefault(digest(sorted(scaled.items())), own)
        if own != other:
            name = next(".".join(path) for path in own if own[path] != other.get(path))
            raise UserError(f"the space suggests {name}, in which samples would no longer differ {scale.said}")


def _within(distribution: optuna.distributions.BaseDistribution, value: Any) -> bool:
    low, high = (getattr(distribution, name, None) for name in ("low", "high"))
    return low is None or low <= value <= high


class Search:
    """The samples of a sweep at a scale on a data set; the study's name keeps ledgers apart that are alike."""

    def __init__(self, name: str, sweep: Sweep, scale: Scale, store: Store, data: str) -> None:
        self.sweep, self.scale, self.store = sweep.at(scale), scale, store
        self.published = dict(sweep.published)
        check_scale(sweep, scale)
        content = {
            "study": name,
            "space": canonical(sweep.space),
            "example": canonical(replace(example(sweep, scale), evaluations=())),  # what the source takes from elsewhere
            "published": sorted((name, canonical(value)) for name, value in sweep.published.items()),
            "sweep": canonical([sweep.sampler, sweep.asha, sweep.monitor]),
            "scale": canonical(replace(scale, samples=None)),
            "data": data,
        }
        self.folder = f"sweeps/{digest(content)}"
        self.samples: dict[int, Sample] = {}
        self._reload()

    def _reload(self) -> None:
        self.samples.clear()
        for file in self.store.names(self.folder):
            if file.endswith(".json"):
                entry = self.store.read_json(f"{self.folder}/{file}")
                entry["rungs"] = {int(epoch): value for epoch, value in entry["rungs"].items()}
                self.samples[entry["number"]] = Sample(**entry)

    def over(self) -> bool:
        """Whether every sample was proposed and has ended."""
        return len(self.samples) >= self.sweep.samples and all(s.status != "running" for s in self.samples.values())

    def unfinished(self) -> list[Sample]:
        """Samples that were proposed and neither ended nor failed for good: a killed run's, and failed ones to retry."""
        return [s for _, s in sorted(self.samples.items()) if s.status in ("running", "failed")]

    def propose(self) -> Sample | None:
        """The next sample, recorded before it is returned; None where all have been proposed."""
        number = next(n for n in range(len(self.samples) + 1) if n not in self.samples)  # one may have been deleted
        if number >= self.sweep.samples:
            return None
        study = self._study(number)
        if number == 0 and self.published:
            study.enqueue_trial(self.published)
        suggestion = study.ask()
        self.sweep.trial(suggestion, self.scale)  # draws the parameters
        if number == 0:
            self._check_published(suggestion)
        distributions = {name: distribution_to_json(d) for name, d in suggestion.distributions.items()}
        sample = Sample(number, dict(suggestion.params), distributions)
        self.record(sample)
        return sample

    def _check_published(self, suggestion: optuna.Trial) -> None:
        for name, value in self.published.items():
            if name not in suggestion.distributions:
                known = ", ".join(suggestion.distributions)
                raise UserError(f"published names {name!r}, which the space does not suggest; it has {known}")
            if suggestion.params[name] != value or not _within(suggestion.distributions[name], value):
                raise UserError(f"published {name} {value!r} is outside the space: {suggestion.distributions[name]}")

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """The ledger is this run's alone until it ends. Raises StoreError where another run of the sweep has it."""
        with self.store.claim(self.folder, wait=False):
            self._reload()
            yield

    def _study(self, number: int) -> optuna.Study:
        """Optuna's view of the ledger, with a sampler of its own for each sample."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        tpe = self.sweep.sampler
        sampler = optuna.samplers.TPESampler(
            seed=tpe.seed * 1_000_003 + number,
            n_startup_trials=tpe.startup,
            n_ei_candidates=24,
            multivariate=True,
            group=False,
            constant_liar=True,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _, sample in sorted(self.samples.items()):
            study.add_trial(
                create_trial(
                    state=_STATES[sample.status],
                    params=sample.params,
                    distributions={name: json_to_distribution(d) for name, d in sample.distributions.items()},
                    value=sample.value if sample.status == "done" else None,
                    intermediate_values=sample.rungs,
                )
            )
        return study

    def restart(self, sample: Sample) -> None:
        """A sample that was under way in a run that ended, or failed, is run again from its checkpoint."""
        sample.status = "running"
        self.record(sample)

    def arm(self, sample: Sample) -> str:
        return "published" if sample.number == 0 and self.published else f"sample {sample.number}"

    def trial(self, sample: Sample) -> Trial:
        return self.sweep.searched(optuna.trial.FixedTrial(sample.params), self.scale)

    def final(self, sample: Sample) -> Trial:
        """The trial with its evaluations on the test split, for the samples that are reported at the end."""
        return self.sweep.trial(optuna.trial.FixedTrial(sample.params), self.scale)

    def read(self, sample: Sample, epoch: int, value: float, provenance: dict[str, str]) -> bool:
        """Records a reading of the monitor; whether the sample goes on. The published setting always does."""
        trial = self.trial(sample)
        if sample.rungs.get(epoch) != value:
            sample.rungs[epoch], sample.provenance = value, provenance
            self.record(sample)
        asha = replace(self.sweep.asha, grace=trial.monitor.every if trial.monitor else self.sweep.asha.grace)
        if epoch not in asha.rungs(trial.epochs) or self.arm(sample) == "published":
            return True
        others = [s.rungs[epoch] for s in self.samples.values() if s is not sample and epoch in s.rungs]
        return asha.goes_on(value, others)

    def end(self, sample: Sample, status: str) -> None:
        sample.status = status
        self.record(sample)

    def best(self) -> Sample | None:
        """The finished sample with the best last reading; the earlier of equals."""
        done = [s for _, s in sorted(self.samples.items()) if s.status == "done" and s.value is not None]
        return max(done, key=lambda s: s.value or 0.0, default=None)

    def record(self, sample: Sample) -> None:
        self.samples[sample.number] = sample
        self.store.write_json(f"{self.folder}/{sample.number:06d}.json", asdict(sample))
