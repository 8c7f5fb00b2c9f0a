"""The percentile rule, and the median rule of Golovin et al., Google Vizier, KDD 2017, as Optuna has them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from skelray.checks import UserError, check_positive, check_whole
from skelray.study.stopping.rule import ON, STOP, Readings, Verdict, readings_at


@dataclass(frozen=True)
class Percentile:
    """Stops a sample whose best accuracy so far is below what the best ``keep`` percent of the others have at this epoch.

    startup: how many others must have reached it first; after: a sample's first readings that are never judged.
    """

    keep: float = 25.0
    grace: int = 25
    startup: int = 5
    after: int = 0

    def __post_init__(self) -> None:
        check_positive("keep", self.keep)
        if self.keep > 100:
            raise UserError(f"keep {self.keep}: a percentage, at most 100, is needed")
        check_whole("grace", self.grace, 1)
        check_whole("startup", self.startup, 1)
        check_whole("after", self.after, 0)

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        others = readings_at(readings, epoch, but=sample)
        own = [value for e, value in readings[sample].items() if e <= epoch and not math.isnan(value)]
        if not own:
            return STOP
        if epoch <= self.after * self.grace or len(others) < self.startup:
            return ON
        return ON if max(own) >= float(np.percentile(np.maximum(others, -1.0), 100 - self.keep)) else STOP


@dataclass(frozen=True)
class Median:
    """Stops a sample whose best accuracy so far is below the median of the others at this epoch.

    startup: how many others must have reached it first; after: a sample's first readings that are never judged.
    """

    grace: int = 25
    startup: int = 5
    after: int = 0

    def __post_init__(self) -> None:
        self._as_percentile()

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        return self._as_percentile().verdict(readings, sample, epoch)

    def _as_percentile(self) -> Percentile:
        return Percentile(50.0, self.grace, self.startup, self.after)
