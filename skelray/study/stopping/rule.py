"""The contract of a stopping rule: for each reading of a sample, it decides to go on, stop, or pause."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

Verdict = Literal["on", "pause", "stop"]
ON: Verdict = "on"
PAUSE: Verdict = "pause"
STOP: Verdict = "stop"

Readings = Mapping[int, Mapping[int, float]]  # held-out accuracy by sample and epoch


@runtime_checkable
class Rule(Protocol):
    """A rule that stops samples early: a frozen dataclass, so that it is part of a sweep's identity.

    A reading is judged on arrival. "on" and "stop" are final: the verdict is stored with the reading and never made again. A
    paused sample is judged again whenever a slot is free, and continues from its checkpoint once the verdict is "on".

    A rule may have ``bracket(sample)``, a number: samples are compared within a bracket, and where the best that waits there
    at an epoch may not go on, no other may. So one of them is asked about; without ``bracket`` the best 32 are.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def grace(self) -> int:
        """The epochs between two readings of the monitor, a field; it shrinks with a shortened schedule."""
        ...

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        """Returns the verdict on a sample after its reading at an epoch, which is not its last.

        readings: of the sample and of all it is compared with, so far. The verdict depends on the arguments alone, so that
        it can be repeated; readings are not modified.
        """
        ...


def asked(rule: Rule, readings: Readings, sample: int, epoch: int) -> Verdict:
    """Returns a rule's verdict, perhaps of a study's own code. Raises TypeError for an invalid one."""
    found: object = rule.verdict(readings, sample, epoch)
    if found not in (ON, PAUSE, STOP):
        raise TypeError(f"verdict() returns {found!r}: 'on', 'pause' or 'stop' is needed")
    return found


def at(readings: Readings, epoch: int, but: int | None = None) -> list[float]:
    """Returns the samples' readings at an epoch, but for one sample; NaN counts as lowest."""
    found = (own[epoch] for number, own in readings.items() if number != but and epoch in own)
    return [-math.inf if math.isnan(value) else value for value in found]
