"""ST-GCN's graph convolution, sum_k A_k^T x W_k, as matrix products on joint-first activations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from skelray.augment import Rewire
from skelray.backbones.precision import autocast_dtype, sum_dtype

PART = 2**19  # numbers of the aggregate that are formed at a time, so that they stay in a CPU's cache


class _AggregateAndMix(torch.autograd.Function):
    """x: (P, V, R, C), graph: (K, V, W), weight: (K, C, O), bias: (W, O) -> (P, W, R, O).

    Aggregating over joints is one product with the (K W x V) matrix. The aggregate, K times the input, is not kept: on a CPU
    a part of it is mixed as soon as it is formed, and it is formed again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, graph, weight)
        stacked, out = _stacked(graph), x.new_empty(*x.shape[:3], weight.shape[2])
        for part in _parts(x, len(graph)):
            aggregate = _aggregate(stacked, x[part], len(graph))
            mixed = aggregate[0] @ weight[0]
            for k in range(1, len(weight)):
                mixed.addmm_(aggregate[k], weight[k])
            into = out[part]
            torch.add(mixed.view(into.shape), bias[:, None], out=into)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, graph, weight = ctx.saved_tensors
        stacked, to_x = _stacked(graph), torch.empty_like(x) if ctx.needs_input_grad[0] else None
        exact = sum_dtype(x)
        to_weight, to_stacked = torch.zeros_like(weight, dtype=exact), torch.zeros_like(stacked, dtype=exact)
        to_bias = x.new_zeros(x.shape[1], weight.shape[2], dtype=exact)
        for part in _parts(x, len(graph)):
            aggregate = _aggregate(stacked, x[part], len(graph))
            some = grad[part].reshape(-1, weight.shape[2])  # (W r, O)
            to_bias += some.view(len(to_bias), -1, weight.shape[2]).sum(dim=1)
            each = some.expand(len(weight), -1, -1)
            to_weight += torch.bmm(aggregate.transpose(1, 2), each)
            torch.bmm(each, weight.transpose(1, 2), out=aggregate)  # in place: it has served
            to_aggregate = aggregate.view(len(stacked), -1)  # (K W, r C)
            to_stacked += to_aggregate @ x[part].flatten(1).T  # (K W, V)
            if to_x is not None:
                torch.mm(stacked.T, to_aggregate, out=to_x[part].view(len(x[part]), -1))
        to_graph = to_stacked.view(*graph.transpose(1, 2).shape).transpose(1, 2)
        return to_x, to_graph.to(graph.dtype), to_weight.to(weight.dtype), to_bias.to(x.dtype)


def _stacked(graph: Tensor) -> Tensor:
    return graph.transpose(1, 2).reshape(-1, graph.shape[1])  # (K W, V)


def _parts(x: Tensor, subsets: int) -> Iterator[tuple[int, slice, slice]]:
    """Where x (P, V, R, C) has all joints of few rows on a CPU, of all rows elsewhere."""
    _, joints, rows, channels = x.shape
    some = max(1, PART // (subsets * joints * channels) if x.device.type == "cpu" else rows)
    for p, start in product(range(len(x)), range(0, rows, some)):
        yield p, slice(None), slice(start, start + some)


def _aggregate(stacked: Tensor, x: Tensor, subsets: int) -> Tensor:
    """x: (V, r, C) -> (K, W r, C)."""
    return (stacked @ x.flatten(1)).view(subsets, -1, x.shape[2])


class GraphConvolution(nn.Module):
    """adjacency: (K, V, V) from v to w, scaled entry by entry by a learned importance."""

    def __init__(self, channels: int, out: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.adjacency: Tensor
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.weight = nn.Parameter(torch.empty(len(adjacency), channels, out))
        self.bias = nn.Parameter(torch.zeros(len(adjacency), out))

    def forward(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(P, V, R, C) -> (P, V, R, O)."""
        dtype = autocast_dtype(x)
        adjacency = self.adjacency if rewire is None else rewire(self.adjacency)
        graph = adjacency * self.importance  # (K, V, W)
        bias = graph.sum(dim=1).T @ self.bias  # (W, O)
        return _AggregateAndMix.apply(x.to(dtype).contiguous(), graph.to(dtype), self.weight.to(dtype), bias.to(dtype))
