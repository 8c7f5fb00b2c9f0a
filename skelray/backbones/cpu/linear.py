"""A linear map of very many rows to few channels, which oneDNN multiplies faster than MKL on the processors we measured.

`python benchmarks/linear_products.py` says how much faster on this one.
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
        grad = grad.contiguous()
        to_x = _product(grad, weight.T) if ctx.needs_input_grad[0] else None
        return to_x, grad.T @ x if ctx.needs_input_grad[1] else None


def _tall(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN is to make the product, in single precision."""
    rows = x.numel() // x.shape[-1]
    single = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    there = _pointwise is not None and bool(torch.backends.mkldnn.enabled) and torch.backends.mkl.is_available()
    return single and there and rows >= TALL * max(weight.shape)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """F.linear without a bias. x: (..., C), weight: (O, C) -> (..., O)."""
    if not _tall(x, weight):
        return F.linear(x, weight)
    y = _Tall.apply(x.reshape(-1, x.shape[-1]), weight)
    # A result that is nobody else's: in-place work on a view of it would copy its gradient.
    return torch.ops.aten._unsafe_view(y, (*x.shape[:-1], len(weight)))
