"""Batch norm of several views in one pass, each by its own statistics, with the work common to all norms done once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.backbones.form import is_in_lanes
from skelray.backbones.gpu.lane_norm import AddToAll, LaneNorm, Together

Norm = nn.BatchNorm1d | nn.BatchNorm2d


class Norms:
    """The norms of one pass over ``views`` views that follow one another along the first axis, channels last."""

    def __init__(self, views: int, low: torch.dtype, encoder: nn.Module, x: Tensor) -> None:
        """Starts an encoder's pass over x. low: precision of tensors between kernels; statistics are at least float32."""
        self.views, self.low = views, low
        self._seen: list[tuple[Norm, Tensor | None]] = []
        self._sides: dict[Norm, tuple[Tensor, ...]] = {}  # of lanes: weight and bias, each whole in memory
        if encoder.training and is_in_lanes(x):
            norms = [module for module in encoder.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
            whole = cast("tuple[Tensor, ...]", Together.apply(*(one for norm in norms for one in (norm.weight, norm.bias))))
            self._sides = {norm: whole[2 * i : 2 * i + 2] for i, norm in enumerate(norms)}

    def __call__(self, norm: Norm, y: Tensor, offset: Tensor | None = None) -> Tensor:
        """Normalises y (views B, ..., C). ``offset`` (C,): a bias left out of y, which only running means see."""
        if norm.training:
            self._seen.append((norm, offset))
        views = (y,) if self.views == 1 else y.chunk(self.views)
        each = [self._normalised(norm, view, offset) for view in views]
        return (each[0] if len(each) == 1 else torch.cat(each)).to(y.dtype)

    def _normalised(self, norm: Norm, y: Tensor, offset: Tensor | None) -> Tensor:
        mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        momentum, eps = cast(float, norm.momentum), norm.eps
        if norm in self._sides:
            return cast("tuple[Tensor, ...]", LaneNorm.apply(y, *self._sides[norm], mean, var, momentum, eps))[0]
        bias: Tensor = norm.bias
        if offset is not None and not norm.training:
            bias = bias + offset * norm.weight * (var + eps).rsqrt()
        rows = y.reshape(-1, y.shape[-1])
        return F.batch_norm(rows, mean, var, norm.weight, bias, norm.training, momentum, eps).view(y.shape)

    @torch.no_grad()
    def finish(self) -> None:
        """Adds the offsets to the running means, and counts the views. All norms have one momentum."""
        if not self._seen:
            return
        counts = [cast(Tensor, norm.num_batches_tracked) for norm, _ in self._seen]
        share = 1 - (1 - cast(float, self._seen[0][0].momentum)) ** self.views  # of a running mean that is of this pass
        pairs = [(cast(Tensor, norm.running_mean), offset.detach()) for norm, offset in self._seen if offset is not None]
        means, offsets = [mean for mean, _ in pairs], [offset for _, offset in pairs]
        if self._sides:  # vmap knows no operators on lists
            AddToAll.apply(self.views, *counts, *[torch.ones_like(counts[0])] * len(counts))
            AddToAll.apply(share, *means, *offsets)
            return
        torch._foreach_add_(counts, self.views)
        torch._foreach_add_([mean.data for mean in means], offsets, alpha=share)


def without_effect(anchor: Tensor, biases: Sequence[Tensor]) -> Tensor:
    """Returns the anchor, with a zero gradient for biases that a norm cancels, so that weight decay still reaches them."""
    return anchor + 0 * torch.cat(list(biases)).sum()
