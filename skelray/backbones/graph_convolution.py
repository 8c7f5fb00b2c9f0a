"""ST-GCN's graph convolution, sum_k A_k^T x W_k, as matrix products on joint-first activations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skelray.augment import Rewire
from skelray.backbones.precision import autocast_dtype


class _AggregateAndMix(torch.autograd.Function):
    """x: (P, V, R, C), graph: (K, V, W), weight: (K, C, O), bias: (W, O) -> (P, W, R, O).

    Aggregating over joints is one product with the (K W x V) matrix for each of the P slices; the aggregate, K times
    the input, is formed again in the backward pass instead of kept.
    """

    @staticmethod
    def forward(ctx, x: Tensor, graph: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, graph, weight)
        aggregate, slices = _aggregate(x, graph), len(x)
        out = torch.bmm(aggregate[:, 0], weight[0].expand(slices, -1, -1))  # (P, W R, O)
        for k in range(1, len(weight)):
            out.baddbmm_(aggregate[:, k], weight[k].expand(slices, -1, -1))
        return out.view(*x.shape[:3], -1).add_(bias[:, None])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        x, graph, weight = ctx.saved_tensors
        slices, joints, rows, channels = x.shape
        to_bias = grad.sum(dim=(0, 2))
        grad = grad.reshape(slices, joints * rows, -1)  # (P, W R, O)
        aggregate = _aggregate(x, graph)  # (P, K, W R, C)
        to_weight = torch.stack([torch.bmm(aggregate[:, k].transpose(1, 2), grad).sum(dim=0) for k in range(len(weight))])
        for k in range(len(weight)):  # in place: the aggregate has served
            torch.bmm(grad, weight[k].T.expand(slices, -1, -1), out=aggregate[:, k])
        grad = aggregate.view(slices, -1, rows * channels)  # (P, K W, R C)
        flat = x.view(slices, joints, rows * channels)
        to_graph = torch.bmm(grad, flat.transpose(1, 2)).sum(dim=0).view(len(graph), joints, joints).transpose(1, 2)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = _left(_stacked(graph).T, grad).view_as(x)
        return to_x, to_graph, to_weight, to_bias


def _stacked(graph: Tensor) -> Tensor:
    return graph.transpose(1, 2).reshape(-1, graph.shape[1])  # (K W, V)


def _aggregate(x: Tensor, graph: Tensor) -> Tensor:
    slices, joints, rows, channels = x.shape
    flat = x.view(slices, joints, -1)
    return _left(_stacked(graph), flat).view(slices, len(graph), joints * rows, channels)


def _left(matrix: Tensor, x: Tensor) -> Tensor:
    """The matrix (A, B) times each slice of x (P, B, C); a batch of one is slow in the CPU's batched product."""
    return (matrix @ x[0])[None] if len(x) == 1 else torch.bmm(matrix.expand(len(x), -1, -1), x)


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
