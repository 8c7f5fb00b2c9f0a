"""Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011): random words as a function of a counter and a key.

It uses integers alone, so that all devices and all ways to run a step compute the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF

Word = Tensor | int  # of 32 bits; a tensor is int64


def philox(counter: Sequence[Word], key: Sequence[Word]) -> tuple[Tensor, ...]:
    """Returns four random words for four of counter and two of key, broadcast together; at least one is a tensor."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high_a, low_a = _product(MULTIPLIERS[0], a)
        high_c, low_c = _product(MULTIPLIERS[1], c)
        a, b, c, d = high_c ^ b ^ k0, low_c, high_a ^ d ^ k1, low_a
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return a, b, c, d  # type: ignore[return-value]


def _product(multiplier: int, word: Word) -> tuple[Word, Word]:
    """Returns the high and the low word of a product, which wraps around in int64 without losing bits."""
    product = word * multiplier
    return (product >> 32) & WORD, product & WORD


def words(count: int, place: Sequence[Word], key: Sequence[Word], device: torch.device) -> Tensor:
    """Returns (count,) int64 random words, four to a block. place: the three counter words after the block's number."""
    blocks = torch.arange(-(-count // 4), device=device)
    return torch.stack(philox((blocks, *place), key), dim=1).flatten()[:count]
