"""DSTA-Net (Shi, Zhang, Cheng, Lu, ACCV 2020) as HiCLR uses it: spatial attention, and convolution over time.

Activations are (B, V, T, C) with B = N M bodies. Parameter names of the released encoder: ``released_dsta.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.attention import Attention
from skelray.backbones.dropout import Dropout, check_share
from skelray.backbones.join import join
from skelray.backbones.linear import linear
from skelray.backbones.norm import BatchNorm
from skelray.backbones.pool import pool
from skelray.backbones.temporal import fourier_convolution
from skelray.checks import UserError, check_whole
from skelray.skeleton import Skeleton

TAPS = 7
SLOPE = 0.1  # of the leaky ReLU below zero
SHORT = 32  # a CPU convolves sequences of at most so many frames in Fourier form, where it is faster
# (channels, out, channels of queries and keys, temporal stride) of each layer: half the channels of the original.
HALF = (
    *((32, 32, 16, 1), (32, 32, 16, 1), (32, 64, 16, 2), (64, 64, 16, 1)),
    *((64, 128, 32, 2), (128, 128, 32, 1), (128, 128, 32, 1), (128, 256, 32, 1)),
)


@dataclass(frozen=True)
class DSTA:
    """layers: (channels, out, inter, stride) of each. subsets: attention maps side by side in a layer.

    dropout: of a layer's last residual while training, 0.5 where HiCLR pre-trains. absent: "average" counts an absent
    person with full weight in the mean over persons, as released; "exclude" leaves it out.
    """

    layers: tuple[tuple[int, int, int, int], ...] = HALF
    subsets: int = 3
    dropout: float = 0.5
    absent: str = "average"

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("layers (): at least 1 is needed")
        for layer in self.layers:
            if not isinstance(layer, (tuple, list)) or len(layer) != 4 or min(layer) < 1:
                raise UserError(f"layer {layer}: (channels, out, inter, stride) are four numbers of at least 1")
            for number in layer:
                check_whole("layers", number, 1)
        for (_, out, *_), (channels, *_) in zip(self.layers, self.layers[1:], strict=False):
            if out != channels:
                raise UserError(f"layers {self.layers}: one gives {out} channels, the next takes {channels}")
        if self.subsets < 1:
            raise UserError(f"subsets {self.subsets}: at least 1 is needed")
        check_share(self.dropout)
        if self.absent not in ("average", "exclude"):
            raise UserError(f"absent {self.absent!r} is none of average, exclude")

    def small(self) -> DSTA:
        """Half the layers and an eighth of the channels, for demonstrations."""
        return replace(self, layers=((4, 4, 2, 1), (4, 8, 2, 2), (8, 16, 4, 2), (16, 64, 4, 1)), dropout=0.0)

    @property
    def hidden_dim(self) -> int:
        """Channels of the last layer and the feature."""
        return self.layers[-1][1]

    def build(self, skeleton: Skeleton) -> DSTAEncoder:
        return DSTAEncoder(self, skeleton)


class TemporalConvolution(nn.Module):
    """Seven taps over time, zero padding; the bias is left to the batch norm that follows."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(TAPS, channels, channels) * 0.02)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, T, C) -> (B, V, T', C)."""
        rows = x.flatten(0, 1)
        if x.device.type == "cpu" and x.shape[2] <= SHORT:
            y = fourier_convolution(rows.transpose(0, 1), self.weight, self.stride)  # (T', B V, C)
            return y.transpose(0, 1).reshape(*x.shape[:2], -1, x.shape[3])
        weight = self.weight.permute(2, 1, 0)[:, :, None]  # (C', C, 1, 7)
        y = F.conv2d(rows[:, None].permute(0, 3, 1, 2), weight, None, (1, self.stride), (0, TAPS // 2))
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])  # channels last in memory as it was


class Shortcut(nn.Module):
    """A linear map and batch norm, where a layer changes the shape."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out)
        self.norm = BatchNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(linear(x, self.linear.weight), self.linear.bias)


class Join(nn.Module):
    """leaky(norm(y + bias) + x): what a step of a layer gives, joined with its residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, y: Tensor, bias: Tensor, x: Tensor | None = None, shortcut: Shortcut | None = None) -> Tensor:
        """(B, V, T, C) each, x what the shortcut takes if there is one; ``bias`` belongs to y."""
        return join(self.norm, y, bias, x, None if shortcut is None else (shortcut.linear, shortcut.norm), slope=SLOPE)


class Layer(nn.Module):
    """Attention, a linear map and a convolution over time, each joined with a residual."""

    def __init__(self, layer: tuple[int, int, int, int], subsets: int, joints: int, dropout: float) -> None:
        super().__init__()
        channels, out, inter, self.stride = layer
        same = channels == out and self.stride == 1
        self.attention = Attention(channels, out, inter, subsets, joints)
        self.join1, self.shortcut1 = Join(out), None if same else Shortcut(channels, out)
        self.linear = nn.Linear(out, out)
        self.join2, self.shortcut2 = Join(out), None if same else Shortcut(channels, out)
        self.temporal = TemporalConvolution(out, self.stride)
        self.join3, self.shortcut3 = Join(out), None if same else Shortcut(out, out)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, rewire: Rewire | None) -> Tensor:
        """(B, V, T, C) -> (B, V, T', O)."""
        y = self.join1(self.attention(x, rewire), self.attention.bias, x, self.shortcut1)
        y = self.join2(linear(y, self.linear.weight), self.linear.bias, x, self.shortcut2)
        residual = y if self.shortcut3 is None else self.shortcut3(y[:, :, :: self.stride])
        return self.join3(self.temporal(y), self.temporal.bias, self.dropout(residual))


class DSTAEncoder(nn.Module):
    """(N, C, T, V, M) -> (N, dim): a linear map of the coordinates, the layers, the mean over frames, joints and persons."""

    def __init__(self, config: DSTA, skeleton: Skeleton) -> None:
        super().__init__()
        self.config, self.dim = config, config.hidden_dim
        joints = len(skeleton.joints)
        self.linear = nn.Linear(3, config.layers[0][0])
        self.join = Join(config.layers[0][0])
        self.layers = nn.ModuleList(Layer(layer, config.subsets, joints, config.dropout) for layer in config.layers)

    def feature_map(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, M, T', V, dim); rewire: acts on each layer's attention, its learned map included."""
        samples, persons = len(x), x.shape[4]
        x = x.permute(0, 4, 3, 2, 1).flatten(0, 1).contiguous()  # (B, V, T, C)
        x = self.join(linear(x, self.linear.weight), self.linear.bias)
        for layer in self.layers:
            x = layer(x, rewire)
        return x.transpose(1, 2).unflatten(0, (samples, persons))

    def pool(self, features: Tensor, present: Tensor) -> Tensor:
        """(N, M, T', V, dim) -> (N, dim); present: (N, M) bool."""
        return pool(features, present, self.config.absent)

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        return self.pool(self.feature_map(x, rewire), present)
