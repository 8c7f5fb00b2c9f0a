"""Rules that stop a sample of a sweep early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from skelray.checks import UserError, check_whole


class Scheduler(Protocol):
    """A rule that stops samples early: a frozen dataclass, so that a sweep is known by it.

    A reading is judged once, when it arrives, and its verdict is kept with it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def grace(self) -> int:
        """A field: the epochs between two readings of the monitor; it shrinks with a schedule that is shortened."""
        ...

    def rungs(self, epochs: int) -> Sequence[int]:
        """The epochs of a trial of so many at which samples are compared: multiples of ``grace`` before the last."""
        ...

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """Whether a sample with this reading goes on. others: what every other sample had at this rung so far."""
        ...


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving (Li et al., MLSys 2020), the stopping form.

    At epochs grace, grace x reduction, ... a sample goes on if it is among the best 1/reduction of all that got there.
    """

    grace: int = 25
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.grace < 1 or self.reduction < 2:
            raise UserError(f"ASHA(grace={self.grace}, reduction={self.reduction}): at least 1 and 2")
        check_whole("grace", self.grace, 1)
        check_whole("reduction", self.reduction, 2)

    def rungs(self, epochs: int) -> list[int]:
        """The epochs at which samples are compared, before the last."""
        rungs, at = [], self.grace
        while at < epochs:
            rungs.append(at)
            at *= self.reduction
        return rungs

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """others: what every other sample had at this rung so far. The first to arrive goes on."""
        better = sum(other > value for other in others)
        return better < max(1, (len(others) + 1) // self.reduction)
