"""Pooling of a feature map to one feature for each sample."""

from __future__ import annotations

from torch import Tensor


def pool(features: Tensor, present: Tensor, absent: str) -> Tensor:
    """Averages over frames, joints and persons. (N, M, T, V, dim) -> (N, dim); present: (N, M) bool.

    absent: "average" counts an absent person with full weight, "exclude" leaves it out.
    """
    # In the order in which the features lie in memory, so that their gradient comes to lie as they do.
    order = sorted(range(4), key=features.stride, reverse=True)
    back = [order.index(d) for d in range(4)]
    x = features.permute(*order, 4).mean(dim=back[2:], keepdim=True).permute(*back, 4)[:, :, 0, 0]  # (N, M, dim)
    if absent == "average":
        return x.mean(dim=1)
    weight = present.to(x.dtype)[..., None]
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
