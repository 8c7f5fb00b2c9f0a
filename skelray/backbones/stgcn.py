"""ST-GCN (Yan, Xiong, Lin, AAAI 2018) at a quarter of its channels, as SkeletonCLR, CrosSCLR, AimCLR and HiCLR use it.

Activations are joint-first and channels-last, (V, B, T, C) with B = N M bodies, so that aggregating over joints and
mixing channels are plain matrix products. The short sequences of the last blocks are held time-first, (T, V, B, C),
where the temporal convolution is cheapest in Fourier form. Parameter names of the released encoders: ``released.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones.dropout import Dropout, check_share
from skelray.backbones.graph import check_partition, spatial_partition
from skelray.backbones.graph_convolution import GraphConvolution
from skelray.backbones.join import join
from skelray.backbones.norm import BatchNorm
from skelray.backbones.pool import pool
from skelray.backbones.temporal import fourier_convolution
from skelray.checks import UserError, check_whole
from skelray.skeleton import Skeleton

TAPS = 9
# (channels as a multiple of hidden_channels, temporal stride); the last block goes to ``hidden_dim`` channels.
STAGES = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1), (4, 2), (4, 1))
SHORT = 16  # sequences of at most so many frames are held time-first


@dataclass(frozen=True)
class STGCN:
    """hidden_channels: of the first stage; hidden_dim: of the last block and the feature.

    partition: "hop1" is the released graph, whose subsets are 25 / 40 / 8 entries because its distances stop at one hop;
    "spatial" is the paper's (root, closer, farther). absent: "average" counts an absent person with full weight in the
    mean over persons, as released; "exclude" leaves it out.
    """

    hidden_channels: int = 16
    hidden_dim: int = 256
    dropout: float = 0.5
    partition: str = "hop1"
    absent: str = "average"

    def __post_init__(self) -> None:
        for name in ("hidden_channels", "hidden_dim"):
            check_whole(name, getattr(self, name), 1)
        check_share(self.dropout)
        check_partition(self.partition)
        if self.absent not in ("average", "exclude"):
            raise UserError(f"absent {self.absent!r} is none of average, exclude")

    def small(self) -> STGCN:
        """A quarter of the channels, for demonstrations."""
        return replace(self, hidden_channels=4, hidden_dim=64, dropout=0.0)

    def build(self, skeleton: Skeleton) -> STGCNEncoder:
        return STGCNEncoder(self, skeleton)


class TemporalConvolution(nn.Module):
    """Nine taps over time, zero padding; in Fourier form where x comes time-first. The bias is left to the norm after it."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(TAPS, channels, channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, time_first: bool) -> Tensor:
        """(V, B, T, C) -> (V, B, T', C) or (T, V, B, C) -> (T', V, B, C)."""
        if time_first:
            return fourier_convolution(x.flatten(1, 2), self.weight, self.stride).view(-1, *x.shape[1:])
        weight = self.weight.permute(2, 1, 0)[:, :, None]  # (C', C, 1, 9)
        y = F.conv2d(
            x.flatten(0, 1)[:, None].permute(0, 3, 1, 2), weight, None, (1, self.stride), (0, TAPS // 2)
        )  # (V B, C, 1, T'), channels last in memory
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[3])


class Block(nn.Module):
    """Graph convolution, temporal convolution, dropout and a residual; the first block has neither of the last two."""

    def __init__(self, channels: int, out: int, stride: int, adjacency: Tensor, dropout: float, first: bool) -> None:
        super().__init__()
        self.stride, self.first = stride, first
        self.graph = GraphConvolution(channels, out, adjacency)
        self.norm1 = BatchNorm(out)
        self.temporal = TemporalConvolution(out, stride)
        self.norm2 = BatchNorm(out)
        self.dropout = Dropout(0.0 if first else dropout)
        if not first and (channels != out or stride != 1):
            self.shortcut = nn.Linear(channels, out)
            self.shortcut_norm = BatchNorm(out)

    def forward(self, x: Tensor, time_first: bool, rewire: Rewire | None) -> Tensor:
        y = self.graph(x if time_first else x.flatten(1, 2)[None], rewire)  # joints lead within each slice
        y = join(self.norm1, y.view(*x.shape[:3], -1))
        y = self.temporal(y, time_first)
        if self.first:
            return join(self.norm2, y, self.temporal.bias)
        if not hasattr(self, "shortcut"):
            return join(self.norm2, y, self.temporal.bias, x, dropout=self.dropout)
        x = x[:: self.stride] if time_first else x[:, :, :: self.stride]
        return join(self.norm2, y, self.temporal.bias, x, (self.shortcut, self.shortcut_norm), self.dropout)


class STGCNEncoder(nn.Module):
    """(N, C, T, V, M) -> (N, dim): ten blocks, then the mean over frames, joints and persons."""

    def __init__(self, config: STGCN, skeleton: Skeleton) -> None:
        super().__init__()
        self.config, self.dim = config, config.hidden_dim
        adjacency = spatial_partition(skeleton, config.partition)
        self.data_norm = BatchNorm(3 * len(skeleton.joints))
        blocks: list[Block] = []
        channels = 3
        for factor, stride in (*STAGES, (None, 1)):
            out = config.hidden_dim if factor is None else factor * config.hidden_channels
            blocks.append(Block(channels, out, stride, adjacency, config.dropout, first=not blocks))
            channels = out
        self.blocks = nn.ModuleList(blocks)

    def feature_map(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, M, T', V, dim); rewire: acts on each block's graph before its learned importance."""
        samples, _, frames, joints, persons = x.shape
        x = x.permute(0, 4, 2, 3, 1).reshape(samples * persons, frames, -1)  # (B, T, V C)
        x = self.data_norm(x).unflatten(2, (joints, -1))  # (B, T, V, C)
        x = x.permute(2, 0, 1, 3).contiguous()  # (V, B, T, C)
        time_first = False
        for block in self.blocks:
            if not time_first and x.device.type == "cpu" and x.shape[2] <= SHORT:
                x, time_first = x.permute(2, 0, 1, 3).contiguous(), True  # (T, V, B, C)
            x = block(x, time_first, rewire)
        x = x.permute(2, 0, 1, 3) if time_first else x.permute(1, 2, 0, 3)  # (B, T', V, dim)
        return x.unflatten(0, (samples, persons))

    def pool(self, features: Tensor, present: Tensor) -> Tensor:
        """(N, M, T', V, dim) -> (N, dim); present: (N, M) bool."""
        return pool(features, present, self.config.absent)

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        return self.pool(self.feature_map(x, rewire), present)
