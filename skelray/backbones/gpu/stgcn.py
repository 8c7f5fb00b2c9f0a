"""ST-GCN for a GPU: activations (B, T, V, C), read by the temporal convolution as they lie, and all views in one pass.

Up to ``FOLD`` channels a graph convolution is one product with the graph folded into the weights: three times the
operations in less time than the aggregate's bytes take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.form import is_in_lanes
from skelray.backbones.gpu.norms import Norms, without_effect
from skelray.backbones.gpu.precision import computing_by_hand

if TYPE_CHECKING:
    from skelray.backbones.stgcn import Block, GraphConvolution, STGCNEncoder

FOLD = 32


def feature_map(encoder: STGCNEncoder, x: Tensor, rewire: Rewire | None, views: int = 1) -> Tensor:
    """(views N, C, T, V, M) -> (views N, M, T', V, dim), as the encoder's own for each view in turn."""
    samples, _, frames, joints, persons = x.shape
    with computing_by_hand(x) as low:
        norms = Norms(views, low, encoder, x)
        x = x.permute(0, 4, 2, 3, 1).reshape(samples * persons, frames, -1)  # (B, T, V C)
        x = norms(encoder.data_norm, x).to(low).unflatten(2, (joints, -1))  # (B, T, V, C)
        x = without_effect(x, _biases(encoder)) if encoder.training else x
        for block in encoder.blocks:
            x = _block(cast("Block", block), x, rewire, norms)
        norms.finish()
    return x.unflatten(0, (samples, persons))


def _biases(encoder: STGCNEncoder) -> list[Tensor]:
    """Returns the biases that a norm cancels."""
    blocks = [cast("Block", block) for block in encoder.blocks]
    shortcuts = [block.shortcut.bias for block in blocks if block.shortcut is not None]
    return [*(block.temporal.bias for block in blocks), *shortcuts]


def axes(frames: int) -> tuple[int, ...]:
    """Returns the axes of (B, T, V, C) in the order in which a CPU draws dropout. frames: of the block's input."""
    from skelray.backbones.cpu.stgcn import SHORT

    return (1, 2, 0, 3) if frames <= SHORT else (2, 0, 1, 3)


def _block(block: Block, x: Tensor, rewire: Rewire | None, norms: Norms) -> Tensor:
    """(B, T, V, C) -> (B, T', V, O). A convolution's bias is left to the norm after it."""
    y = F.relu(norms(block.norm1, _graph(block.graph, x, rewire)))
    weight = block.temporal.weight.to(norms.low).permute(2, 1, 0)[..., None]  # (O, C, 9, 1)
    y = F.conv2d(y.permute(0, 3, 1, 2), weight, None, (block.temporal.stride, 1), (weight.shape[2] // 2, 0))
    y = norms(block.norm2, y.permute(0, 2, 3, 1), block.temporal.bias)
    if block.first:
        return F.relu(y)
    return F.relu(block.dropout(y, axes(x.shape[1])) + _residual(block, x, norms))


def _residual(block: Block, x: Tensor, norms: Norms) -> Tensor:
    if block.shortcut is None:
        return x
    y = F.linear(x[:, :: block.shortcut.stride], block.shortcut.weight.to(norms.low))
    return norms(block.shortcut_norm, y, block.shortcut.bias)


def _graph(layer: GraphConvolution, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(B, T, V, C) -> (B, T, V, O)."""
    graph = layer.rewired(rewire) * layer.importance  # (K, V, W)
    bias = (graph.sum(dim=1).T @ layer.bias).to(x.dtype)  # (W, O)
    subsets, channels, out = layer.weight.shape
    if channels <= FOLD:
        folded = torch.einsum("kvw,kco->vcwo", graph, layer.weight).flatten(2).flatten(0, 1).to(x.dtype)  # (V C, W O)
        rows = x.reshape(-1, len(folded))
        y = rows @ folded + bias.flatten() if is_in_lanes(x) else torch.addmm(bias.flatten(), rows, folded)
    else:
        stacked = graph.permute(2, 0, 1).flatten(0, 1).to(x.dtype)  # (W K, V)
        rows = stacked @ x.reshape(-1, *x.shape[2:])  # (B T, W K, C)
        y = rows.view(-1, subsets * channels) @ layer.weight.flatten(0, 1).to(x.dtype)
        y = y.view(-1, bias.numel()) + bias.flatten()
    return y.view(*x.shape[:3], out)
