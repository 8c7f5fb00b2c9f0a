"""Patience: a sample that has stopped improving is stopped."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import check_number, check_whole
from skelray.study.stopping.rule import ON, STOP, Readings, Verdict


@dataclass(frozen=True)
class Patience:
    """Stops a sample whose best accuracy has not risen by more than ``gain`` over its last ``readings`` readings."""

    readings: int = 4
    gain: float = 0.0
    grace: int = 25

    def __post_init__(self) -> None:
        check_whole("readings", self.readings, 1)
        check_number("gain", self.gain, 0)
        check_whole("grace", self.grace, 1)

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        own = readings[sample]
        values = [own[at] if own[at] == own[at] else float("-inf") for at in sorted(own) if at <= epoch]
        if len(values) <= self.readings:
            return ON
        return ON if max(values[-self.readings :]) > max(values[: -self.readings]) + self.gain else STOP
