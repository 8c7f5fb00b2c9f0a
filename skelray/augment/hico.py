"""Augmentations of HiCo (Dong et al., AAAI 2023): crop and resize, then joint corruption or a shear (methods.md, 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from skelray.augment.basic import Shear, linear, take_frames
from skelray.augment.normal import check_probability, each
from skelray.augment.strong import MaskJoints
from skelray.augment.view import Augmentation, AugmentationSet, View
from skelray.checks import UserError, check_whole

JOINTS = 25  # of the skeleton whose joints HiCo counts
SHARED = ("lengths", "stream_ops", "rewire")  # of a view, what cannot differ between its samples


def resize(x: Tensor, start: Tensor, length: Tensor, frames: int) -> Tensor:
    """Resamples the window [start, start + length) of each sequence to ``frames`` frames, linearly between frame centres.

    x: (N, C, T, V, M); start, length: (N,) int64 -> (N, C, frames, V, M).
    """
    step = torch.arange(frames, device=x.device)
    # (i + 1/2) length / frames - 1/2 as a fraction over 2 frames: integers, so that nothing is rounded
    at = (2 * step + 1) * length[:, None] - frames  # (N, frames)
    at = torch.minimum(at.clamp(min=0), 2 * frames * (length[:, None] - 1))
    low = at // (2 * frames)
    high = torch.minimum(low + 1, length[:, None] - 1)
    share = (at % (2 * frames)).to(x.dtype) / (2 * frames)
    before, after = take_frames(x, start[:, None] + low), take_frames(x, start[:, None] + high)
    return torch.lerp(before, after, share[:, None, :, None, None])


def window(recorded: Tensor, scale: Tensor, minimum: int) -> Tensor:
    """Returns how many recorded frames a crop keeps, (N,) int64: their share, but at least ``minimum`` or all of them."""
    return (recorded * scale).floor().long().clamp(min=minimum).minimum(recorded)


def corrupt(x: Tensor, chosen: Tensor, zero: Tensor, matrix: Tensor) -> Tensor:
    """Sets chosen joints to zero or multiplies their coordinates, as a row, by a matrix.

    x: (N, 3, T, V, M); chosen: (N, V) bool; zero: (N,) bool; matrix: (N, 3, 3).
    """
    moved = linear(x, matrix.mT * ~zero[:, None, None])
    return torch.where(chosen[:, None, None, :, None], moved, x)


def _resized(view: View, start: Tensor, length: Tensor, frames: int) -> View:
    if view.x.shape[2] != frames and any(isinstance(op, MaskJoints) for op in view.stream_ops):
        raise UserError(f"a mask of {view.x.shape[2]} frames does not fit {frames}: mask after what crops and resizes")
    x = resize(view.x, start, length, frames)
    return replace(view, x=x, lengths=torch.full_like(view.lengths, frames))


@dataclass(frozen=True)
class CropResize:
    """A random window of a share U(low, high) of the recorded frames, but at least ``minimum``, resized to ``frames``.

    A sequence of no more than ``minimum`` recorded frames is taken whole.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = ("low", "high")

    frames: int = 64
    low: float = 0.1
    high: float = 1.0
    minimum: int = 64

    def __post_init__(self) -> None:
        check_whole("CropResize frames", self.frames, 1)
        if not 0 <= self.low <= self.high <= 1:
            raise UserError(f"CropResize from {self.low} to {self.high}: shares with 0 <= low <= high <= 1 are needed")
        check_whole("CropResize minimum", self.minimum, 1)

    def __call__(self, view: View) -> View:
        recorded = view.lengths.clamp(min=1)
        scale = view.uniform(len(recorded), low=self.low, high=self.high)
        length = window(recorded, scale, self.minimum)
        starts = recorded - length + 1  # how many there are to choose from
        start = (view.uniform(len(recorded)) * starts).long().minimum(starts - 1)
        return _resized(view, start, length, self.frames)


@dataclass(frozen=True)
class CentreCrop:
    """The clip that is evaluated: the middle ``share`` of the recorded frames, resized to ``frames``. Draws nothing."""

    share: float = 0.95
    frames: int = 64

    def __post_init__(self) -> None:
        check_whole("CentreCrop frames", self.frames, 1)
        if not 0 < self.share <= 1:
            raise UserError(f"CentreCrop share {self.share}: above 0 and at most 1")

    def __call__(self, view: View) -> View:
        recorded = view.lengths.clamp(min=1)
        start = ((1 - self.share) * recorded.double() / 2).long()  # in double precision, where released code cuts it off
        return _resized(view, start, recorded - 2 * start, self.frames)


@dataclass(frozen=True)
class JointCorruption:
    """Sets a share of the joints, the same in all frames, to zero or maps them by a matrix with entries U(-1, 1).

    joints: how many of 25; another skeleton loses the same share of its own. probability: of zeros, else the matrix.
    """

    joints: int = 15
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_whole("JointCorruption joints", self.joints, 0)
        if self.joints > JOINTS:
            raise UserError(f"JointCorruption joints {self.joints}: how many of {JOINTS}, so between 0 and {JOINTS}")
        check_probability("JointCorruption", self.probability)

    def __call__(self, view: View) -> View:
        samples, _, _, joints, _ = view.x.shape
        rank = view.uniform(samples, joints).argsort(dim=1).argsort(dim=1)
        chosen = rank < joints * self.joints // JOINTS  # (N, V)
        matrix = view.uniform(samples, 3, 3, low=-1.0, high=1.0)
        return view.with_x(corrupt(view.x, chosen, view.coin(self.probability), matrix))


@dataclass(frozen=True)
class OneOf:
    """Applies one of the augmentations, chosen uniformly for each sample."""

    augmentations: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        if not self.augmentations:
            raise UserError("OneOf (): at least one augmentation to choose from is needed")

    def __call__(self, view: View) -> View:
        choice, x = view.integers(0, len(self.augmentations) - 1), view.x
        for i, augmentation in enumerate(self.augmentations):
            after = augmentation(view)
            if after.x.shape != x.shape or any(getattr(after, f) is not getattr(view, f) for f in SHARED):
                raise UserError(f"{augmentation} does more than move joints, so OneOf cannot choose it for single samples")
            x = each(choice == i, after.x, x)
        return view.with_x(x)


HICO = AugmentationSet("HiCo", (CropResize(), OneOf((JointCorruption(), Shear(amplitude=1.0)))))
