"""A floor: a sample below a fixed accuracy is stopped."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import UserError, check_number, check_whole
from skelray.study.stopping.rule import ON, STOP, Readings, Verdict


@dataclass(frozen=True)
class Threshold:
    """Stops a sample whose accuracy (a fraction) is below ``least`` at any reading after the first ``after`` ones.

    It needs no other samples, so that its verdict is the same whatever else runs.
    """

    least: float
    grace: int = 25
    after: int = 0

    def __post_init__(self) -> None:
        check_number("least", self.least, 0)
        if self.least > 1:
            raise UserError(f"least {self.least}: a fraction is needed, as {self.least / 100:g} for {self.least:g} %")
        check_whole("grace", self.grace, 1)
        check_whole("after", self.after, 0)

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        if epoch <= self.after * self.grace:
            return ON
        return ON if readings[sample][epoch] >= self.least else STOP
