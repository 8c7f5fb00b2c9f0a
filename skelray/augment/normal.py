"""Normal augmentations (NA): flip, rotation, noise, blur and axis mask; HiCLR's second set, part of AimCLR's extreme one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skelray.augment.basic import linear
from skelray.augment.indices import indices
from skelray.augment.view import AugmentationSet, View
from skelray.checks import UserError, check_number, check_whole


def each(coin: Tensor, changed: Tensor, x: Tensor) -> Tensor:
    """Takes ``changed`` for samples whose coin is True, ``x`` for the others. coin: (N,) bool."""
    return torch.where(coin[:, None, None, None, None], changed, x)


def blur(x: Tensor, sigma: Tensor, taps: int, normalise: bool) -> Tensor:
    """Blurs over time by a Gaussian with zero padding. x: (N, C, T, V, M), sigma: (N,) in frames."""
    offset = torch.arange(taps, device=x.device, dtype=x.dtype) - taps // 2
    weight = torch.exp(-(offset**2) / (2 * sigma[:, None] ** 2))  # (N, taps)
    if normalise:
        weight = weight / weight.sum(dim=1, keepdim=True)
    frame = torch.arange(x.shape[2], device=x.device)
    lag = frame[None, :] - frame[:, None] + taps // 2  # (T, T)
    inside = (lag >= 0) & (lag < taps)
    kernel = weight[:, lag.clamp(0, taps - 1)] * inside  # (N, T, T)
    return (kernel[:, None] @ x.flatten(3)).view_as(x)


def rotation(degrees: Tensor) -> Tensor:
    """Returns Rz Ry Rx of angles about x, y, z in degrees. (N, 3) -> (N, 3, 3), acting on column vectors."""
    c, s = torch.cos(degrees.deg2rad()), torch.sin(degrees.deg2rad())
    one, zero = torch.ones_like(c[:, 0]), torch.zeros_like(c[:, 0])

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).view(-1, 3, 3)

    x = matrix(one, zero, zero, zero, c[:, 0], s[:, 0], zero, -s[:, 0], c[:, 0])
    y = matrix(c[:, 1], zero, -s[:, 1], zero, one, zero, s[:, 1], zero, c[:, 1])
    z = matrix(c[:, 2], s[:, 2], zero, -s[:, 2], c[:, 2], zero, zero, zero, one)
    return z @ y @ x


def check_probability(name: str, probability: float) -> None:
    """Raises UserError unless 0 <= probability <= 1."""
    if not 0 <= probability <= 1:
        raise UserError(f"{name} probability {probability}: between 0 and 1")


@dataclass(frozen=True)
class Flip:
    """Exchanges left and right joints. mirror: also negate x, a true mirror image; released code only relabels."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("probability",)

    probability: float = 0.5
    mirror: bool = False

    def __post_init__(self) -> None:
        check_probability("Flip", self.probability)

    def __call__(self, view: View) -> View:
        flipped = view.x.index_select(3, indices(view.skeleton.mirrored, view.x.device))
        if self.mirror:
            flipped = torch.cat((-flipped[:, :1], flipped[:, 1:]), dim=1)
        return view.with_x(each(view.coin(self.probability), flipped, view.x))


@dataclass(frozen=True)
class Rotate:
    """Rotates by U(0, main) degrees about one axis and U(0, other) about the other two; one-sided, as released."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("main", "other")

    main: float = 30.0
    other: float = 1.0

    def __post_init__(self) -> None:
        check_number("Rotate main", self.main, 0)
        check_number("Rotate other", self.other, 0)

    def __call__(self, view: View) -> View:
        axis = view.integers(0, 2)
        is_main = torch.arange(3, device=axis.device) == axis[:, None]  # (N, 3)
        degrees = view.uniform(len(axis), 3) * torch.where(is_main, self.main, self.other).to(view.x.dtype)
        return view.with_x(linear(view.x, rotation(degrees)))


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise to every coordinate. ghosts: also to absent persons, a defect of the released code."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("std", "probability")

    std: float = 0.01
    probability: float = 0.5
    ghosts: bool = False

    def __post_init__(self) -> None:
        check_probability("Noise", self.probability)
        check_number("Noise std", self.std, 0)

    def __call__(self, view: View) -> View:
        noise = view.normal(self.std)
        if not self.ghosts:
            noise = noise * view.present[:, None, None, None, :]
        return view.with_x(each(view.coin(self.probability), view.x + noise, view.x))


@dataclass(frozen=True)
class Blur:
    """Gaussian blur over time, sigma ~ U(low, high) frames.

    normalise: the taps' weights sum to one; the released code leaves them unnormalised, which scales a sequence up to
    fivefold. Either way zeros lie beyond the ends of a clip, so its first and last frames are drawn towards zero.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = ("low", "high", "probability")

    low: float = 0.1
    high: float = 2.0
    taps: int = 15
    probability: float = 0.5
    normalise: bool = True

    def __post_init__(self) -> None:
        if not (0 < self.low <= self.high and math.isfinite(self.high)):
            raise UserError(f"Blur sigma from {self.low} to {self.high}: need 0 < low <= high")
        check_whole("Blur taps", self.taps, 1)
        if self.taps % 2 == 0:
            raise UserError(f"Blur taps {self.taps}: an odd number, so that the middle one is the frame itself")
        check_probability("Blur", self.probability)

    def __call__(self, view: View) -> View:
        sigma = view.uniform(len(view.x), low=self.low, high=self.high)
        blurred = blur(view.x, sigma, self.taps, self.normalise)
        return view.with_x(each(view.coin(self.probability), blurred, view.x))


@dataclass(frozen=True)
class AxisMask:
    """Sets one of x, y, z to zero in the whole sequence (HiCLR's channel mask)."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("probability",)

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability("AxisMask", self.probability)

    def __call__(self, view: View) -> View:
        axis = view.integers(0, view.x.shape[1] - 1)
        drop = (torch.arange(view.x.shape[1], device=axis.device) == axis[:, None]) & view.coin(self.probability)[:, None]
        return view.with_x(view.x * ~drop[:, :, None, None, None])


NA = AugmentationSet("NA", (Flip(), Rotate(), Noise(), Blur(), AxisMask()))
