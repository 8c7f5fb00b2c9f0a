"""A view: a batch of sequences with its skeleton and everything an augmentation may have decided about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from skelray.skeleton import Skeleton

# Acts on the stream tensor (N, C, T, V, M), after joints became bones or motion; gets the model's mask value (1,).
StreamOp = Callable[[Tensor, Tensor], Tensor]

# Acts on what a backbone aggregates joints with, entry (v, w) from v to w, each time it does so: a graph (K, V, V) that
# the batch shares or attention (B, K, V, V).
Rewire = Callable[[Tensor], Tensor]


class Draws:
    """Random generators of one epoch, one for each name, all decided by (seed, epoch).

    Nothing has to be saved to resume at an epoch, and equal names draw the same numbers in every arm of a study.
    """

    def __init__(self, seed: int, epoch: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.epoch, self.device = seed, epoch, torch.device(device)
        self._generators: dict[str, torch.Generator] = {}

    def number(self, name: str) -> int:
        """The 63-bit seed of a name."""
        digest = hashlib.sha256(f"{self.seed}/{self.epoch}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self._generators:
            self._generators[name] = torch.Generator(self.device).manual_seed(self.number(name))
        return self._generators[name]


@dataclass(frozen=True, eq=False)
class View:
    """A batch under augmentation.

    x: (N, C, T, V, M) joint coordinates. present: (N, M) bool, which persons exist at all; one who is there for part of a
    clip is present in all of it, so that noise, blur, style and mask also reach the frames without them. branch: names the
    generator that augmentations draw from. lengths: (N,) int64, how many leading frames were recorded; what follows repeats
    them. stream_ops: what augmentations defer until the stream is formed. rewire: what they do to the backbone's graph.
    """

    x: Tensor
    skeleton: Skeleton
    present: Tensor
    draws: Draws
    lengths: Tensor
    branch: str = "query"
    stream_ops: tuple[StreamOp, ...] = field(default=())
    rewire: Rewire | None = None

    @classmethod
    def of(cls, x: Tensor, skeleton: Skeleton, draws: Draws, lengths: Tensor | None = None) -> View:
        """A fresh view; a person is present where any coordinate is non-zero, and all frames are recorded by default."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        return cls(x, skeleton, x.ne(0).flatten(1, 3).any(dim=1), draws, lengths)  # present: (N, M)

    def on(self, branch: str) -> View:
        """The same batch, drawing from another branch's generator."""
        return replace(self, branch=branch)

    def with_x(self, x: Tensor) -> View:
        return replace(self, x=x)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Independent draws from U(low, high), of the view's dtype and device."""
        draw = torch.rand(*shape, generator=self.draws[self.branch], device=self.x.device, dtype=self.x.dtype)
        return draw.mul_(high - low).add_(low)

    def coin(self, probability: float) -> Tensor:
        """(N,) bool, one toss a sample."""
        return self.uniform(len(self.x)) < probability

    def integers(self, low: int, high: int) -> Tensor:
        """(N,) int64 from low..high inclusive, one draw a sample."""
        return torch.randint(low, high + 1, (len(self.x),), generator=self.draws[self.branch], device=self.x.device)


class Augmentation(Protocol):
    """Maps a view to a view, one independent draw a sample; a frozen dataclass, so that a trial can name it."""

    def __call__(self, view: View) -> View: ...


@dataclass(frozen=True)
class AugmentationSet:
    """A named sequence of augmentations; ``+`` appends."""

    name: str
    augmentations: tuple[Augmentation, ...]

    def __call__(self, view: View) -> View:
        for augmentation in self.augmentations:
            view = augmentation(view)
        return view

    def __add__(self, other: AugmentationSet) -> AugmentationSet:
        return AugmentationSet(f"{self.name}+{other.name}", self.augmentations + other.augmentations)

    def __str__(self) -> str:
        return self.name


IDENTITY = AugmentationSet("whole", ())  # changes nothing

Arrangement = tuple[AugmentationSet, ...]


def grow(arrangement: Arrangement, view: View) -> list[View]:
    """One view a branch: branch i applies the sets 0..i, each drawn anew (HiCLR, Zhang et al., AAAI 2023, Eq. 2)."""
    views = []
    for i in range(len(arrangement)):
        branch = view.on(f"query{i}")
        for augment in arrangement[: i + 1]:
            branch = augment(branch)  # Eq. 2
        views.append(branch)
    return views
