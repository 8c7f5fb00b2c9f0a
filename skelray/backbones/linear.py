"""A linear map of very many rows to few channels, which on a CPU oneDNN multiplies faster than torch's default library.

How much faster, `python tests/linear_products.py` says.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TALL = 16  # times as many rows as channels, from where it pays
_pointwise: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None in a torch built without oneDNN


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """(R, C) by (O, C) -> (R, O)."""
    out: Tensor = _pointwise(x, weight, None, "none", [], "")
    return out


class _Tall(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x = _product(grad.contiguous(), weight.T) if ctx.needs_input_grad[0] else None
        return to_x, grad.T @ x


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """F.linear without a bias. x: (..., C), weight: (O, C) -> (..., O)."""
    rows = x.reshape(-1, x.shape[-1])
    tall = x.device.type == "cpu" and x.dtype == torch.float32 and len(rows) >= TALL * max(weight.shape)
    if not tall or torch.is_autocast_enabled("cpu") or _pointwise is None:
        return F.linear(x, weight)
    # A result that is nobody else's: in-place work on a view of it would copy its gradient.
    return torch.ops.aten._unsafe_view(_Tall.apply(rows, weight), (*x.shape[:-1], len(weight)))
