"""ST-GCN's graph convolution, sum_k A_k^T x W_k, as matrix products on joint-first activations."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.cpu.precision import autocast_dtype, sum_dtype

if TYPE_CHECKING:
    from skelray.backbones.stgcn import GraphConvolution

PART = 2**19  # numbers of the aggregate that are formed at a time, so that they stay in a CPU's cache
SPARSE = 1 / 8  # a graph of at most this share of all edges is multiplied by those it has
with warnings.catch_warnings():  # torch says once that this is a beta
    warnings.simplefilter("ignore")
    torch.eye(1).to_sparse_csr()


class _Dense:
    """Products with the aggregating matrix (K W, V), and the accumulated gradient of that matrix."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    @cached_property
    def gradient(self) -> Tensor:
        """Returns the gradient accumulated so far."""
        return torch.zeros_like(self.matrix, dtype=sum_dtype(self.matrix))

    def times(self, x: Tensor) -> Tensor:
        """(V, N) -> (K W, N)."""
        return self.matrix @ x

    def transposed_times(self, y: Tensor, out: Tensor) -> None:
        """(K W, N) -> (V, N)."""
        torch.mm(self.matrix.T, y, out=out)

    def add_gradient(self, y: Tensor, x: Tensor) -> None:
        """Accumulates the matrix's gradient from y (K W, N), the gradient of ``times(x)``."""
        self.gradient += y @ x.T


class _Sparse:
    """The same in single or double precision, reading only the entries that are edges: 73 of 1875 in NTU's graph."""

    def __init__(self, matrix: Tensor, edges: Tensor) -> None:
        self.whole, self.edges = matrix, edges

    @cached_property
    def matrix(self) -> Tensor:
        return _compressed(self.whole, self.edges)

    @cached_property
    def transposed(self) -> Tensor:
        return _compressed(self.whole.T, self.edges.T)

    @cached_property
    def sums(self) -> Tensor:
        return _compressed(torch.zeros_like(self.whole), self.edges)

    @property
    def gradient(self) -> Tensor:
        return torch.zeros_like(self.whole).masked_scatter_(self.edges, self.sums.values())

    def times(self, x: Tensor) -> Tensor:
        return _sparse_product(self.matrix, x, x.new_empty(len(self.whole), x.shape[1]))

    def transposed_times(self, y: Tensor, out: Tensor) -> None:
        _sparse_product(self.transposed, y, out)

    def add_gradient(self, y: Tensor, x: Tensor) -> None:
        self.sums = torch.sparse.sampled_addmm(self.sums, y, x.T)


def _compressed(matrix: Tensor, edges: Tensor) -> Tensor:
    """Returns the entries of a matrix that are edges, row by row."""
    starts = F.pad(edges.sum(dim=1).cumsum(0), (1, 0))
    return torch.sparse_csr_tensor(starts, edges.nonzero()[:, 1], matrix[edges], edges.shape, check_invariants=False)


def _sparse_product(matrix: Tensor, x: Tensor, out: Tensor) -> Tensor:
    return torch.addmm(out, matrix, x, beta=0, out=out)


def _aggregation(graph: Tensor, adjacency: Tensor) -> _Dense | _Sparse:
    """Chooses the products for a graph; both arguments are (K, V, W)."""
    matrix = _stacked(graph)
    # torch multiplies sparse matrices by MKL, on Linux and in single and double precision
    there = torch.backends.mkl.is_available() and sys.platform == "linux"
    if torch.finfo(graph.dtype).bits < 32 or not there:
        return _Dense(matrix)
    edges = _stacked(adjacency != 0)
    return _Sparse(matrix, edges) if edges.sum() <= SPARSE * edges.numel() else _Dense(matrix)


class _AggregateAndMix(torch.autograd.Function):
    """x: (P, V, R, C), graph: (K, V, W), weight: (K, C, O), bias: (W, O) -> (P, W, R, O).

    adjacency: (K, V, W); where it is zero the graph has to be, and gets no gradient or one that means nothing. Aggregating
    over joints is one product with the graph as a (K W, V) matrix. The aggregate, K times the input, is not kept: a part of
    it is mixed as soon as it is formed, and it is formed again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor) -> Tensor:
        ctx.save_for_backward(x, graph, weight, adjacency)
        aggregation, out = _aggregation(graph, adjacency), x.new_empty(*x.shape[:3], weight.shape[2])
        for part in _parts(x, len(graph)):
            aggregate = aggregation.times(x[part].flatten(1)).view(len(graph), -1, x.shape[3])  # (K, W r, C)
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
        aggregation, to_x = _aggregation(graph, adjacency), torch.empty_like(x) if ctx.needs_input_grad[0] else None
        exact = sum_dtype(x)
        to_weight, to_bias = torch.zeros_like(weight, dtype=exact), x.new_zeros(x.shape[1], weight.shape[2], dtype=exact)
        for part in _parts(x, len(graph)):
            rows = x[part].flatten(1)  # (V, r C)
            aggregate = aggregation.times(rows).view(len(graph), -1, x.shape[3])
            some = grad[part].reshape(-1, weight.shape[2])  # (W r, O)
            to_bias += some.view(len(to_bias), -1, weight.shape[2]).sum(dim=1)
            each = some.expand(len(weight), -1, -1)
            to_weight += torch.bmm(aggregate.transpose(1, 2), each)
            torch.bmm(each, weight.transpose(1, 2), out=aggregate)  # in place: it has served
            to_aggregate = aggregate.view(-1, rows.shape[1])  # (K W, r C)
            aggregation.add_gradient(to_aggregate, rows)
            if to_x is not None:
                aggregation.transposed_times(to_aggregate, to_x[part].view(rows.shape))
        to_graph = aggregation.gradient.view(*graph.transpose(1, 2).shape).transpose(1, 2)
        return to_x, to_graph.to(graph.dtype), to_weight.to(weight.dtype), to_bias.to(x.dtype), None


def _stacked(graph: Tensor) -> Tensor:
    """(K, V, W) -> (K W, V)."""
    return graph.transpose(1, 2).reshape(-1, graph.shape[1])


def _parts(x: Tensor, subsets: int) -> Iterator[tuple[int, slice, slice]]:
    """Cuts x (P, V, R, C) into parts that hold all joints of few rows, and gives their places."""
    _, joints, rows, channels = x.shape
    some = max(1, PART // (subsets * joints * channels))
    for p, start in product(range(len(x)), range(0, rows, some)):
        yield p, slice(None), slice(start, start + some)


def graph_convolution(layer: GraphConvolution, x: Tensor, rewire: Rewire | None = None) -> Tensor:
    """(P, V, R, C) -> (P, V, R, O). Under autocast in its precision."""
    dtype, adjacency = autocast_dtype(x), layer.rewired(rewire)
    graph = adjacency * layer.importance  # (K, V, W)
    bias = graph.sum(dim=1).T @ layer.bias  # (W, O)
    return _AggregateAndMix.apply(
        x.to(dtype).contiguous(), graph.to(dtype), layer.weight.to(dtype), bias.to(dtype), adjacency
    )
