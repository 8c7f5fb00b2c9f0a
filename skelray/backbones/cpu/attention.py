"""DSTA-Net's spatial attention in little memory.

Activations are (B, V, T, C), so that scores and sums over joints are plain matrix products. What is larger than the input
(queries, keys and the aggregate of each subset) is formed for a few bodies at a time, stays in the cache, and is formed
again in the backward pass instead of kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skelray.augment import Rewire
from skelray.backbones.cpu.precision import autocast_dtype, sum_dtype

if TYPE_CHECKING:
    from skelray.backbones.dsta import Attention

PART = 2**18  # input elements of the bodies that are treated at a time


def _parts(x: Tensor) -> Iterator[slice]:
    """Yields slices of a few bodies of x (B, V, T, C)."""
    bodies = max(1, PART // x[0].numel())
    return (slice(start, start + bodies) for start in range(0, len(x), bodies))


def _queries_and_keys(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Projects x to queries and keys. x: (b, V, T, C), matrix: (C, 2S I), bias: (2S, V, T, I) -> (2, S b, V, T I)."""
    rows = x.view(-1, len(matrix)) @ matrix  # (b V T, 2S I)
    out = x.new_empty(len(bias), len(x), *bias.shape[1:])
    torch.add(rows.view(*x.shape[:3], len(bias), -1).permute(3, 0, 1, 2, 4), bias[:, None], out=out)
    return out.view(2, -1, x.shape[1], out.shape[3] * out.shape[4])


def _columns(weight: Tensor) -> Tensor:
    """(2S, C, I) -> (C, 2S I)."""
    return weight.transpose(0, 1).flatten(1)


class _Scores(torch.autograd.Function):
    """x: (B, V, T, C), weight: (2S, C, I), bias: (2S, V, I) -> (B, S, V, V): query of v times key of w over all frames."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        bias = bias[:, :, None].repeat(1, 1, x.shape[2], 1)  # (2S, V, T, I)
        ctx.save_for_backward(x, weight, bias)
        matrix, subsets, joints = _columns(weight), len(weight) // 2, x.shape[1]
        out = x.new_empty(len(x), subsets, joints, joints)
        for part in _parts(x):
            query, key = _queries_and_keys(x[part], matrix, bias)
            out[part] = torch.bmm(query, key.transpose(1, 2)).unflatten(0, (subsets, -1)).transpose(0, 1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        count, channels, inter = weight.shape
        matrix = _columns(weight)
        turned = matrix.T.contiguous()
        exact = sum_dtype(x)
        to_x, to_matrix = torch.empty_like(x), torch.zeros_like(matrix, dtype=exact)
        to_bias = torch.zeros_like(bias, dtype=exact)
        for part in _parts(x):
            both = _queries_and_keys(x[part], matrix, bias)
            to_scores = grad[part].transpose(0, 1).flatten(0, 1)  # (S b, V, V)
            to_both = torch.empty_like(both)
            torch.bmm(to_scores, both[1], out=to_both[0])
            torch.bmm(to_scores.transpose(1, 2), both[0], out=to_both[1])
            to_bias += to_both.view(count, -1, *bias.shape[1:]).sum(dim=1)
            columns = torch.cat(tuple(to_both.view(count, -1, inter)), dim=1)  # (b V T, 2S I)
            to_matrix += x[part].view(-1, channels).T @ columns
            torch.mm(columns, turned, out=to_x[part].view(-1, channels))
        to_weight = to_matrix.unflatten(1, (count, inter)).transpose(0, 1)
        to_bias = to_bias.sum(dim=2)
        return to_x, to_weight.to(x.dtype), to_bias.to(x.dtype)


class _AttendAndMix(torch.autograd.Function):
    """x: (B, V, T, C), attention: (B, S, V, W), weight: (S, C, O) -> (B, W, T, O), sum_s a_s^T x W_s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, attention: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, attention, weight)
        subsets, channels, outs = weight.shape
        out = x.new_empty(*x.shape[:3], outs)
        for part in _parts(x):
            bodies, rows = x[part].flatten(2), out[part].view(-1, outs)  # (b, V, T C), (b W T, O)
            for s in range(subsets):
                aggregate = torch.bmm(attention[part, s].transpose(1, 2), bodies).view(-1, channels)
                torch.addmm(rows, aggregate, weight[s], beta=1 if s else 0, out=rows)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, attention, weight = ctx.saved_tensors
        subsets, channels, outs = weight.shape
        grad = grad.contiguous()
        to_x, to_attention = torch.empty_like(x), torch.empty_like(attention)
        to_weight = torch.zeros_like(weight, dtype=sum_dtype(x))
        for part in _parts(x):
            bodies, rows, to_bodies = x[part].flatten(2), grad[part].view(-1, outs), to_x[part].flatten(2)
            turned = bodies.transpose(1, 2).contiguous()  # (b, T C, V): a product of two long rows is slow in MKL
            for s in range(subsets):
                edges = attention[part, s]  # (b, V, W)
                aggregate = torch.bmm(edges.transpose(1, 2), bodies)  # (b, W, T C)
                flat = aggregate.view(-1, channels)
                to_weight[s].add_(flat.T @ rows)
                torch.mm(rows, weight[s].T, out=flat)  # the aggregate has served: its gradient takes its place
                to_attention[part, s] = torch.bmm(aggregate, turned).transpose(1, 2)
                torch.baddbmm(to_bodies, edges, aggregate, beta=1 if s else 0, out=to_bodies)
        return to_x, to_attention, to_weight.to(x.dtype)


def attend(layer: Attention, x: Tensor, rewire: Rewire | None) -> Tensor:
    """Attends to joints: (B, V, T, C) -> (B, V, T, O), without the layer's bias, in autocast's precision."""
    x = x.to(autocast_dtype(x)).contiguous()
    weight = layer.query_key_weight
    # x and position pass through one linear map: the position's share is a bias of each joint.
    bias = layer.position @ weight + layer.query_key_bias[:, None]  # (2S, V, I)
    scores = _Scores.apply(x, weight.to(x.dtype), bias.to(x.dtype))
    weights = layer.weights(scores, x.shape[2])  # (B, S, V, V), from v to w
    if rewire is not None:
        weights = rewire(weights)
    return _AttendAndMix.apply(x, weights.to(x.dtype), layer.weight.to(x.dtype))
