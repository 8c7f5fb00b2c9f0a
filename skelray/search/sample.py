"""A sample of a sweep as its ledger keeps it, and what stored JSON has to be to count as one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.trial import TrialState, create_trial

ON, STOP = "on", "stop"
STATES = {
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


_FIELDS = {field.name for field in fields(Sample)}


def sample_from(content: dict[str, Any]) -> Sample:
    """A sample of stored JSON, in which epochs are text."""
    by_epoch = {
        name: {int(epoch): value for epoch, value in content.get(name, {}).items()} for name in ("rungs", "verdicts")
    }
    return Sample(**{**content, **by_epoch})


def is_sample(content: Any) -> bool:
    """Whether stored JSON is a sample."""
    return (
        isinstance(content, dict)
        and _FIELDS - {"verdicts"} <= content.keys() <= _FIELDS
        and isinstance(content["number"], int)
        and content["status"] in STATES
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
