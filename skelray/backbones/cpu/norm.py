"""Batch norm over the last axis, with statistics as exact as the channels-first kernel's.

torch's channels-last kernel on the CPU adds rows up in single precision one after the other: over 320 000 rows its
output is off by 3e-4, a thousand times the error of its channels-first kernel. The statistics here come from sums
of centred parts, added up in double precision (6e-7 in the same setting); the normalising and its gradient are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = nn.BatchNorm1d | nn.BatchNorm2d
PART = 2**19  # elements that are treated at a time
WIDE = 2**13  # and at most so many of them in a row


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.eps = eps
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        grads = torch.ops.aten.native_batch_norm_backward(
            grad.contiguous(), x, weight, None, None, mean, scale, True, ctx.eps, [True, True, True]
        )
        return *grads, None, None, None


def _steps_a_row(x: Tensor) -> int:
    """Returns how many steps of x (..., L, C) form a row; rows of a single step would make too short loops."""
    steps, channels = x.shape[-2:]
    return steps if steps * channels <= WIDE else math.gcd(steps, max(1, WIDE // channels))


def _long_rows(x: Tensor) -> Tensor:
    """Returns a view of contiguous x (..., L, C) as (rows, K)."""
    return x.view(-1, _steps_a_row(x) * x.shape[-1])


def _parts(x: Tensor) -> Iterator[slice]:
    """Yields slices of the rows of x (rows, K)."""
    some = max(1, PART // x.shape[1])
    return (slice(start, start + some) for start in range(0, len(x), some))


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and biased variance of each channel of contiguous x (..., L, C), from sums of centred parts."""
    every, wide = x.view(-1, x.shape[-1]), _long_rows(x)
    near = every[:: max(1, len(every) // 64)].mean(dim=0)  # close to the mean, so that squares do not cancel
    tiled, (total, squares) = near.repeat(_steps_a_row(x)), near.new_zeros(2, wide.shape[1], dtype=torch.float64)
    for part in _parts(wide):
        centred = wide[part] - tiled
        total += centred.sum(dim=0)
        squares += centred.square_().sum(dim=0)
    offset, square = (t.view(-1, len(near)).sum(dim=0) / len(every) for t in (total, squares))
    return (near + offset).to(x.dtype), (square - offset**2).to(x.dtype)


def _running(norm: Norm) -> tuple[Tensor, Tensor, float]:
    """Returns the norm's running statistics and momentum."""
    return cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var), cast(float, norm.momentum)


@torch.no_grad()
def _update_running_stats(norm: Norm, x: Tensor, offset: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns mean and biased variance of each channel of x (..., L, C); updates the running ones by x + offset (C,)."""
    mean, var = statistics(x)
    running_mean, running_var, momentum = _running(norm)
    rows = x.numel() // len(mean)
    cast(Tensor, norm.num_batches_tracked).add_(1)
    running_mean.lerp_(mean if offset is None else mean + offset, momentum)
    running_var.lerp_(var * (rows / max(1, rows - 1)), momentum)
    return mean, var


def batch_norm(norm: Norm, x: Tensor, offset: Tensor | None = None) -> Tensor:
    """Normalises x + offset (C,) without forming the sum: in training the offset moves the running mean alone."""
    x = x.contiguous()
    flat = x.view(-1, x.shape[-1])
    running_mean, running_var, momentum = _running(norm)
    bias: Tensor = norm.bias
    if offset is not None and norm.training:
        bias = bias + 0 * offset  # its gradient is zero, not missing
    elif offset is not None:
        bias = bias + offset * norm.weight * (running_var + norm.eps).rsqrt()
    if norm.training and x.dtype == torch.float32:
        y = _Normalise.apply(flat, norm.weight, bias, *_update_running_stats(norm, x, offset), norm.eps)
    else:
        y = F.batch_norm(flat, running_mean, running_var, norm.weight, bias, norm.training, momentum, norm.eps)
        if norm.training:
            cast(Tensor, norm.num_batches_tracked).add_(1)
        if norm.training and offset is not None:
            # .data: torch takes it for changed since it was saved, but in training its gradient does not read it
            running_mean.data.add_(offset.detach(), alpha=momentum)
    # y is nobody else's, and a view of it could not be worked on in place without copying its gradient thrice
    return torch.ops.aten._unsafe_view(y, x.shape)
