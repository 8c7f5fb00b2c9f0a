"""Asynchronous HyperBand: Li et al., JMLR 2018; its brackets as in ASHA, MLSys 2020, section 3.2."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

from skelray.checks import check_whole
from skelray.study.stopping.asha import ASHA, halved
from skelray.study.stopping.rule import Readings, Verdict


@dataclass(frozen=True)
class HyperBand:
    """Brackets of ASHA side by side, for cases in which it is unknown how early a sample can be judged.

    Bracket b judges for the first time at epoch grace x reduction^b. A sample's number decides its bracket; bracket b gets
    reduction^-b of the samples, so that each takes about as many epochs. Samples are compared within their bracket.
    """

    grace: int = 25
    reduction: int = 3
    brackets: int = 3
    promotion: bool = False

    def __post_init__(self) -> None:
        ASHA(self.grace, self.reduction)
        check_whole("brackets", self.brackets, 1, 20)

    def bracket(self, sample: int) -> int:
        """Returns a sample's bracket: in each round, reduction^(brackets - 1 - b) samples of bracket b, earliest first."""
        ends = self._ends()
        return bisect(ends, sample % ends[-1])

    def _ends(self) -> list[int]:
        """Returns where each bracket ends in a round of samples."""
        return list(accumulate(self.reduction ** (self.brackets - 1 - b) for b in range(self.brackets)))

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        ends, bracket = self._ends(), self.bracket(sample)
        own = {number: read for number, read in readings.items() if bisect(ends, number % ends[-1]) == bracket}
        rule = ASHA(self.grace * self.reduction**bracket, self.reduction, self.promotion)
        return halved(rule, own, sample, epoch)
