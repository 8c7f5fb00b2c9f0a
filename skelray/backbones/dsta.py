"""DSTA-Net (Shi, Zhang, Cheng, Lu, ACCV 2020) as HiCLR uses it: spatial attention, and convolution over time.

Activations are (B, C, T, V) with B = N M bodies. Parameter names of the released encoder: ``released_dsta.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones import cpu, gpu
from skelray.backbones.dropout import Dropout, check_share
from skelray.backbones.form import check_form, cpu_form, gpu_form
from skelray.backbones.pointwise import Pointwise
from skelray.backbones.pool import pool
from skelray.checks import UserError, check_whole
from skelray.skeleton import Skeleton

TAPS = 7
# A body's numbers before the first layer, T V C, from where the CPU's form is faster (batch 8; 5000 at 32):
# `python benchmarks/forms.py sizes dsta`
LEAST = 8000
# (channels, out, channels of queries and keys, temporal stride) of each layer: half the channels of the original.
HALF = (
    *((32, 32, 16, 1), (32, 32, 16, 1), (32, 64, 16, 2), (64, 64, 16, 1)),
    *((64, 128, 32, 2), (128, 128, 32, 1), (128, 128, 32, 1), (128, 256, 32, 1)),
)


@dataclass(frozen=True)
class DSTA:
    """DSTA-Net's settings. layers: (channels, out, inter, stride) of each. subsets: attention maps side by side in a layer.

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
        """Returns a version with half the layers and an eighth of the channels, for demonstrations."""
        return replace(self, layers=((4, 4, 2, 1), (4, 8, 2, 2), (8, 16, 4, 2), (16, 64, 4, 1)), dropout=0.0)

    @property
    def hidden_dim(self) -> int:
        """The channels of the last layer and of the feature."""
        return self.layers[-1][1]

    def build(self, skeleton: Skeleton, form: str | None = None) -> DSTAEncoder:
        """Builds the encoder. form: "plain", "cpu" or "gpu"; None decides by device and size of a sequence (``form.py``)."""
        return DSTAEncoder(self, skeleton, form)


def position_encoding(joints: int, channels: int) -> Tensor:
    """Returns (V, C): sines and cosines of the joint's number, with frequencies in geometric steps down to 1 / 10000."""
    rate = torch.exp(torch.arange(0, channels, 2).float() * -(math.log(10000.0) / channels))
    angle = torch.arange(joints).float()[:, None] * rate
    code = torch.zeros(joints, channels)
    code[:, 0::2], code[:, 1::2] = angle.sin(), angle[:, : channels // 2].cos()
    return code


class Attention(nn.Module):
    """Each joint of a body becomes a weighted sum of its joints, by weights shared by all frames; one sum for each subset.

    The weights are tanh(q k / (inter T)) alpha + a learned map, (V, V) for each body and subset; the sums are mixed to
    ``out`` channels. Positions are added for queries and keys, not for the sums. T is the sequence's own number of frames.
    """

    def __init__(self, channels: int, out: int, inter: int, subsets: int, joints: int) -> None:
        super().__init__()
        self.inter = inter
        self.register_buffer("position", position_encoding(joints, channels))  # kept: its last bit depends on the machine
        self.position: Tensor
        self.query_key_weight = nn.Parameter(torch.randn(2 * subsets, channels, inter) * 0.02)
        self.query_key_bias = nn.Parameter(torch.zeros(2 * subsets, inter))
        self.alpha = nn.Parameter(torch.ones(subsets))
        self.shared = nn.Parameter(torch.full((subsets, joints, joints), 1 / joints))
        self.weight = nn.Parameter(torch.randn(subsets, channels, out) * 0.02)
        self.bias = nn.Parameter(torch.zeros(out))

    def scores(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, S, V, V): query of v times key of w, over all frames."""
        weight = self.query_key_weight.mT.flatten(0, 1)[:, :, None, None]  # (2S I, C, 1, 1)
        y = F.conv2d(x + self.position.T[:, None], weight, self.query_key_bias.flatten())  # (B, 2S I, T, V)
        query, key = y.unflatten(1, (2, len(self.alpha), -1)).unbind(1)  # (B, S, I, T, V) each
        return torch.einsum("bsitv,bsitw->bsvw", query, key)

    def weights(self, scores: Tensor, frames: int) -> Tensor:
        """Returns the weights of attention, (B, S, V, V) from v to w."""
        scores = scores.to(self.alpha.dtype)  # under autocast, too
        return torch.tanh(scores / (self.inter * frames)) * self.alpha[:, None, None] + self.shared

    def forward(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(B, C, T, V) -> (B, O, T, V)."""
        weights = self.weights(self.scores(x), x.shape[2])
        if rewire is not None:
            weights = rewire(weights)
        sums = torch.einsum("bctv,bsvw->bsctw", x, weights).flatten(1, 2)  # (B, S C, T, V)
        return F.conv2d(sums, self.weight.flatten(0, 1).T[:, :, None, None], self.bias)


class TemporalConvolution(nn.Module):
    """Seven taps over time, zero padding."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(TAPS, channels, channels) * 0.02)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T', V)."""
        weight = self.weight.permute(2, 1, 0)[..., None]  # (O, C, 7, 1)
        return F.conv2d(x, weight, self.bias, (self.stride, 1), (TAPS // 2, 0))


class Shortcut(nn.Module):
    """A 1 x 1 convolution and batch norm for layers that change the shape."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.linear = Pointwise(channels, out, stride)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, O, T', V)."""
        return self.norm(self.linear(x))


class Join(nn.Module):
    """leaky(norm(y) + x): the output of a layer's step, joined with its residual."""

    slope = 0.1  # of the leaky ReLU below zero

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, y: Tensor, x: Tensor | float = 0.0) -> Tensor:
        """Returns (B, C, T, V) each."""
        return F.leaky_relu(self.norm(y) + x, self.slope)


class Layer(nn.Module):
    """Attention, a 1 x 1 convolution and a convolution over time, each joined with a residual."""

    def __init__(self, layer: tuple[int, int, int, int], subsets: int, joints: int, dropout: float) -> None:
        super().__init__()
        channels, out, inter, stride = layer
        same = channels == out and stride == 1
        self.attention = Attention(channels, out, inter, subsets, joints)
        self.join1 = Join(out)
        self.shortcut1: Shortcut | nn.Identity = nn.Identity() if same else Shortcut(channels, out)
        self.linear = Pointwise(out, out)
        self.join2 = Join(out)
        self.shortcut2: Shortcut | nn.Identity = nn.Identity() if same else Shortcut(channels, out)
        self.temporal = TemporalConvolution(out, stride)
        self.join3 = Join(out)
        self.shortcut3: Shortcut | nn.Identity = nn.Identity() if same else Shortcut(out, out, stride)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, rewire: Rewire | None) -> Tensor:
        """(B, C, T, V) -> (B, O, T', V)."""
        y = self.join1(self.attention(x, rewire), self.shortcut1(x))
        y = self.join2(self.linear(y), self.shortcut2(x))
        return self.join3(self.temporal(y), self.dropout(self.shortcut3(y), cpu.dsta.AXES))


class DSTAEncoder(nn.Module):
    """(N, C, T, V, M) -> (N, dim): a map of the coordinates, the layers, the mean over frames, joints and persons."""

    def __init__(self, config: DSTA, skeleton: Skeleton, form: str | None = None) -> None:
        super().__init__()
        check_form(form)
        self.config, self.form, self.dim = config, form, config.hidden_dim
        joints = len(skeleton.joints)
        self.linear = Pointwise(3, config.layers[0][0])
        self.join = Join(config.layers[0][0])
        self.layers = nn.ModuleList(Layer(layer, config.subsets, joints, config.dropout) for layer in config.layers)

    def takes_views(self, x: Tensor) -> bool:
        """Returns whether ``feature_map`` accepts several views like x at once."""
        return gpu_form(self.form, x)

    def feature_map(self, x: Tensor, rewire: Rewire | None = None, views: int = 1) -> Tensor:
        """(N, C, T, V, M) -> (N, M, T', V, dim); rewire: acts on each layer's attention, its learned map included.

        views: N holds this many views, each normalised by its own statistics; only if ``takes_views``.
        """
        if gpu_form(self.form, x):
            return gpu.dsta.feature_map(self, x, rewire, views)
        samples, _, frames, joints, persons = x.shape
        if cpu_form(self.form, x, frames * joints * self.config.layers[0][0], LEAST):
            return cpu.dsta.feature_map(self, x, rewire)
        x = self.join(self.linear(x.permute(0, 4, 1, 2, 3).flatten(0, 1)))  # (B, C, T, V)
        for layer in self.layers:
            x = layer(x, rewire)
        return x.permute(0, 2, 3, 1).unflatten(0, (samples, persons))

    def pool(self, features: Tensor, present: Tensor) -> Tensor:
        """(N, M, T', V, dim) -> (N, dim); present: (N, M) bool."""
        return pool(features, present, self.config.absent)

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        return self.pool(self.feature_map(x, rewire), present)
