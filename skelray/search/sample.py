"""A sample of a sweep as its ledger keeps it, and what stored JSON has to be to count as one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.trial import TrialState, create_trial

from skelray.study.stopping.rule import ON, PAUSE, STOP, Verdict

STATES = {
    "running": TrialState.RUNNING,
    "paused": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

Seed = int
Epoch = int


@dataclass
class Sample:
    """One line of the ledger. readings: held-out accuracy by seed and epoch; verdicts: on, pause or stop, likewise.

    status: running, paused, done, stopped or failed. trials: ids in the store, by seed. figures: further objectives by name.
    raced: the last readings under seeds beyond the sweep's own. seconds: of training, under all seeds. started, ended:
    seconds since 1970. notes: what the sampler keeps with it and, under "lost", the further seeds under which it failed.
    provenance: device, version and commit of its last reading.
    """

    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    status: str = "running"
    readings: dict[Seed, dict[Epoch, float]] = field(default_factory=dict)
    verdicts: dict[Seed, dict[Epoch, Verdict]] = field(default_factory=dict)
    trials: dict[Seed, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    raced: dict[Seed, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    ended: float | None = None
    seconds: float = 0.0
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def rungs(self) -> dict[Epoch, float]:
        """The mean, at each epoch, over the seeds that have arrived there."""
        if len(self.readings) == 1:
            return next(iter(self.readings.values()))
        arrived: dict[Epoch, list[float]] = {}
        for own in self.readings.values():
            for epoch, value in own.items():
                arrived.setdefault(epoch, []).append(value)
        return {epoch: sum(values) / len(values) for epoch, values in sorted(arrived.items())}

    @property
    def lost_seeds(self) -> list[Seed]:
        """The further seeds under which it failed: it is out of the race in this run."""
        return list(self.notes.get("lost", ()))

    @property
    def value(self) -> float | None:
        """The latest reading."""
        rungs = self.rungs
        return rungs[max(rungs)] if rungs else None

    @property
    def epochs(self) -> int:
        """The epochs trained under all seeds, as far as readings tell."""
        return sum(max(own) for own in self.readings.values() if own)


_BY_SEED = ("readings", "verdicts")
_FIELDS = {field.name for field in fields(Sample)}


def sample_from(content: dict[str, Any]) -> Sample:
    """Returns the sample of stored JSON, in which seeds and epochs are text."""
    read = dict(content)
    for name in _BY_SEED:
        read[name] = {int(seed): {int(e): value for e, value in own.items()} for seed, own in content[name].items()}
    for name in ("trials", "raced"):
        read[name] = {int(seed): value for seed, value in content[name].items()}
    return Sample(**read)


def is_sample(content: Any) -> bool:
    """Returns whether stored JSON is a sample."""
    return (
        isinstance(content, dict)
        and content.keys() == _FIELDS
        and isinstance(content["number"], int)
        and content["status"] in STATES
        and _is_number(content["started"])
        and _is_number(content["seconds"])
        and (content["ended"] is None or _is_number(content["ended"]))
        and _keyed(content["readings"], lambda own: _keyed(own, _is_number))
        and _keyed(content["verdicts"], lambda own: _keyed(own, lambda value: value in (ON, PAUSE, STOP)))
        and _keyed(content["trials"], lambda id: isinstance(id, str))
        and _keyed(content["raced"], _is_number)
        and isinstance(content["notes"], dict)
        and _valued(content["figures"], _is_number)
        and _valued(content["provenance"], lambda told: isinstance(told, str))
        and _is_point(content["params"], content["distributions"])
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def _keyed(content: Any, fits: Callable[[Any], bool]) -> bool:
    """Returns whether a mapping's keys are whole numbers as text, and every value fits."""
    return _valued(content, fits) and all(key.isdecimal() for key in content)


def _valued(content: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(content, dict) and all(fits(value) for value in content.values())


def _is_point(params: Any, distributions: Any) -> bool:
    try:
        read = {name: json_to_distribution(text) for name, text in distributions.items()}
        create_trial(state=TrialState.RUNNING, params=params, distributions=read)
    except Exception:  # whatever rubbish makes Optuna raise
        return False
    return True
