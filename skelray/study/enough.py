"""When a search ends early: a budget of hours or epochs, and a rule that its best has stopped improving."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from skelray.checks import UserError, check_number, check_positive, check_whole

HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


@dataclass(frozen=True)
class Budget:
    """The training that a search may spend before it stops proposing: hours or epochs of all samples together.

    Samples under way when it is spent are finished. A larger budget continues where a smaller one ended.
    """

    hours: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if (self.hours is None) == (self.epochs is None):
            raise UserError(f"Budget(hours={self.hours}, epochs={self.epochs}): one of the two is needed")
        if self.hours is not None:
            check_positive("hours", self.hours)
        if self.epochs is not None:
            check_whole("epochs", self.epochs, 1)

    @classmethod
    def of(cls, text: str) -> Budget:
        """Parses 8h, 30m, 2d or 500epochs. Raises UserError for anything else."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(m|h|d|epochs?)", text.strip())
        if found is None:
            raise UserError(f"--budget {text}: hours or epochs of all samples together are needed, as in 8h or 500epochs")
        number, unit = found.groups()
        if unit in HOURS:
            return cls(hours=float(number) * HOURS[unit])
        if "." in number:
            raise UserError(f"--budget {text}: a whole number of epochs is needed")
        return cls(epochs=int(number))

    def __str__(self) -> str:
        return f"{self.epochs} epochs" if self.epochs is not None else f"{self.hours:g} h of training"

    def spent(self, seconds: float, epochs: int) -> bool:
        return epochs >= self.epochs if self.epochs is not None else seconds / 3600 >= (self.hours or 0.0)


@dataclass(frozen=True)
class Stable:
    """A search is stable once its best has gained less than the seed noise over the last ``last`` samples that ended.

    The seed noise is the standard error of a sample's mean: the pooled standard deviation over the seeds of samples with
    several, divided by the root of their number. Without such samples it is ``noise``, a fraction.
    """

    last: int = 16
    noise: float = 0.01

    def __post_init__(self) -> None:
        check_whole("last", self.last, 1)
        check_number("noise", self.noise, 0)

    def __str__(self) -> str:
        return f"the best has gained less than the seed noise over {self.last} samples"

    def reached(self, values: Sequence[float], by_seed: Sequence[Sequence[float]]) -> bool:
        """Returns whether it is stable.

        values: final readings in order, of stopped samples their last; by_seed: of several seeds.
        """
        if len(values) <= self.last:
            return False
        several = [own for own in by_seed if len(own) > 1]
        noise = self.noise
        if several:
            noise = math.sqrt(statistics.fmean(statistics.variance(own) / len(own) for own in several))
        return max(values) - max(values[: -self.last]) < noise
