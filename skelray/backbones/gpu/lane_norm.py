"""Batch norm of several trials at once as one operator, each by its own statistics: lanes are channels side by side."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class LaneNorm(torch.autograd.Function):
    """Normalises x (..., C) in training and moves mean and var; under vmap one operator serves all lanes.

    Returns x normalised, and the mean and the inverse deviation that it had, which have no gradient.
    """

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float
    ) -> tuple[Tensor, ...]:
        y, *statistics = torch.native_batch_norm(x.reshape(-1, x.shape[-1]), weight, bias, mean, var, True, momentum, eps)
        return y.view(x.shape), *statistics

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, *_, ctx.eps = inputs
        _, *statistics = output
        ctx.mark_non_differentiable(*statistics)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, *statistics)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, *statistics = ctx.saved_tensors
        rows = [one.reshape(-1, x.shape[-1]) for one in (grad, x)]
        backward = torch.ops.aten.native_batch_norm_backward
        found, *sides = backward(*rows, weight, None, None, *statistics, True, ctx.eps, [True, True, True])
        return (found.view(x.shape), *sides, None, None, None, None)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, *given: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        x = x.movedim(in_dims[0], -2)  # (..., lanes, C)
        sides = [one.movedim(dim, 0).flatten() for one, dim in zip(given[:4], in_dims[1:5], strict=True)]
        y, *statistics = cast("tuple[Tensor, ...]", LaneNorm.apply(x.flatten(-2), *sides, *given[4:]))
        return (y.view(x.shape), *(one.view(x.shape[-2:]) for one in statistics)), (x.dim() - 2, 0, 0)


class Together(torch.autograd.Function):
    """Copies of tensors, each whole in memory, by one operator for all of them and all lanes."""

    @staticmethod
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        copies = [torch.empty_like(one, memory_format=torch.contiguous_format) for one in tensors]
        torch._foreach_copy_(copies, tensors)
        return tuple(copies)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return grads

    @staticmethod
    def vmap(info: Any, in_dims: Any, *tensors: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return cast("tuple[Tensor, ...]", Together.apply(*_lanes_first(tensors, in_dims))), (0,) * len(tensors)


class AddToAll(torch.autograd.Function):
    """Adds to each tensor of the first half its fellow of the second, times ``alpha``, in place; of all lanes at once."""

    @staticmethod
    def forward(alpha: float, *tensors: Tensor) -> Tensor:
        half = len(tensors) // 2
        torch._foreach_add_(tensors[:half], tensors[half:], alpha=alpha)
        return tensors[0].new_empty(())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: Any, alpha: float, *tensors: Tensor) -> tuple[Tensor, None]:
        return AddToAll.forward(alpha, *_lanes_first(tensors, in_dims[1:])), None


def _lanes_first(tensors: tuple[Tensor, ...], dims: Any) -> list[Tensor]:
    return [one.movedim(dim, 0) for one, dim in zip(tensors, dims, strict=True)]
