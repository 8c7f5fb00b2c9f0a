"""ST-GCN (Yan, Xiong, Lin, AAAI 2018) at a quarter of its channels, as SkeletonCLR, CrosSCLR, AimCLR and HiCLR use it.

Activations are (B, C, T, V) with B = N M bodies. Parameter names of the released encoders: ``released.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones import cpu, gpu
from skelray.backbones.dropout import Dropout, check_share
from skelray.backbones.form import check_form, cpu_form, gpu_form
from skelray.backbones.graph import check_partition, spatial_partition
from skelray.backbones.pointwise import Pointwise
from skelray.backbones.pool import pool
from skelray.checks import UserError, check_whole
from skelray.skeleton import Skeleton

TAPS = 9
# (channels as a multiple of hidden_channels, temporal stride); the last block goes to ``hidden_dim`` channels.
STAGES = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1), (4, 2), (4, 1))
# A body's numbers after the first block, T V C, from where the CPU's form is faster (batch 32; 5000 at 8):
# `python benchmarks/forms.py sizes stgcn`
LEAST = 4000


@dataclass(frozen=True)
class STGCN:
    """ST-GCN's settings. hidden_channels: of the first stage; hidden_dim: of the last block and the feature.

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
        """Returns a version with a quarter of the channels, for demonstrations."""
        return replace(self, hidden_channels=4, hidden_dim=64, dropout=0.0)

    def build(self, skeleton: Skeleton, form: str | None = None) -> STGCNEncoder:
        """Builds the encoder. form: "plain", "cpu" or "gpu"; None decides by device and size of a sequence (``form.py``)."""
        return STGCNEncoder(self, skeleton, form)


class GraphConvolution(nn.Module):
    """sum_k A_k^T x W_k over the subsets k of edges, each edge scaled by a learned importance.

    adjacency: (K, V, V) from v to w.
    """

    def __init__(self, channels: int, out: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.adjacency: Tensor
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.weight = nn.Parameter(torch.empty(len(adjacency), channels, out))
        self.bias = nn.Parameter(torch.zeros(len(adjacency), out))

    def rewired(self, rewire: Rewire | None) -> Tensor:
        """Returns the adjacency with the edges that a view drops and adds."""
        return self.adjacency if rewire is None else rewire(self.adjacency)

    def forward(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(B, C, T, V) -> (B, O, T, V)."""
        weight = self.weight.mT.flatten(0, 1)[:, :, None, None]  # (K O, C, 1, 1)
        y = F.conv2d(x, weight, self.bias.flatten()).unflatten(1, self.bias.shape)  # (B, K, O, T, V)
        return torch.einsum("bkotv,kvw->botw", y, self.rewired(rewire) * self.importance)


class TemporalConvolution(nn.Module):
    """Nine taps over time, zero padding."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(TAPS, channels, channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T', V)."""
        weight = self.weight.permute(2, 1, 0)[..., None]  # (O, C, 9, 1)
        return F.conv2d(x, weight, self.bias, (self.stride, 1), (TAPS // 2, 0))


class Block(nn.Module):
    """Graph convolution, temporal convolution, dropout and a residual; the first block has neither of the last two."""

    def __init__(self, channels: int, out: int, stride: int, adjacency: Tensor, dropout: float, first: bool) -> None:
        super().__init__()
        self.first = first
        self.graph = GraphConvolution(channels, out, adjacency)
        self.norm1 = nn.BatchNorm2d(out)
        self.temporal = TemporalConvolution(out, stride)
        self.norm2 = nn.BatchNorm2d(out)
        self.dropout = Dropout(0.0 if first else dropout)
        self.shortcut: Pointwise | None = None
        if not first and (channels != out or stride != 1):
            self.shortcut = Pointwise(channels, out, stride)
            self.shortcut_norm = nn.BatchNorm2d(out)

    def residual(self, x: Tensor) -> Tensor | float:
        """(B, C, T, V) -> (B, O, T', V)."""
        if self.first:
            return 0.0
        return x if self.shortcut is None else self.shortcut_norm(self.shortcut(x))

    def forward(self, x: Tensor, rewire: Rewire | None) -> Tensor:
        """(B, C, T, V) -> (B, O, T', V)."""
        y = F.relu(self.norm1(self.graph(x, rewire)))
        y = self.norm2(self.temporal(y))
        y = self.dropout(y, cpu.stgcn.axes(x.shape[2]))
        return F.relu(y + self.residual(x))


class STGCNEncoder(nn.Module):
    """(N, C, T, V, M) -> (N, dim): ten blocks, then the mean over frames, joints and persons."""

    def __init__(self, config: STGCN, skeleton: Skeleton, form: str | None = None) -> None:
        super().__init__()
        check_form(form)
        self.config, self.form, self.dim = config, form, config.hidden_dim
        adjacency = spatial_partition(skeleton, config.partition)
        self.data_norm = nn.BatchNorm1d(3 * len(skeleton.joints))
        blocks: list[Block] = []
        channels = 3
        for factor, stride in (*STAGES, (None, 1)):
            out = config.hidden_dim if factor is None else factor * config.hidden_channels
            blocks.append(Block(channels, out, stride, adjacency, config.dropout, first=not blocks))
            channels = out
        self.blocks = nn.ModuleList(blocks)

    def takes_views(self, x: Tensor) -> bool:
        """Returns whether ``feature_map`` accepts several views like x at once."""
        return gpu_form(self.form, x)

    def feature_map(self, x: Tensor, rewire: Rewire | None = None, views: int = 1) -> Tensor:
        """(N, C, T, V, M) -> (N, M, T', V, dim); rewire: acts on each block's graph before its learned importance.

        views: N holds this many views, each normalised by its own statistics; only if ``takes_views``.
        """
        if gpu_form(self.form, x):
            return gpu.stgcn.feature_map(self, x, rewire, views)
        samples, _, frames, joints, persons = x.shape
        if cpu_form(self.form, x, frames * joints * self.config.hidden_channels, LEAST):
            return cpu.stgcn.feature_map(self, x, rewire)
        x = x.permute(0, 4, 3, 1, 2).flatten(2, 3).flatten(0, 1)  # (B, V C, T)
        x = self.data_norm(x).unflatten(1, (joints, -1)).permute(0, 2, 3, 1)  # (B, C, T, V)
        for block in self.blocks:
            x = block(x, rewire)
        return x.permute(0, 2, 3, 1).unflatten(0, (samples, persons))

    def pool(self, features: Tensor, present: Tensor) -> Tensor:
        """(N, M, T', V, dim) -> (N, dim); present: (N, M) bool."""
        return pool(features, present, self.config.absent)

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        return self.pool(self.feature_map(x, rewire), present)
