"""DSTA-Net faster on a CPU: activations are (B, V, T, C), so that all its products are plain matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.cpu.attention import attend
from skelray.backbones.cpu.linear import linear
from skelray.backbones.cpu.norm import batch_norm
from skelray.backbones.cpu.residual import norm_dropout_residual_relu
from skelray.backbones.cpu.temporal import fourier_convolution

if TYPE_CHECKING:
    from skelray.backbones.dsta import DSTAEncoder, Join, Layer, Shortcut, TemporalConvolution

AXES = (0, 3, 2, 1)  # of (B, C, T, V), in the order in which activations lie here
SHORT = 32  # sequences of at most so many frames are convolved in Fourier form


def feature_map(encoder: DSTAEncoder, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(N, C, T, V, M) -> (N, M, T', V, dim), as the encoder's own."""
    samples, persons = len(x), x.shape[4]
    x = x.permute(0, 4, 3, 2, 1).flatten(0, 1).contiguous()  # (B, V, T, C)
    x = _join(encoder.join, linear(x, encoder.linear.weight), encoder.linear.bias)
    for layer in encoder.layers:
        x = _layer(layer, x, rewire)  # type: ignore[arg-type]
    return x.transpose(1, 2).unflatten(0, (samples, persons))


def _layer(layer: Layer, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(B, V, T, C) -> (B, V, T', O)."""
    y = _join(layer.join1, attend(layer.attention, x, rewire), layer.attention.bias, x, layer.shortcut1)
    y = _join(layer.join2, linear(y, layer.linear.weight), layer.linear.bias, x, layer.shortcut2)
    residual, shortcut = y, layer.shortcut3
    if not isinstance(shortcut, nn.Identity):
        residual = linear(y[:, :, :: layer.temporal.stride], shortcut.linear.weight)
        residual = batch_norm(shortcut.norm, residual, shortcut.linear.bias)
    return _join(layer.join3, _temporal(layer.temporal, y), layer.temporal.bias, layer.dropout(residual))


def _join(
    join: Join, y: Tensor, bias: Tensor, x: Tensor | None = None, shortcut: Shortcut | nn.Identity | None = None
) -> Tensor:
    """(B, V, T, C) each; ``bias`` belongs to y and is left to the norm, x is what the shortcut takes."""
    change = None if shortcut is None or isinstance(shortcut, nn.Identity) else (shortcut.linear, shortcut.norm)
    return norm_dropout_residual_relu(join.norm, y, bias, x, change, slope=join.slope)


def _temporal(layer: TemporalConvolution, x: Tensor) -> Tensor:
    """(B, V, T, C) -> (B, V, T', C)."""
    rows = x.flatten(0, 1)
    if x.shape[2] <= SHORT:
        y = fourier_convolution(rows.transpose(0, 1), layer.weight, layer.stride)  # (T', B V, C)
        return y.transpose(0, 1).reshape(*x.shape[:2], -1, x.shape[3])
    weight = layer.weight.permute(2, 1, 0)[:, :, None]  # (O, C, 1, 7)
    y = F.conv2d(rows[:, None].permute(0, 3, 1, 2), weight, None, (1, layer.stride), (0, weight.shape[3] // 2))
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])  # channels last in memory as it was
