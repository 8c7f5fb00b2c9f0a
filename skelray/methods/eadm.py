"""AimCLR's energy-based attention-guided drop (Guo et al., AAAI 2022): salient joints and frames are dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skelray.checks import UserError, check_positive

FORMS = ("published", "released", "inert")
LEAST = 1 / (1 + math.exp(-0.5))  # attention of what lies at its channel's mean; no other is lower


@dataclass(frozen=True)
class EADM:
    """Drops joints, then frames, whose attention reaches ``threshold``, and scales up what is left (Algorithm 1).

    form: "published" averages the attention into a map over joints and one over frames of each body. "released" drops
    joints as published but then single elements instead of frames, rescales by the share kept in the whole batch, and
    takes the unbiased variance, where the paper divides by T V.
    "inert" is the identity, what the first release (December 2021) amounted to by an error in its masks.
    lambda_: the energy's regulariser (Eq. 3). The gradient passes through what is kept, never through the masks.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = ("threshold", "lambda_")

    form: str = "published"
    threshold: float = 0.7
    lambda_: float = 1e-4

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"form {self.form!r} is none of {', '.join(FORMS)}")
        if not LEAST < self.threshold <= 1:
            raise UserError(
                f"threshold {self.threshold}: attention is never below {LEAST:.4f}, the sigmoid of 1/2, and all of it would "
                "be dropped: a threshold above that, and at most 1, is needed"
            )
        check_positive("lambda_", self.lambda_)

    def __call__(self, features: Tensor) -> Tensor:
        """Drops from a feature map (N, M, T, V, C); same shape."""
        if self.form == "inert":
            return features
        with torch.no_grad():
            a = energy_attention(features, self.lambda_, unbiased=self.form == "released")
            joints = a.mean(dim=(2, 4), keepdim=True) < self.threshold  # (N, M, 1, V, 1)
            if self.form == "released":
                scale = _rescale(joints, None) * _rescale(kept := a < self.threshold, None)
            else:
                kept = a.mean(dim=(3, 4), keepdim=True) < self.threshold  # (N, M, T, 1, 1)
                scale = _rescale(joints, (2, 3, 4)) * _rescale(kept, (2, 3, 4))
            mask = (joints & kept) * scale
        return features * mask.to(features.dtype)


def energy_attention(features: Tensor, lambda_: float, unbiased: bool) -> Tensor:
    """Returns sigmoid(1 / e) of every element, e its energy among the frames and joints of its channel (Eq. 3).

    1 / e = (x - mean)^2 / (4 (var + lambda)) + 1/2.
    """
    x = features.float() if features.dtype in (torch.bfloat16, torch.float16) else features
    var, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=int(unbiased))
    apart = x - mean
    return torch.sigmoid(apart.mul_(apart).div_(4 * (var + lambda_)).add_(0.5))  # vmap has no rule for square_


def _rescale(kept: Tensor, dims: tuple[int, ...] | None) -> Tensor:
    """Returns 1 / the kept share of the batch or over ``dims``; 1 if nothing is kept (released code divides by 0)."""
    share = kept.double().mean() if dims is None else kept.double().mean(dim=dims, keepdim=True)
    return torch.where(share > 0, 1 / share, 1.0)
