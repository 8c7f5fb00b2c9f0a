"""Strong augmentations of HiCLR (Zhang et al., AAAI 2023): the random mask."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skelray.augment.view import AugmentationSet, View


@dataclass(frozen=True)
class MaskJoints:
    """Puts the model's mask value where ``keep`` is False. keep: (1 or N, T, V) bool; a StreamOp."""

    keep: Tensor

    def __call__(self, x: Tensor, value: Tensor) -> Tensor:
        return torch.where(self.keep[:, None, :, :, None], x, value.to(x.dtype))  # (N, C, T, V, M)


@dataclass(frozen=True)
class RandomMask:
    """In each frame int(ratio V) joints of the stream become one learnable value.

    per_sample: a mask for each sample; the released code shares one mask across the batch.
    """

    ratio: float = 0.1
    per_sample: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"RandomMask ratio {self.ratio}: a share of joints is between 0 and 1")

    def __call__(self, view: View) -> View:
        samples, _, frames, joints, _ = view.x.shape
        rank = view.uniform(samples if self.per_sample else 1, frames, joints).argsort(dim=2).argsort(dim=2)
        keep = rank >= int(joints * self.ratio)  # (1 or N, T, V)
        return replace(view, stream_ops=(*view.stream_ops, MaskJoints(keep)))


Mask = AugmentationSet("Mask", (RandomMask(),))
