"""A faster ST-GCN for a CPU, with activations laid out so that all its products are plain matrix products.

They are joint-first and channels-last, (V, B, T, C) with B = N M bodies. The short sequences of the last blocks are held
time-first, (T, V, B, C), where the temporal convolution is cheapest in Fourier form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.cpu.graph_convolution import graph_convolution
from skelray.backbones.cpu.norm import batch_norm
from skelray.backbones.cpu.temporal import fourier_convolution

if TYPE_CHECKING:
    from skelray.backbones.stgcn import Block, STGCNEncoder, TemporalConvolution

SHORT = 16  # sequences of at most so many frames are held time-first


def axes(frames: int) -> tuple[int, ...]:
    """Returns the axes of (B, C, T, V) in the memory order of a block's output. frames: of the block's input."""
    return (2, 3, 0, 1) if frames <= SHORT else (3, 0, 2, 1)


def feature_map(encoder: STGCNEncoder, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(N, C, T, V, M) -> (N, M, T', V, dim), as the encoder's own."""
    samples, _, frames, joints, persons = x.shape
    x = x.permute(0, 4, 2, 3, 1).reshape(samples * persons, frames, -1)  # (B, T, V C)
    x = batch_norm(encoder.data_norm, x).unflatten(2, (joints, -1))  # (B, T, V, C)
    x = x.permute(2, 0, 1, 3).contiguous()  # (V, B, T, C)
    time_first = False
    for block in encoder.blocks:
        if not time_first and x.shape[2] <= SHORT:
            x, time_first = x.permute(2, 0, 1, 3).contiguous(), True  # (T, V, B, C)
        x = _block(block, x, time_first, rewire)  # type: ignore[arg-type]
    x = x.permute(2, 0, 1, 3) if time_first else x.permute(1, 2, 0, 3)  # (B, T', V, dim)
    return x.unflatten(0, (samples, persons))


def _block(block: Block, x: Tensor, time_first: bool, rewire: Rewire | None) -> Tensor:
    """Runs a block, leaving a convolution's bias to the norm after it.

    (V, B, T, C) -> (V, B, T', O) or, if ``time_first``, (T, V, B, C) -> (T', V, B, O).
    """
    y = x if time_first else x.flatten(1, 2)[None]  # joints lead within each slice
    y = graph_convolution(block.graph, y, rewire).view(*x.shape[:3], -1)
    y = F.relu_(batch_norm(block.norm1, y))
    y = _temporal(block.temporal, y, time_first)
    y = block.dropout(batch_norm(block.norm2, y, block.temporal.bias))
    if not block.first:
        y += _residual(block, x, time_first)
    return F.relu_(y)


def _residual(block: Block, x: Tensor, time_first: bool) -> Tensor:
    """(V, B, T, C) -> (V, B, T', O) or (T, V, B, C) -> (T', V, B, O)."""
    if block.shortcut is None:
        return x
    stride = block.shortcut.stride
    x = x[::stride] if time_first else x[:, :, ::stride]
    return batch_norm(block.shortcut_norm, F.linear(x, block.shortcut.weight), block.shortcut.bias)


def _temporal(layer: TemporalConvolution, x: Tensor, time_first: bool) -> Tensor:
    """(V, B, T, C) -> (V, B, T', C) or, in Fourier form, (T, V, B, C) -> (T', V, B, C)."""
    if time_first:
        return fourier_convolution(x.flatten(1, 2), layer.weight, layer.stride).view(-1, *x.shape[1:])
    weight = layer.weight.permute(2, 1, 0)[:, :, None]  # (O, C, 1, 9)
    rows = x.flatten(0, 1)[:, None].permute(0, 3, 1, 2)  # (V B, C, 1, T), channels last in memory
    y = F.conv2d(rows, weight, None, (1, layer.stride), (0, weight.shape[3] // 2))
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])
