"""ST-GCN's graph convolution, sum_k A_k^T x W_k, as matrix products on joint-first activations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.precision import autocast_dtype, sum_dtype

PART = 2**19  # numbers of the aggregate that are formed at a time, so that they stay in a CPU's cache
SPARSE = 1 / 8  # at most this share of a graph's entries are edges where products with those alone are faster


class _Dense:
    """Products with a (K W, V) matrix."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.sums = torch.zeros_like(matrix, dtype=sum_dtype(matrix))

    def times(self, x: Tensor) -> Tensor:
        """(V, N) -> (K W, N)."""
        return self.matrix @ x

    def transposed_times(self, y: Tensor, out: Tensor) -> None:
        """(K W, N) -> (V, N)."""
        torch.mm(self.matrix.T, y, out=out)

    def learn(self, y: Tensor, x: Tensor) -> None:
        """Adds the share of y (K W, N), gradient of ``times(x)``, in the matrix's own."""
        self.sums += y @ x.T

    def gradient(self) -> Tensor:
        return self.sums


class _Sparse:
    """The same, with the entries alone that are edges: 73 of 1875 in NTU's graph."""

    def __init__(self, matrix: Tensor, edges: Tensor) -> None:
        self.whole, self.edges = matrix, edges
        self.sums = matrix.new_zeros(int(edges.sum()))

    @cached_property
    def matrix(self) -> Tensor:
        return _compressed(self.whole, self.edges)

    @cached_property
    def turned(self) -> Tensor:
        return _compressed(self.whole.T, self.edges.T)

    @cached_property
    def zeros(self) -> Tensor:
        return _compressed(torch.zeros_like(self.whole), self.edges)

    def times(self, x: Tensor) -> Tensor:
        return _sparse_product(self.matrix, x, x.new_empty(len(self.whole), x.shape[1]))

    def transposed_times(self, y: Tensor, out: Tensor) -> None:
        _sparse_product(self.turned, y, out)

    def learn(self, y: Tensor, x: Tensor) -> None:
        self.sums += torch.sparse.sampled_addmm(self.zeros, y, x.T).values()

    def gradient(self) -> Tensor:
        return torch.zeros_like(self.edges, dtype=self.sums.dtype).masked_scatter_(self.edges, self.sums)


def _compressed(matrix: Tensor, edges: Tensor) -> Tensor:
    """The entries of a matrix that are edges, row by row."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # torch calls them a beta
        starts = F.pad(edges.sum(dim=1).cumsum(0), (1, 0))
        return torch.sparse_csr_tensor(starts, edges.nonzero()[:, 1], matrix[edges], edges.shape, check_invariants=False)


def _sparse_product(matrix: Tensor, x: Tensor, out: Tensor) -> Tensor:
    return torch.addmm(out, matrix, x, beta=0, out=out)


def _products(graph: Tensor, adjacency: Tensor) -> _Dense | _Sparse:
    """Of the matrix that aggregates. graph, adjacency: (K, V, W)."""
    matrix = _stacked(graph)
    if graph.device.type != "cpu" or torch.finfo(graph.dtype).bits < 32 or not torch.backends.mkl.is_available():
        return _Dense(matrix)
    edges = _stacked(adjacency != 0)
    return _Sparse(matrix, edges) if edges.sum() <= SPARSE * edges.numel() else _Dense(matrix)


class _AggregateAndMix(torch.autograd.Function):
    """x: (P, V, R, C), graph: (K, V, W), weight: (K, C, O), bias: (W, O) -> (P, W, R, O).

    adjacency: (K, V, W), zero where the graph has no edge; the gradient there is not asked for. Aggregating over joints is
    one product with the graph as a (K W, V) matrix. The aggregate, K times the input, is not kept: on a CPU a part of it is
    mixed as soon as it is formed, and it is formed again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor) -> Tensor:
        ctx.save_for_backward(x, graph, weight, adjacency)
        products, out = _products(graph, adjacency), x.new_empty(*x.shape[:3], weight.shape[2])
        for part in _parts(x, len(graph)):
            aggregate = products.times(x[part].flatten(1)).view(len(graph), -1, x.shape[3])  # (K, W r, C)
            mixed = aggregate[0] @ weight[0]
            for k in range(1, len(weight)):
                mixed.addmm_(aggregate[k], weight[k])
            into = out[part]
            torch.add(mixed.view(into.shape), bias[:, None], out=into)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, graph, weight, adjacency = ctx.saved_tensors
        products, to_x = _products(graph, adjacency), torch.empty_like(x) if ctx.needs_input_grad[0] else None
        exact = sum_dtype(x)
        to_weight, to_bias = torch.zeros_like(weight, dtype=exact), x.new_zeros(x.shape[1], weight.shape[2], dtype=exact)
        for part in _parts(x, len(graph)):
            aggregate = products.times(x[part].flatten(1)).view(len(graph), -1, x.shape[3])
            some = grad[part].reshape(-1, weight.shape[2])  # (W r, O)
            to_bias += some.view(len(to_bias), -1, weight.shape[2]).sum(dim=1)
            each = some.expand(len(weight), -1, -1)
            to_weight += torch.bmm(aggregate.transpose(1, 2), each)
            torch.bmm(each, weight.transpose(1, 2), out=aggregate)  # in place: it has served
            to_aggregate = aggregate.view(-1, x[part].flatten(1).shape[1])  # (K W, r C)
            products.learn(to_aggregate, x[part].flatten(1))
            if to_x is not None:
                products.transposed_times(to_aggregate, to_x[part].view(len(x[part]), -1))
        to_graph = products.gradient().view(*graph.transpose(1, 2).shape).transpose(1, 2)
        return to_x, to_graph.to(graph.dtype), to_weight.to(weight.dtype), to_bias.to(x.dtype), None


def _stacked(graph: Tensor) -> Tensor:
    """(K, V, W) -> (K W, V)."""
    return graph.transpose(1, 2).reshape(-1, graph.shape[1])


def _parts(x: Tensor, subsets: int) -> Iterator[tuple[int, slice, slice]]:
    """Where x (P, V, R, C) has all joints of few rows on a CPU, of all rows elsewhere."""
    _, joints, rows, channels = x.shape
    some = max(1, PART // (subsets * joints * channels) if x.device.type == "cpu" else rows)
    for p, start in product(range(len(x)), range(0, rows, some)):
        yield p, slice(None), slice(start, start + some)


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
        return _AggregateAndMix.apply(
            x.to(dtype).contiguous(), graph.to(dtype), self.weight.to(dtype), bias.to(dtype), adjacency
        )
