"""Random numbers as functions of the position at which they are drawn, so that a replayed step draws new ones."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from skelray.augment.draws import Draws
from skelray.augment.philox import WORD, words


class CannotCapture(Exception):
    """A step does something that a replay would not repeat; the message says what."""


@dataclass(frozen=True, eq=False)
class Clock:
    """The position of a trial, on its device: key (2,), two words of its seed; epoch and step (), all int64.

    A captured step reads it and advances ``step`` itself.
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
    """Hashes a text to two words."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return number >> 32, number & WORD


class DrawPlace(NamedTuple):
    """The position of a draw: the trial's clock, the words of its name, and how many draws of it came before in the step."""

    clock: Clock
    name: tuple[int, int]
    number: int

    def words(self, count: int) -> Tensor:
        """Returns (count,) int64 of 32 random bits each."""
        clock, key = self.clock, self.clock.key
        words_of_key = key[0] ^ self.name[0], key[1] ^ self.name[1]
        return words(count, (self.number, clock.step, clock.epoch), words_of_key, key.device)

    def of_lanes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the clock as a kernel reads it that draws for several lanes: key (1, 2), epoch (1,), step ()."""
        return self.clock.key[None], self.clock.epoch[None], self.clock.step


@cache
def has_triton() -> bool:
    """Returns whether Triton is installed, which draws in one kernel on a GPU."""
    return find_spec("triton") is not None


def draws_in_one_kernel(device: torch.device) -> bool:
    """Returns whether a draw is one operator there. The meta device has shapes alone, and stands for a GPU."""
    return device.type == "meta" or (device.type == "cuda" and has_triton())


class _Drawn(torch.autograd.Function):
    """Draws of several lanes, (lanes, count), in one kernel; under vmap those of all lanes are one kernel's, too."""

    @staticmethod
    def forward(
        key: Tensor, epoch: Tensor, step: Tensor, name: tuple[int, int], number: int, count: int, dtype: torch.dtype
    ) -> Tensor:
        if key.is_meta:
            return torch.zeros(len(key), count, dtype=dtype, device=key.device)
        from skelray.augment import philox_kernel

        return philox_kernel.draw(key, epoch, step, name, number, count, dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing has a gradient."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, key: Tensor, epoch: Tensor, step: Tensor, *place: Any) -> tuple[Tensor, int]:
        lanes = lanes_first(key, in_dims[0]), lanes_first(epoch, in_dims[1])
        return cast(Tensor, _Drawn.apply(*(one.flatten(0, 1) for one in lanes), step, *place))[:, None], 0


def lanes_first(x: Tensor, dim: int | None) -> Tensor:
    """Returns a tensor of vmap's with its lanes in front. Raises ValueError where lanes share it."""
    if dim is None:
        raise ValueError("lanes share what each of them should have of its own")
    return x.movedim(dim, 0)


class CounterDraws(Draws):
    """Draws whose every number is decided by (seed, name, epoch, step, earlier draws of that name, index in the draw).

    A draw's key is the seed's words XOR the name's, so that a step reads the seed from its device. captured: whether the
    step
    is to become a graph; then CannotCapture is raised for whatever a replay could not renew.
    """

    def __init__(self, seed: int, epoch: int, clock: Clock, captured: bool = False) -> None:
        super().__init__(seed, epoch, clock.step.device)
        self.clock, self.captured = clock, captured
        self._drawn: Counter[str] = Counter()

    def begin(self) -> None:
        """Starts a step: the draws of each name count from 0 again."""
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

    def place(self, name: str) -> DrawPlace:
        """Returns the position of the next draw of this name."""
        number = self._drawn[name]
        self._drawn[name] += 1
        return DrawPlace(self.clock, hashed(name), number)

    def _draw(self, name: str, count: int, dtype: torch.dtype) -> Tensor:
        """Returns words as int64, or, as float32, their upper 24 bits as numbers of [0, 1)."""
        place = self.place(name)
        if draws_in_one_kernel(self.device):
            return cast(Tensor, _Drawn.apply(*place.of_lanes(), place.name, place.number, count, dtype)).squeeze(0)
        drawn = place.words(count)
        return drawn if dtype == torch.int64 else (drawn >> 8).to(dtype) * 2.0**-24

    def uniform(self, name: str, shape: Sequence[int], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._draw(name, math.prod(shape), torch.float32).view(*shape).to(dtype)

    def normal(self, name: str, like: Tensor, std: float) -> Tensor:
        """Draws by the transform of Box and Muller (1958)."""
        radius, angle = self.uniform(name, (2, *like.shape), like.device, like.dtype)
        return torch.sqrt(-2 * torch.log(1 - radius)) * torch.cos(2 * math.pi * angle) * std

    def integers(self, name: str, low: int, high: int, count: int, device: torch.device) -> Tensor:
        return (self._draw(name, count, torch.int64) * (high + 1 - low) >> 32) + low
