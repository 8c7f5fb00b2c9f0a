"""No stopping: every sample is trained to its end."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import check_whole
from skelray.study.stopping.rule import ON, Readings, Verdict


@dataclass(frozen=True)
class Never:
    """Reads the monitor every ``grace`` epochs and never stops a sample."""

    grace: int = 25

    def __post_init__(self) -> None:
        check_whole("grace", self.grace, 1)

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        return ON
