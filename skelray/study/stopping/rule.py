"""What a stopping rule is: it says of each reading of a sample whether the sample goes on, stops, or waits."""

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
    """A rule that stops samples early: a frozen dataclass, so that a sweep is known by it.

    A reading is judged when it arrives. What goes on or stops does so for good: the verdict is kept with the reading and
    never made again. What is paused keeps its place and is asked about again when a slot is free; a sample that is told
    "on" then goes on from its checkpoint.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def grace(self) -> int:
        """A field: the epochs between two readings of the monitor; it shrinks with a schedule that is shortened."""
        ...

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        """What becomes of a sample after its reading at an epoch, which is among the readings; it is no trial's last.

        readings: of all samples that it is compared with, and its own, each as far as it has come. Nothing but these
        three decides, so that the same comes out whenever it is asked; readings are not written to.
        """
        ...


def asked(rule: Rule, readings: Readings, sample: int, epoch: int) -> Verdict:
    """What a rule says, which may be code of a study's own. Raises TypeError for what is no verdict."""
    found: object = rule.verdict(readings, sample, epoch)
    if found not in (ON, PAUSE, STOP):
        raise TypeError(f"verdict() returns {found!r}: 'on', 'pause' or 'stop' is needed")
    return found


def at(readings: Readings, epoch: int, but: int | None = None) -> list[float]:
    """What the samples had at an epoch, but for one of them; what is no number is as low as can be."""
    found = (own[epoch] for number, own in readings.items() if number != but and epoch in own)
    return [-math.inf if math.isnan(value) else value for value in found]
