"""Basic augmentations (BA): temporal crop and shear, as SkeletonCLR, CrosSCLR, AimCLR and HiCLR use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skelray.augment.view import AugmentationSet, View
from skelray.checks import check_number, check_whole


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """Gathers frames: x (N, C, T, V, M), frames (N, T') -> (N, C, T', V, M)."""
    n = torch.arange(x.shape[0], device=x.device)[:, None, None]
    c = torch.arange(x.shape[1], device=x.device)[None, :, None]
    return x[n, c, frames[:, None, :]]  # (N, C, T', V, M)


def crop(x: Tensor, start: Tensor, pad: int) -> Tensor:
    """Cuts the window [start, start + T) out of each sequence, mirror-padded by ``pad`` frames with the edges repeated.

    x: (N, C, T, V, M); start: (N,) int64 in 0..2 pad.
    """
    frames = x.shape[2]
    at = start[:, None] + torch.arange(frames, device=x.device) - pad  # (N, T), from -pad to T - 1 + pad
    at = torch.where(at < 0, -1 - at, at)
    at = torch.where(at >= frames, 2 * frames - 1 - at, at)
    return take_frames(x, at)


def linear(x: Tensor, matrix: Tensor) -> Tensor:
    """Maps every joint p to matrix p. x: (N, 3, T, V, M), matrix: (N, 3, 3)."""
    return torch.bmm(matrix, x.flatten(2)).view_as(x)


@dataclass(frozen=True)
class Crop:
    """Temporal crop of a sequence mirror-padded by T // ratio frames at each end."""

    ratio: int = 6

    def __post_init__(self) -> None:
        check_whole("Crop ratio", self.ratio, 1)

    def __call__(self, view: View) -> View:
        pad = view.x.shape[2] // self.ratio
        return view.with_x(crop(view.x, view.integers(0, 2 * pad), pad))


@dataclass(frozen=True)
class Shear:
    """A shear with unit diagonal and six off-diagonal entries from U(-amplitude, amplitude), drawn for each sequence."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("amplitude",)

    amplitude: float = 0.5

    def __post_init__(self) -> None:
        check_number("Shear amplitude", self.amplitude, 0)

    def __call__(self, view: View) -> View:
        matrix = view.uniform(len(view.x), 3, 3, low=-self.amplitude, high=self.amplitude)
        matrix.diagonal(dim1=1, dim2=2).fill_(1)
        return view.with_x(linear(view.x, matrix))


BA = AugmentationSet("BA", (Crop(), Shear()))
