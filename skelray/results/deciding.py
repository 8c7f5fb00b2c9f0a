"""Which contrast gets more seeds next: the cheapest of those that are not decided and may come to be.

The rule, which a table records: contrasts are looked at after fixed numbers of pairs (``looks``). One that is decided gets
no more seeds, nor one that no look is likely to decide, going by its mean and sd so far. Of the others the one is taken
next that costs least until the look at which it is likely to be decided, and it gets the seeds of its next look.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from skelray.results.inference import ALPHA, POWER, floor, power, seeds_to_pass
from skelray.results.looks import schedule, spending


@dataclass(frozen=True)
class Open:
    """A contrast that is not decided. margin: as mean and sd are. family: how many are tested. cost: of a pair, any unit."""

    n: int
    mean: float
    sd: float
    family: int
    margin: float
    cost: float


def looks_for(families: Sequence[int], pairs: Sequence[int]) -> tuple[int, ...]:
    """Returns the numbers of pairs to look at, first those that are there, or that any p of the largest family needs."""
    return schedule(max([*pairs, *(seeds_to_pass(family, ALPHA * spending(1)) for family in families)]))


def next_look(n: int, looks: Sequence[int]) -> int | None:
    """Returns the first look beyond n pairs."""
    return next((look for look in looks if look > n), None)


def likely_look(one: Open, looks: Sequence[int]) -> int | None:
    """Returns the look at which the contrast is likely to be decided; None where none is.

    Before the first look, the first.
    """
    from scipy.special import stdtrit

    if one.n < looks[0] or not math.isfinite(one.sd):
        return next_look(one.n, looks)
    for k, pairs in enumerate(looks, 1):
        level = ALPHA * spending(k)
        if pairs <= one.n or one.family * floor(pairs) >= level:
            continue
        half = float(stdtrit(pairs - 1, 1 - level)) * one.sd / math.sqrt(pairs)
        if half < one.margin - abs(one.mean) or power(pairs, abs(one.mean), one.sd, level / one.family) >= POWER:
            return pairs
    return None


def cheapest(ones: Sequence[Open], looks: Sequence[int], afford: float = math.inf) -> int | None:
    """Returns the number of the contrast that gets the next seeds; None where what is left to spend decides none."""
    costs = {}
    for number, one in enumerate(ones):
        look = likely_look(one, looks)
        if look is not None and (cost := (look - one.n) * one.cost) <= afford:
            costs[number] = cost
    return min(costs, key=lambda number: costs[number]) if costs else None
