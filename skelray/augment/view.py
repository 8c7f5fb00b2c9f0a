"""A view: a batch of sequences with its skeleton and everything that augmentations decide about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from skelray.augment.draws import Draws
from skelray.skeleton import Skeleton

# Acts on the stream tensor (N, C, T, V, M), after joints became bones or motion; gets the model's mask value (1,).
StreamOp = Callable[[Tensor, Tensor], Tensor]

# Acts on what a backbone aggregates joints with, entry (v, w) from v to w, each time it does so: a graph (K, V, V) that
# the batch shares or attention (B, K, V, V).
Rewire = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class View:
    """A batch under augmentation.

    x: (N, C, T, V, M) joint coordinates. present: (N, M) bool, which persons exist; one who appears in part of a clip is
    present in all of it, so that noise, blur, style and mask also reach the frames without them. branch: the name under
    which
    augmentations draw. lengths: (N,) int64, how many leading frames were recorded; the rest repeats them. stream_ops:
    operations deferred until the stream is formed. rewire: what acts on the backbone's graph.
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
        """Returns a fresh view. A person is present if any coordinate is non-zero; by default all frames are recorded."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        return cls(x, skeleton, x.ne(0).flatten(1, 3).any(dim=1), draws, lengths)  # present: (N, M)

    def on(self, branch: str) -> View:
        """Returns the same batch drawing under another branch's name."""
        return replace(self, branch=branch)

    def with_x(self, x: Tensor) -> View:
        return replace(self, x=x)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draws independently from U(low, high), in the view's dtype and on its device."""
        draw = self.draws.uniform(self.branch, shape, self.x.device, self.x.dtype)
        return draw.mul_(high - low).add_(low)

    def normal(self, std: float) -> Tensor:
        """Draws independently from N(0, std) for every coordinate. (N, C, T, V, M)."""
        return self.draws.normal(self.branch, self.x, std)

    def coin(self, probability: float) -> Tensor:
        """Tosses a coin for each sample, (N,) bool."""
        return self.uniform(len(self.x)) < probability

    def integers(self, low: int, high: int) -> Tensor:
        """Draws (N,) int64 from low..high inclusive, one for each sample."""
        return self.draws.integers(self.branch, low, high, len(self.x), self.x.device)


class Augmentation(Protocol):
    """A map from view to view with an independent draw for each sample; a frozen dataclass, so that a trial can name it."""

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
    """Returns a view for each branch; branch i applies the sets 0..i, each drawn anew (HiCLR, AAAI 2023, Eq. 2)."""
    views = []
    for i in range(len(arrangement)):
        branch = view.on(f"query{i}")
        for augment in arrangement[: i + 1]:
            branch = augment(branch)  # Eq. 2
        views.append(branch)
    return views
