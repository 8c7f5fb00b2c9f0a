"""Asynchronous successive halving: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import check_whole
from skelray.study.stopping.rule import ON, PAUSE, STOP, Readings, Verdict, at


@dataclass(frozen=True)
class ASHA:
    """At epochs grace, grace x reduction, ... a sample goes on if it is among the best 1/reduction of all that got there.

    The paper's form is ``promotion``: a sample waits at a rung until enough others there are worse for it to be promoted;
    the rest are left waiting. Without it (the stopping form, Li's blog and Ray Tune) a sample is judged once, on arrival,
    against earlier ones, and the first always goes on.
    """

    grace: int = 25
    reduction: int = 3
    promotion: bool = False

    def __post_init__(self) -> None:
        check_whole("grace", self.grace, 1)
        check_whole("reduction", self.reduction, 2)

    def bracket(self, sample: int) -> int:
        """Returns 0: all samples are in one."""
        return 0

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        return halved(self, readings, sample, epoch)


def is_rung(epoch: int, grace: int, reduction: int) -> bool:
    """Returns whether an epoch is grace times a power of the reduction."""
    at = grace
    while at < epoch:
        at *= reduction
    return at == epoch


def halved(rule: ASHA, readings: Readings, sample: int, epoch: int) -> Verdict:
    """Returns the verdict of one bracket."""
    if not is_rung(epoch, rule.grace, rule.reduction):
        return ON
    value, others = readings[sample][epoch], at(readings, epoch, but=sample)
    if not value > float("-inf"):
        return STOP
    arrived = len(others) + 1
    if rule.promotion:  # of equals the earlier number: so exactly the best 1/reduction are promoted
        ahead = sum(other > value for other in others) + _earlier_equals(readings, sample, epoch)
        return ON if ahead < arrived // rule.reduction else PAUSE
    return ON if sum(other > value for other in others) < max(1, arrived // rule.reduction) else STOP


def _earlier_equals(readings: Readings, sample: int, epoch: int) -> int:
    value = readings[sample][epoch]
    return sum(own[epoch] == value for number, own in readings.items() if number < sample and epoch in own)
