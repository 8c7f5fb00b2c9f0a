"""DSTA-Net in less memory on a CPU: activations are (B, V, T, C), so that all its products are plain matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.cpu.attention import attend
from skelray.backbones.cpu.norm import batch_norm
from skelray.backbones.cpu.temporal import fourier_convolution

if TYPE_CHECKING:
    from skelray.backbones.dsta import DSTAEncoder, Join, Layer, Shortcut, TemporalConvolution

AXES = (0, 3, 2, 1)  # of (B, C, T, V), in the order in which activations lie here
SHORT = 32  # sequences of at most so many frames are convolved in Fourier form


def feature_map(encoder: DSTAEncoder, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(N, C, T, V, M) -> (N, M, T', V, dim), as the encoder's own."""
    samples, persons = len(x), x.shape[4]
    x = x.permute(0, 4, 3, 2, 1).flatten(0, 1).contiguous()  # (B, V, T, C)
    x = _join(encoder.join, F.linear(x, encoder.linear.weight), encoder.linear.bias)
    for layer in encoder.layers:
        x = _layer(layer, x, rewire)  # type: ignore[arg-type]
    return x.transpose(1, 2).unflatten(0, (samples, persons))


def _layer(layer: Layer, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(B, V, T, C) -> (B, V, T', O)."""
    y = _join(layer.join1, attend(layer.attention, x, rewire), layer.attention.bias, _residual(layer.shortcut1, x))
    y = _join(layer.join2, F.linear(y, layer.linear.weight), layer.linear.bias, _residual(layer.shortcut2, x))
    residual = layer.dropout(_residual(layer.shortcut3, y))
    return _join(layer.join3, _temporal(layer.temporal, y), layer.temporal.bias, residual)


def _residual(shortcut: Shortcut | nn.Identity, x: Tensor) -> Tensor:
    """(B, V, T, C) -> (B, V, T', O)."""
    if isinstance(shortcut, nn.Identity):
        return x
    linear = shortcut.linear
    return batch_norm(shortcut.norm, F.linear(x[:, :, :: linear.stride], linear.weight), linear.bias)


def _join(join: Join, y: Tensor, bias: Tensor, x: Tensor | None = None) -> Tensor:
    """Returns (B, V, T, C) each; ``bias`` belongs to y and is left to the norm."""
    y = batch_norm(join.norm, y, bias)
    if x is not None:
        y += x
    return F.leaky_relu_(y, join.slope)


def _temporal(layer: TemporalConvolution, x: Tensor) -> Tensor:
    """(B, V, T, C) -> (B, V, T', C)."""
    rows = x.flatten(0, 1)
    if x.shape[2] <= SHORT:
        y = fourier_convolution(rows.transpose(0, 1), layer.weight, layer.stride)  # (T', B V, C)
        return y.transpose(0, 1).reshape(*x.shape[:2], -1, x.shape[3])
    weight = layer.weight.permute(2, 1, 0)[:, :, None]  # (O, C, 1, 7)
    y = F.conv2d(rows[:, None].permute(0, 3, 1, 2), weight, None, (1, layer.stride), (0, weight.shape[3] // 2))
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])  # channels last in memory as it was
