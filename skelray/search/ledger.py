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

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import TrialState, create_trial

from skelray.checks import UserError
from skelray.contained import contained
from skelray.identity.canonical import canonical, digest
from skelray.store.store import Store
from skelray.study.changes import Path, leaves
from skelray.study.scale import SCHEDULE, Scale
from skelray.study.sweep import Sweep
from skelray.trial import Trial

ON, STOP = "on", "stop"
_STATES = {
    "running": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass
class Sample:
    """One line of the ledger. rungs: held-out accuracy by epoch; status: running, done, stopped or failed.

    started: seconds since 1970; provenance: device, version and commit of its last reading. verdicts: by epoch, on or stop.
    """

    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    status: str = "running"
    rungs: dict[int, float] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    provenance: dict[str, str] = field(default_factory=dict)
    verdicts: dict[int, str] = field(default_factory=dict)

    def goes_on(self, epoch: int) -> bool | None:
        """The verdict at a reading; None where it has not been made."""
        if epoch in self.verdicts:
            return self.verdicts[epoch] == ON
        if any(later > epoch for later in self.rungs):
            return True  # recorded before verdicts were: it went on
        return False if self.status == "stopped" and epoch in self.rungs else None

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
            own = leaves(contained(sweep.space, point))
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


def _is_entry(content: Any) -> bool:
    """Whether JSON is a line of a ledger."""
    return (
        isinstance(content, dict)
        and _FIELDS - {"verdicts"} <= content.keys() <= _FIELDS
        and isinstance(content["number"], int)
        and content["status"] in _STATES
        and isinstance(content["started"], float | int)
        and isinstance(content["provenance"], dict)
        and all(isinstance(told, str) for told in content["provenance"].values())
        and _by_epoch(content["rungs"], lambda value: isinstance(value, float | int) and math.isfinite(value))
        and _by_epoch(content.get("verdicts", {}), lambda value: value in (ON, STOP))
        and _is_point(content["params"], content["distributions"])
    )


def _by_epoch(content: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(content, dict) and all(epoch.isdecimal() and fits(value) for epoch, value in content.items())


def _is_point(params: Any, distributions: Any) -> bool:
    try:
        read = {name: json_to_distribution(text) for name, text in distributions.items()}
        create_trial(state=TrialState.RUNNING, params=params, distributions=read)
    except Exception:  # whatever rubbish makes Optuna raise
        return False
    return True


_FIELDS = {field.name for field in fields(Sample)}


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
        self._trials: dict[int, Trial] = {}
        self._unsaved: set[int] = set()  # numbers of samples that could not be written
        self._reload()

    def _reload(self) -> None:
        self.samples.clear()
        self._trials.clear()
        self._unsaved.clear()
        for file in self.store.names(self.folder):
            if file.endswith(".json") and (sample := self._entry(f"{self.folder}/{file}")) is not None:
                self.samples[sample.number] = sample

    def _entry(self, name: str) -> Sample | None:
        """A line of the ledger; None where there is none, or a damaged one."""
        number = name.rpartition("/")[2].removesuffix(".json")
        entry = self.store.read_json(name, lambda content: _is_entry(content) and f"{content['number']:06d}" == number)
        if entry is None:
            return None
        by_epoch = {
            name: {int(epoch): value for epoch, value in entry.get(name, {}).items()} for name in ("rungs", "verdicts")
        }
        return Sample(**{**entry, **by_epoch})

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
        sample = self._entry(self._copy(number)) or self._proposed(number)
        sample.status, sample.rungs = "running", {}
        self._trials.pop(number, None)
        self.record(sample)
        return sample

    def _proposed(self, number: int) -> Sample:
        study = self._study(number)
        if number == 0 and self.published:
            study.enqueue_trial(self.published)
        suggestion = study.ask()
        _asked(number, self.sweep.trial, suggestion, self.scale)  # draws the parameters
        if number == 0:
            self._check_published(suggestion)
        distributions = {name: distribution_to_json(d) for name, d in suggestion.distributions.items()}
        return Sample(number, dict(suggestion.params), distributions)

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
        with self.store.claim_at_once(self.folder):
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
        for before, sample in sorted(self.samples.items()):
            if before < number:
                study.add_trial(self._seen(sample, known=before <= number - (self.scale.ordered or 1)))
        return study

    def _seen(self, sample: Sample, known: bool) -> optuna.trial.FrozenTrial:
        """A sample as a later one's proposal sees it: in an ordered search some are known by their parameters alone."""
        known = known or self.scale.ordered is None
        return create_trial(
            state=_STATES[sample.status] if known else TrialState.RUNNING,
            params=sample.params,
            distributions={name: json_to_distribution(d) for name, d in sample.distributions.items()},
            value=sample.value if known and sample.status == "done" else None,
            intermediate_values=sample.rungs if known else {},
        )

    def restart(self, sample: Sample) -> None:
        """A sample that was under way in a run that ended, or failed, is run again from its checkpoint."""
        sample.status = "running"
        self.record(sample)

    def arm(self, sample: Sample) -> str:
        return "published" if sample.number == 0 and self.published else f"sample {sample.number}"

    def trial(self, sample: Sample) -> Trial:
        if sample.number not in self._trials:
            point = optuna.trial.FixedTrial(sample.params)
            self._trials[sample.number] = _asked(sample.number, self.sweep.searched, point, self.scale)
        return self._trials[sample.number]

    def final(self, sample: Sample) -> Trial:
        """The trial with its evaluations on the test split, for the samples that are reported at the end."""
        return _asked(sample.number, self.sweep.trial, optuna.trial.FixedTrial(sample.params), self.scale)

    def read(self, sample: Sample, epoch: int, value: float, provenance: dict[str, str]) -> bool:
        """Records a reading of the monitor with its verdict; whether the sample goes on.

        The published setting always does. What was read and judged before is not judged again.
        """
        verdict = sample.goes_on(epoch)
        if verdict is None:
            verdict = self._judged(sample, epoch, value)
        if sample.rungs.get(epoch) != value or epoch not in sample.verdicts:
            sample.rungs[epoch], sample.provenance = value, provenance
            sample.verdicts[epoch] = ON if verdict else STOP
            self.record(sample)
        return verdict

    def _judged(self, sample: Sample, epoch: int, value: float) -> bool:
        trial = self.trial(sample)
        asha = replace(self.sweep.asha, grace=trial.monitor.every if trial.monitor else self.sweep.asha.grace)
        if epoch not in asha.rungs(trial.epochs) or self.arm(sample) == "published":
            return True
        return asha.goes_on(value, [s.rungs[epoch] for s in self._rivals(sample) if epoch in s.rungs])

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
        self.record(sample)

    def best(self) -> Sample | None:
        """The finished sample with the best last reading; the earlier of equals."""
        done = [s for _, s in sorted(self.samples.items()) if s.status == "done" and s.value is not None]
        return max(done, key=lambda s: s.value or 0.0, default=None)

    def record(self, sample: Sample) -> None:
        """The line of a sample in the ledger, and a copy of it, which is read where the line is lost.

        Raises StoreError where it cannot be written; it is tried again with the next, and by ``flush``.
        """
        self.samples[sample.number] = sample
        self._unsaved.add(sample.number)
        self.flush()

    def flush(self) -> None:
        for number in sorted(self._unsaved):
            content = asdict(self.samples[number])
            self.store.write_json(f"{self.folder}/{number:06d}.json", content)
            self.store.write_json(self._copy(number), content)
            self._unsaved.discard(number)

    def _copy(self, number: int) -> str:
        return f"{self.folder}/copies/{number:06d}.json"


def _asked(number: int, ask: Callable[[Any, Scale], Trial], point: Any, scale: Scale) -> Trial:
    """A trial of the space. Raises UserError, with the line, where the study's own code fails."""
    try:
        return contained(ask, point, scale)
    except UserError:
        raise
    except Exception as error:
        frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
        line = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
        raise UserError(f"{line}space() fails for sample {number}: {type(error).__name__}: {error}") from error
