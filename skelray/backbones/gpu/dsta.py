"""DSTA-Net for a GPU: activations (B, V, T, C), subsets of attention side by side in one product, all views in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.gpu.norms import Norms, without_effect
from skelray.backbones.gpu.precision import computing_by_hand

if TYPE_CHECKING:
    from skelray.backbones.dsta import Attention, DSTAEncoder, Layer, Shortcut, TemporalConvolution

AXES = (0, 1, 2, 3)  # of (B, V, T, C), as a CPU draws dropout


def feature_map(encoder: DSTAEncoder, x: Tensor, rewire: Rewire | None, views: int = 1) -> Tensor:
    """(views N, C, T, V, M) -> (views N, M, T', V, dim), as the encoder's own for each view in turn."""
    samples, persons = x.shape[0], x.shape[4]
    with computing_by_hand(x) as low:
        norms = Norms(views, low, encoder, x)
        x = x.permute(0, 4, 3, 2, 1).flatten(0, 1).to(low)  # (B, V, T, C)
        x = without_effect(x, _biases(encoder)).to(low) if encoder.training else x
        x = F.linear(x, encoder.linear.weight.to(low))
        x = F.leaky_relu(norms(encoder.join.norm, x, encoder.linear.bias), encoder.join.slope)
        for layer in encoder.layers:
            x = _layer(cast("Layer", layer), x, rewire, norms)
        norms.finish()
    return x.permute(0, 2, 1, 3).unflatten(0, (samples, persons))


def _biases(encoder: DSTAEncoder) -> list[Tensor]:
    """Returns the biases that a norm cancels."""
    found: list[Tensor] = [encoder.linear.bias]
    for layer in (cast("Layer", layer) for layer in encoder.layers):
        shortcuts = (layer.shortcut1, layer.shortcut2, layer.shortcut3)
        found += [layer.attention.bias, layer.linear.bias, layer.temporal.bias]
        found += [shortcut.linear.bias for shortcut in shortcuts if not isinstance(shortcut, nn.Identity)]
    return found


def _layer(layer: Layer, x: Tensor, rewire: Rewire | None, norms: Norms) -> Tensor:
    """(B, V, T, C) -> (B, V, T', O). Biases before a norm are left to the norm."""
    slope = layer.join1.slope
    y = norms(layer.join1.norm, _attention(layer.attention, x, rewire), layer.attention.bias)
    y = F.leaky_relu(y + _shortcut(layer.shortcut1, x, norms), slope)
    z = norms(layer.join2.norm, F.linear(y, layer.linear.weight.to(norms.low)), layer.linear.bias)
    y = F.leaky_relu(z + _shortcut(layer.shortcut2, x, norms), slope)
    residual = layer.dropout(_shortcut(layer.shortcut3, y, norms), AXES)
    z = norms(layer.join3.norm, _temporal(layer.temporal, y), layer.temporal.bias)
    return F.leaky_relu(z + residual, slope)


def _shortcut(shortcut: Shortcut | nn.Identity, x: Tensor, norms: Norms) -> Tensor:
    if isinstance(shortcut, nn.Identity):
        return x
    linear = shortcut.linear
    return norms(shortcut.norm, F.linear(x[:, :, :: linear.stride], linear.weight.to(norms.low)), linear.bias)


def _temporal(layer: TemporalConvolution, x: Tensor) -> Tensor:
    """(B, V, T, C) -> (B, V, T', C)."""
    weight = layer.weight.to(x.dtype).permute(2, 1, 0)[:, :, None]  # (O, C, 1, 7)
    rows = x.reshape(-1, 1, *x.shape[2:]).permute(0, 3, 1, 2)  # (B V, C, 1, T), channels last in memory
    y = F.conv2d(rows, weight, None, (1, layer.stride), (0, weight.shape[3] // 2))
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])


def _attention(layer: Attention, x: Tensor, rewire: Rewire | None) -> Tensor:
    """(B, V, T, C) -> (B, V, T, O) without the bias."""
    bodies, joints, frames, channels = x.shape
    subsets = len(layer.alpha)
    weight = layer.query_key_weight
    bias = (layer.position @ weight + layer.query_key_bias[:, None]).permute(1, 0, 2)  # (V, 2S, I)
    rows = (x.reshape(-1, channels) @ weight.transpose(0, 1).flatten(1).to(x.dtype)).view(bodies, joints, frames, -1)
    rows = (rows + bias.flatten(1)[:, None].to(x.dtype)).unflatten(3, (2, subsets, -1))  # (B, V, T, 2, S, I)
    query, key = rows.permute(3, 0, 4, 1, 2, 5).flatten(4)  # (B, S, V, T I) each
    weights = layer.weights(query @ key.mT, frames)  # (B, S, V, V), from v to w
    if rewire is not None:
        weights = rewire(weights)
    stacked = weights.to(x.dtype).mT.flatten(1, 2)  # (B, S W, V)
    sums = torch.bmm(stacked, x.flatten(2)).view(bodies, subsets, joints, frames, channels)
    sums = sums.permute(0, 2, 3, 1, 4).reshape(-1, subsets * channels)  # (B W T, S C)
    return (sums @ layer.weight.flatten(0, 1).to(x.dtype)).view(bodies, joints, frames, -1)
