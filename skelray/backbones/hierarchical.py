"""HiCo's hierarchical encoder (Dong et al., AAAI 2023): clips of frames and parts of joints at several granularities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire
from skelray.backbones import gpu
from skelray.backbones.form import is_in_lanes
from skelray.backbones.sequence import Recurrence, SequenceEncoder, Transformer
from skelray.checks import UserError, check_whole
from skelray.skeleton import Skeleton

BRANCHES = ("temporal", "spatial")


@dataclass(frozen=True)
class Hierarchical:
    """An encoder of clips and parts at several granularities.

    hidden_dim: of every level. granularity: L, the number of levels, each merging ``factor`` neighbours of the one before;
    spatial_granularity: that of the spatial branch, if it differs.

    branches: any of temporal and spatial, in this order. frames, persons: required of the input, because they are features
    of the spatial and the temporal branch. kernel: taps of the downsampling convolution.
    downsampling: "depthwise", a convolution of each feature alone, as released; "full" mixes features, the paper's Conv1D.
    norm_first: the downsampling normalises before its ReLU, as released; the paper's Eq. 2 has the opposite order.
    embedding_norm: a layer norm within the embedding, as released; the paper's Eq. 1 has none.
    shared: one downsampling and one S2S encoder for each branch, as in paper and release; else one for each level.
    """

    hidden_dim: int = 512
    granularity: int = 4
    s2s: SequenceEncoder = field(default_factory=Transformer)
    branches: tuple[str, ...] = BRANCHES
    downsampling: str = "depthwise"
    norm_first: bool = True
    embedding_norm: bool = True
    shared: bool = True
    kernel: int = 5
    factor: int = 2
    frames: int = 64
    persons: int = 2
    spatial_granularity: int | None = field(default=None, metadata={"later": True})

    def __post_init__(self) -> None:
        for name in ("hidden_dim", "granularity", "kernel", "factor", "frames", "persons"):
            check_whole(name, getattr(self, name), 1)
        if self.spatial_granularity is not None:
            check_whole("spatial_granularity", self.spatial_granularity, 1)
        if self.kernel % 2 == 0:
            raise UserError(f"kernel {self.kernel}: an odd number, so that the middle tap is the step itself")
        if isinstance(self.s2s, type) or not isinstance(self.s2s, SequenceEncoder):
            raise UserError(f"s2s {self.s2s!r}: a sequence encoder is needed, as in s2s=GRU()")
        if self.branches not in (BRANCHES, BRANCHES[:1], BRANCHES[1:]):
            raise UserError(f"branches {self.branches!r}: a tuple of temporal, spatial or both, in this order")
        if self.downsampling not in ("depthwise", "full"):
            raise UserError(f"downsampling {self.downsampling!r} is none of depthwise, full")

    def granularities(self) -> dict[str, int]:
        """Returns the number of levels of each branch."""
        spatial = self.granularity if self.spatial_granularity is None else self.spatial_granularity
        return {branch: self.granularity if branch == "temporal" else spatial for branch in self.branches}

    def small(self) -> Hierarchical:
        """Returns a version with an eighth of the features, for demonstrations."""
        return replace(self, hidden_dim=64)

    def build(self, skeleton: Skeleton) -> HierarchicalEncoder:
        return HierarchicalEncoder(self, skeleton)


@dataclass(frozen=True, eq=False)
class Levels:
    """The features that HiCo contrasts. clip, part: (N, G, H), finest granularity first; None for a branch left out."""

    clip: Tensor | None
    part: Tensor | None

    @property
    def temporal(self) -> Tensor | None:
        """(N, G H)."""
        return None if self.clip is None else self.clip.flatten(1)  # Eq. 6

    @property
    def spatial(self) -> Tensor | None:
        """(N, G H)."""
        return None if self.part is None else self.part.flatten(1)  # Eq. 6

    @property
    def instance(self) -> Tensor:
        """(N, dim), temporal first."""
        return torch.cat([domain for domain in (self.temporal, self.spatial) if domain is not None], dim=1)  # Eq. 7


def time_major(x: Tensor) -> Tensor:
    """(N, C, T, V, M) -> (N, T, M V C), for the temporal branch: a step is a frame."""
    return x.permute(0, 2, 4, 3, 1).flatten(2)


def space_major(x: Tensor) -> Tensor:
    """(N, C, T, V, M) -> (N, M V, T C), for the spatial branch: a step is a joint, the first person's joints first."""
    return x.permute(0, 4, 3, 2, 1).flatten(3).flatten(1, 2)


class Downsampling(nn.Module):
    """The unified downsampling module (UDM): each step gathers its neighbours, then ``factor`` steps become one."""

    def __init__(self, config: Hierarchical) -> None:
        super().__init__()
        self.factor, self.norm_first = config.factor, config.norm_first
        groups = config.hidden_dim if config.downsampling == "depthwise" else 1
        self.conv = nn.Conv1d(config.hidden_dim, config.hidden_dim, config.kernel, padding=config.kernel // 2, groups=groups)
        self.norm = nn.LayerNorm(config.hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, H) -> (N, L // factor, H)."""
        x = self._convolve(x)
        x = F.relu_(self.norm(x)) if self.norm_first else self.norm(F.relu_(x))  # Eq. 2
        return F.max_pool1d(x.transpose(1, 2), self.factor).transpose(1, 2).contiguous()  # as matrix products like it

    def _convolve(self, x: Tensor) -> Tensor:
        """Applies self.conv as a channels-last image, twice as fast on a CPU. (N, L, H) -> (N, L, H)."""
        conv = self.conv
        weight, padding = conv.weight[:, :, None], (0, conv.kernel_size[0] // 2)
        y = F.conv2d(x[:, None].permute(0, 3, 1, 2), weight, conv.bias, padding=padding, groups=conv.groups)  # (N, H, 1, L)
        return y[:, :, 0].transpose(1, 2)


class Domain(nn.Module):
    """A branch: embeds each step of a sequence and describes the sequence at every granularity."""

    def __init__(self, config: Hierarchical, inputs: int, levels: int) -> None:
        super().__init__()
        width = config.hidden_dim
        self.embed1 = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width) if config.embedding_norm else nn.Identity()
        self.embed2 = nn.Linear(width, width)
        downsamplings, encoders = (min(1, levels - 1), 1) if config.shared else (levels - 1, levels)
        self.levels = levels
        self.downsampling = nn.ModuleList(Downsampling(config) for _ in range(downsamplings))
        self.s2s = nn.ModuleList(config.s2s.build(width) for _ in range(encoders))

    def sequences(self, x: Tensor) -> list[Tensor]:
        """(N, L, inputs) -> the sequence at each granularity, finest first: (N, L // factor^g, H)."""
        x = self.embed2(F.relu_(self.norm(self.embed1(x))))  # Eq. 1
        found = [x]
        for level in range(1, self.levels):
            x = self.downsampling[(level - 1) % len(self.downsampling)](x)  # Eq. 3
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, inputs) -> (N, G, H)."""
        return pool_granularities([self.s2s[level % len(self.s2s)](one) for level, one in enumerate(self.sequences(x))])


def pool_granularities(described: list[Tensor]) -> Tensor:
    """Pools what the S2S encoders gave at each granularity, (N, L, H) each -> (N, G, H)."""
    return torch.stack([one.max(dim=1).values for one in described], dim=1)  # Eq. 4, 5


def _in_one_recurrence(domains: list[tuple[Domain, Tensor]]) -> list[Tensor]:
    """Returns the features of each branch, all granularities and directions of both in one recurrence."""
    reads: list[gpu.recurrence.Read] = []
    for domain, x in domains:
        sequences, cells = domain.sequences(x), [cast("Recurrence", s2s).cells for s2s in domain.s2s]
        each = [sequences] if len(cells) == 1 else [[one] for one in sequences]
        reads += map(gpu.recurrence.Read, cells, each)
    found = iter(gpu.recurrence.together(reads))
    return [pool_granularities([one for _ in domain.s2s for one in next(found)]) for domain, _ in domains]


class HierarchicalEncoder(nn.Module):
    """(N, C, T, V, M) -> (N, dim): the instance feature; ``levels`` gives all that it is made of."""

    def __init__(self, config: Hierarchical, skeleton: Skeleton) -> None:
        super().__init__()
        self.config = config
        levels = config.granularities()
        self.dim = sum(levels.values()) * config.hidden_dim
        tokens = config.persons * len(skeleton.joints)
        for branch, steps in (("temporal", config.frames), ("spatial", tokens)):
            if branch in levels and steps < config.factor ** (levels[branch] - 1):
                raise UserError(f"granularity {levels[branch]}: nothing is left of {steps} steps at the last level")
        self.temporal = Domain(config, 3 * tokens, levels["temporal"]) if "temporal" in levels else None
        self.spatial = Domain(config, 3 * config.frames, levels["spatial"]) if "spatial" in levels else None

    def levels(self, x: Tensor) -> Levels:
        """Returns the clip and part features of (N, C, T, V, M). Raises UserError for other frames or persons."""
        for name, found in (("frames", x.shape[2]), ("persons", x.shape[4])):
            if found != getattr(self.config, name):
                built = getattr(self.config, name)
                way = f"--set backbone.{name}={found}, or Hierarchical({name}={found}) in the study file"
                raise UserError(f"{found} {name}: this encoder was built for {built}; {way}")
        there: dict[str, tuple[Domain, Tensor]] = {}
        if self.temporal is not None:
            there["clip"] = self.temporal, time_major(x)
        if self.spatial is not None:
            there["part"] = self.spatial, space_major(x)
        recurrent = all(isinstance(s2s, Recurrence) for domain, _ in there.values() for s2s in domain.s2s)
        if is_in_lanes(x) and recurrent:  # torch's own recurrences have none
            described = _in_one_recurrence(list(there.values()))
        else:
            described = [domain(y) for domain, y in there.values()]
        named = dict(zip(there, described, strict=True))
        return Levels(named.get("clip"), named.get("part"))

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, dim). Absent persons are zeros, and ``present`` is not read, as in the released code."""
        if rewire is not None:
            raise UserError("a view rewires the graph, and the hierarchical encoder has none: leave that augmentation out")
        return self.levels(x).instance
