"""The random numbers of augmentations: a generator for each name, as trials on a CPU use them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


class Draws:
    """Random generators of one epoch, one for each name, all decided by (seed, epoch).

    Nothing has to be saved to resume at an epoch, and equal names draw the same numbers in every arm of a study. On a CUDA
    device ``CounterDraws`` takes its place, which a captured step can replay.
    """

    def __init__(self, seed: int, epoch: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.device = seed, torch.device(device)
        self._epoch = epoch
        self._generators: dict[str, torch.Generator] = {}

    @property
    def epoch(self) -> int:
        return self._epoch

    def number(self, name: str) -> int:
        """Returns the 63-bit seed of a name."""
        digest = hashlib.sha256(f"{self.seed}/{self.epoch}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self._generators:
            self._generators[name] = torch.Generator(self.device).manual_seed(self.number(name))
        return self._generators[name]

    def uniform(self, name: str, shape: Sequence[int], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draws independently from U[0, 1)."""
        return torch.rand(*shape, generator=self[name], device=device, dtype=dtype)

    def normal(self, name: str, like: Tensor, std: float) -> Tensor:
        """Draws independently from N(0, std), in the shape and on the device of ``like``."""
        return torch.empty_like(like).normal_(0.0, std, generator=self[name])

    def integers(self, name: str, low: int, high: int, count: int, device: torch.device) -> Tensor:
        """Draws (count,) int64 from low..high inclusive."""
        return torch.randint(low, high + 1, (count,), generator=self[name], device=device)
