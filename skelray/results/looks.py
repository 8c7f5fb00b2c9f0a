"""Looking more than once: seeds that are added until a contrast is decided do not make false alarms more frequent.

A contrast is looked at after fixed numbers of pairs, which are recorded before. Look k may spend the share 1/(k (k + 1)) of
the level, which is 1 over all k there ever can be, so the smallest p over its looks, each divided by its share, is a p value
wherever the looking stops and whyever it does (Bonferroni; alpha spending as in Lan and DeMets, Biometrika 1983).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from skelray.results.inference import floor, sign_flip

GROWTH = 1.5  # of the number of pairs from one look to the next
COUNT = 12  # looks that are planned: beyond a hundredfold of the first, no study goes


def spending(look: int) -> float:
    """Returns the share of the level that look 1, 2, ... may spend."""
    return 1 / (look * (look + 1))


def schedule(first: int) -> tuple[int, ...]:
    """Returns the numbers of pairs at which a contrast is looked at."""
    found = [first]
    while len(found) < COUNT:
        found.append(math.ceil(GROWTH * found[-1]))
    return tuple(found)


def looks_reached(n: int, looks: Sequence[int]) -> int:
    """Returns how many looks n pairs have come to; without a schedule, one."""
    return sum(look <= n for look in looks)


def always_valid(d: np.ndarray, looks: Sequence[int]) -> float:
    """Returns the p of the sign-flip test, corrected for the looks so far; 1 before the first look, NaN without pairs."""
    if not looks or not len(d):
        return sign_flip(d)
    found = [sign_flip(d[:n]) / spending(k) for k, n in enumerate(looks, 1) if n <= len(d)]
    return min(1.0, *found) if found else 1.0


def least(n: int, looks: Sequence[int]) -> float:
    """Returns the smallest p that n pairs can have, corrected as in ``always_valid``."""
    if not looks:
        return floor(n)
    return min([1.0, *(floor(look) / spending(k) for k, look in enumerate(looks, 1) if look <= n)])
