"""Strong augmentations of HiCLR (Zhang et al., AAAI 2023): random mask, dropped and added edges, exchanged style."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skelray.augment.draws import Draws
from skelray.augment.view import AugmentationSet, View
from skelray.checks import UserError


@dataclass(frozen=True, eq=False)
class MaskJoints:
    """A StreamOp that puts the model's mask value where ``keep`` is False.

    keep: (1 or N, T, V) bool. present: (N, M) bool, the persons to mask; None for all.
    """

    keep: Tensor
    present: Tensor | None = None

    def __call__(self, x: Tensor, value: Tensor) -> Tensor:
        keep = self.keep[:, None, :, :, None]  # (1 or N, 1, T, V, 1)
        if self.present is not None:
            keep = keep | ~self.present[:, None, None, None]  # (N, 1, T, V, M)
        return torch.where(keep, x, value.to(x.dtype))  # (N, C, T, V, M)


@dataclass(frozen=True)
class RandomMask:
    """Sets int(ratio V) joints of the stream in each frame to one learnable value.

    per_sample: a mask for each sample; the released code shares one mask across the batch. ghosts: absent persons are masked
    too, as released; once the value is learned, they are no longer zeros.
    """

    ratio: float = 0.1
    per_sample: bool = False
    ghosts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise UserError(f"RandomMask ratio {self.ratio}: a share of joints is between 0 and 1")

    def __call__(self, view: View) -> View:
        samples, _, frames, joints, _ = view.x.shape
        rank = view.uniform(samples if self.per_sample else 1, frames, joints).argsort(dim=2).argsort(dim=2)
        keep = rank >= int(joints * self.ratio)  # (1 or N, T, V)
        op = MaskJoints(keep, None if self.ghosts else view.present)
        return replace(view, stream_ops=(*view.stream_ops, op))


@dataclass(frozen=True, eq=False)
class RandomEdges:
    """A Rewire that draws anew at each call: entries vanish at a rate from U(0, drop), zeros appear at one from U(0, add).

    Kept entries are scaled by 1 / (1 - rate); added ones are 1 in a graph, the mean in attention; then the whole is scaled
    back to its sum.
    """

    drop: float
    add: float
    draws: Draws
    name: str

    def __call__(self, a: Tensor) -> Tensor:
        if self.drop:
            rate = self._uniform(a, 1) * self.drop
            a = drop_edges(a, self._uniform(a, *a.shape) >= rate, rate)
        if self.add:
            a = add_edges(a, self._uniform(a, *a.shape) < self._uniform(a, 1) * self.add)
        return a

    def _uniform(self, a: Tensor, *shape: int) -> Tensor:
        return self.draws.uniform(self.name, shape, a.device)


def drop_edges(a: Tensor, keep: Tensor, rate: Tensor) -> Tensor:
    """Drops entries. a: a graph (K, V, V) or attention (B, K, V, V); keep: bool, same shape."""
    return a * (keep / (1 - rate)).to(a.dtype)


def add_edges(a: Tensor, drawn: Tensor) -> Tensor:
    """Adds entries where ``drawn`` is True and a is zero; shapes as in drop_edges."""
    value = a.mean() if a.dim() == 4 else 1.0
    new = (drawn & (a == 0)).to(a.dtype) * value
    total = a.sum()
    return (a + new) * (total / (total + new.sum()))


@dataclass(frozen=True)
class DropAddEdges:
    """Drops and adds edges of the graph or of the attention at random in every layer, for the whole batch.

    drop, add: upper bounds of the rates. The released ST-GCN only drops; its DSTA-Net adds at up to 0.05. Of two in one
    arrangement the later acts on the result of the earlier.
    """

    drop: float = 0.1
    add: float = 0.05

    def __post_init__(self) -> None:
        for name in ("drop", "add"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"DropAddEdges {name} {getattr(self, name)}: a rate is at least 0 and below 1")

    def __call__(self, view: View) -> View:
        edges, earlier = RandomEdges(self.drop, self.add, view.draws, f"{view.branch}/edges"), view.rewire
        return replace(view, rewire=edges if earlier is None else lambda a: edges(earlier(a)))


@dataclass(frozen=True, eq=False)
class ExchangeStyle:
    """A StreamOp that gives each sample the mean and deviation of a partner.

    partner: (N,) int64. present: (N, M) bool; only pairs of present persons exchange. axes: what statistics are over.
    """

    partner: Tensor
    present: Tensor | None
    axes: tuple[int, ...]
    eps: float = 1e-5

    def __call__(self, x: Tensor, value: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, dim=self.axes, keepdim=True)
        std = (var + self.eps).sqrt()
        styled = (x - mean) / std * std[self.partner] + mean[self.partner]  # (N, C, T, V, M)
        if self.present is None:
            return styled
        both = self.present & self.present[self.partner]  # (N, M)
        return torch.where(both[:, None, None, None], styled, x)


@dataclass(frozen=True)
class SkeleAdaIN:
    """Exchanges mean and deviation of each person and channel with another sample's, by one shift for the whole batch.

    over: statistics of a "sequence" (frames and joints, as in the paper) or of a "frame" (joints; a released variant).
    ghosts: also if one of the two persons is absent, as released: an absent one then becomes a constant, a present one
    shrinks to a point.
    """

    over: str = "sequence"
    ghosts: bool = False

    def __post_init__(self) -> None:
        if self.over not in ("sequence", "frame"):
            raise UserError(f"SkeleAdaIN over {self.over!r} is none of sequence, frame")

    def __call__(self, view: View) -> View:
        samples = len(view.x)
        shift = view.draws.integers(view.branch, 1, max(1, samples - 2), 1, view.x.device)
        partner = (torch.arange(samples, device=view.x.device) + shift) % samples
        axes = (2, 3) if self.over == "sequence" else (3,)
        op = ExchangeStyle(partner, None if self.ghosts else view.present, axes)
        return replace(view, stream_ops=(*view.stream_ops, op))


Mask = AugmentationSet("Mask", (RandomMask(),))
DAE = AugmentationSet("DAE", (DropAddEdges(),))
AdaIN = AugmentationSet("AdaIN", (SkeleAdaIN(),))
