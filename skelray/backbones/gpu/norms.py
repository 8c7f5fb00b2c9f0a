"""Batch norm of several views in one pass, each by its own statistics, with the work common to all norms done once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.backbones.form import in_lanes

Norm = nn.BatchNorm1d | nn.BatchNorm2d


class Norms:
    """The norms of one pass over ``views`` views that follow one another along the first axis, channels last."""

    def __init__(self, views: int, low: torch.dtype) -> None:
        """Starts a pass. low: the precision of tensors between kernels; statistics are at least float32."""
        self.views, self.low = views, low
        self._seen: list[tuple[Norm, Tensor | None]] = []
        self._moved: list[tuple[Tensor, Tensor]] = []  # of lanes: the running statistics after the pass

    def __call__(self, norm: Norm, y: Tensor, offset: Tensor | None = None) -> Tensor:
        """Normalises y (views B, ..., C). ``offset`` (C,): a bias left out of y, which only running means see."""
        mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        bias: Tensor = norm.bias
        momentum, eps = cast(float, norm.momentum), norm.eps
        if norm.training:
            self._seen.append((norm, offset))
            if in_lanes(mean):  # what autograd saves may not move before the backward pass, and these do in ``finish``
                mean, var = mean.clone(), var.clone()
                self._moved.append((mean, var))
        elif offset is not None:
            bias = bias + offset * norm.weight * (var + eps).rsqrt()
        rows = y.reshape(-1, y.shape[-1])
        if in_lanes(y):  # vmap's norm has one precision for all that it reads
            rows = rows.to(norm.weight.dtype)
        views = (rows,) if self.views == 1 else rows.chunk(self.views)
        each = [F.batch_norm(r, mean, var, norm.weight, bias, norm.training, momentum, eps) for r in views]
        return (each[0] if len(each) == 1 else torch.cat(each)).to(y.dtype).view(y.shape)

    @torch.no_grad()
    def finish(self) -> None:
        """Adds the offsets to the running means, and counts the views. All norms have one momentum."""
        if not self._seen:
            return
        counts = [cast(Tensor, norm.num_batches_tracked) for norm, _ in self._seen]
        share = 1 - (1 - cast(float, self._seen[0][0].momentum)) ** self.views  # of a running mean that is of this pass
        pairs = [(cast(Tensor, norm.running_mean), offset.detach()) for norm, offset in self._seen if offset is not None]
        if self._moved:  # vmap knows no operators on lists
            for (norm, _), count, (mean, var) in zip(self._seen, counts, self._moved, strict=True):
                count.add_(self.views)
                cast(Tensor, norm.running_mean).copy_(mean)
                cast(Tensor, norm.running_var).copy_(var)
            for mean, offset in pairs:
                mean.add_(offset, alpha=share)
            return
        torch._foreach_add_(counts, self.views)
        torch._foreach_add_([mean.data for mean, _ in pairs], [offset for _, offset in pairs], alpha=share)


def without_effect(anchor: Tensor, biases: Sequence[Tensor]) -> Tensor:
    """Returns the anchor, with a zero gradient for biases that a norm cancels, so that weight decay still reaches them."""
    return anchor + 0 * torch.cat(list(biases)).sum()
