"""Long rows and few of them at a time: work on each element of a large tensor that stays in a CPU's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

PART = 2**19  # elements that are treated at a time
WIDE = 2**13  # and at most so many of them in a row


def steps_a_row(x: Tensor) -> int:
    """How many steps of x (..., L, C) make a row: loops over as many numbers as a step has channels would be too short."""
    steps, channels = x.shape[-2:]
    return steps if steps * channels <= WIDE else math.gcd(steps, max(1, WIDE // channels))


def long_rows(x: Tensor) -> Tensor:
    """A view of x (..., L, C), which lies in order, as (rows, K)."""
    return x.view(-1, steps_a_row(x) * x.shape[-1])


def parts(x: Tensor) -> Iterator[slice]:
    """Yields slices of the rows of x (rows, K)."""
    some = max(1, PART // x.shape[1])
    return (slice(start, start + some) for start in range(0, len(x), some))
