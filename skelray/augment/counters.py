"""Random numbers that are functions of where they are drawn, so that a captured step replays them anew."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from skelray.augment.draws import Draws
from skelray.augment.philox import WORD, words


class CannotCapture(Exception):
    """A step does what a replay would not do again; its words say what."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Where a trial stands, on its device: key (2,), two words of its seed; epoch and step (), all int64.

    A captured step reads it, and moves ``step`` itself.
    """

    key: Tensor
    epoch: Tensor
    step: Tensor

    @classmethod
    def of(cls, seed: int, device: torch.device | str) -> Clock:
        zero = torch.zeros((), dtype=torch.int64, device=device)
        return cls(torch.tensor(hashed(str(seed)), device=device), zero, zero.clone())


@lru_cache(maxsize=1024)
def hashed(text: str) -> tuple[int, int]:
    """Two words that a text decides."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return number >> 32, number & WORD


class CounterDraws(Draws):
    """Draws whose every number is decided by (seed, name, epoch, step, draws of that name before it, its place).

    The key of a draw is the seed's words, exclusive-or the name's, so that a step reads a seed from its device, whatever it
    draws. captured: whether a graph is to hold the step; then what a replay could not renew raises CannotCapture.
    """

    def __init__(self, seed: int, epoch: int, clock: Clock, captured: bool = False) -> None:
        super().__init__(seed, epoch, clock.step.device)
        self.clock, self.captured = clock, captured
        self._drawn: Counter[str] = Counter()

    def begin(self) -> None:
        """Starts a step: draws of each name are counted from 0."""
        self._drawn.clear()

    @property
    def epoch(self) -> int:
        if self.captured:
            raise CannotCapture("it reads the number of the epoch, which a captured step does not have")
        return super().epoch

    def __getitem__(self, name: str) -> torch.Generator:
        if self.captured:
            raise CannotCapture("it draws from a torch.Generator: let view.uniform, coin, integers or normal draw")
        return super().__getitem__(name)

    def words(self, name: str, count: int) -> Tensor:
        """(count,) int64 of 32 random bits each."""
        number, name_key, clock = self._drawn[name], hashed(name), self.clock
        self._drawn[name] += 1
        key = clock.key[0] ^ name_key[0], clock.key[1] ^ name_key[1]
        return words(count, (number, clock.step, clock.epoch), key, self.device)

    def uniform(self, name: str, shape: Sequence[int], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        drawn = self.words(name, math.prod(shape)).view(*shape)
        return (drawn >> 8).to(dtype) * 2.0**-24

    def normal(self, name: str, like: Tensor, std: float) -> Tensor:
        """By Box and Muller (1958)."""
        radius, angle = self.uniform(name, (2, *like.shape), like.device, like.dtype)
        return torch.sqrt(-2 * torch.log(1 - radius)) * torch.cos(2 * math.pi * angle) * std

    def integers(self, name: str, low: int, high: int, count: int, device: torch.device) -> Tensor:
        return (self.words(name, count) * (high + 1 - low) >> 32) + low
