"""The state that all methods train: a query and a momentum key encoder with projectors, and a queue of keys.

MoCo (He et al., CVPR 2020) as SkeletonCLR, CrosSCLR, AimCLR and HiCLR use it: no shuffled batch norm, the key encoder in
training mode with batch statistics of its own, running statistics not averaged into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import IDENTITY, STREAMS, AugmentationSet, Rewire, View, encoder_input
from skelray.backbones.encode import encode, precision
from skelray.checks import UserError, check_positive, check_whole
from skelray.methods.method import Backbone, Follower, TakesViews
from skelray.methods.queue import Queue
from skelray.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True)
class MoCoSettings:
    """Hyperparameters of the state. Symbols as in the papers: tau temperature, m momentum; queue is K.

    key_init: "copy" starts the key encoder from the query's weights, as MoCo defines it; "independent" is the released code
    of all four ST-GCN methods, which re-initialises the whole model after copying (methods.md, 5.1).
    init: "normal" draws weights from N(0, 0.02), as released; "he" with variance 2 / fan-in, for narrow encoders and short
    schedules, which N(0, 0.02) starts so close to a constant output that they are slow to leave it.
    """

    INITS: ClassVar[tuple[str, ...]] = ("normal", "he")
    NUMBERS: ClassVar[tuple[str, ...]] = ("tau", "m")

    tau: float = 0.07
    m: float = 0.999
    queue: int = 32768
    dim: int = 128
    key_init: str = "copy"
    init: str = "normal"

    def __post_init__(self) -> None:
        check_positive("tau", self.tau)
        if not 0 <= self.m <= 1:
            raise UserError(f"m {self.m}: a momentum is between 0 and 1")
        check_whole("queue", self.queue, 1)
        check_whole("dim", self.dim, 1)
        if self.key_init not in ("copy", "independent"):
            raise UserError(f"key_init {self.key_init!r} is none of copy, independent")
        if self.init not in self.INITS:
            raise UserError(f"init {self.init!r} is none of {', '.join(self.INITS)}")

    def small(self) -> Self:
        """Returns settings for a few hundred sequences and steps: a short queue, a quick key, weights without warm-up."""
        return replace(self, queue=256, m=0.97, init="he" if "he" in self.INITS else self.init)

    @property
    def clip(self) -> AugmentationSet:
        return IDENTITY

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MoCo:
        """Builds the model, drawn from torch's global generator. Raises UserError for several streams."""
        if stream not in STREAMS:
            raise UserError(f"{type(self).__name__} trains one stream, not {stream}")
        return MoCo(self, backbone, skeleton, stream)


class Branch(nn.Module):
    """An encoder and its projector."""

    def __init__(self, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        features: int = encoder.dim  # type: ignore[assignment]
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, dim))

    def forward(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        return self.head(self.encoder(x, present, rewire))


class MoCo(nn.Module):
    """Query and key branch, a queue of unit keys, and the value of masked joints (1,)."""

    def __init__(self, settings: MoCoSettings, backbone: Backbone, skeleton: Skeleton, stream: str) -> None:
        super().__init__()
        self.stream, self.m = stream, settings.m
        self.autocast: torch.dtype | None = None  # precision of the encoders' matrix products, float32 if None
        self.query = Branch(backbone.build(skeleton), settings.dim)
        self.key = Branch(backbone.build(skeleton), settings.dim)
        initialise(self.query, settings.init)
        initialise(self.key, settings.init)
        if settings.key_init == "copy":
            self.key.load_state_dict(self.query.state_dict())
        self.key.requires_grad_(False)
        self.mask_value = nn.Parameter(torch.zeros(1))
        self.queue = Queue(settings.queue, settings.dim)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.stream: self.query.encoder}

    def projectors(self) -> dict[str, nn.Module]:
        return {self.stream: self.query.head}

    def mask_values(self) -> dict[str, Tensor]:
        return {self.stream: self.mask_value}

    def embed(self, view: View) -> Tensor:
        """Returns unit embeddings (N, D) of the query branch."""
        return self._embed(self.query, view)

    @torch.no_grad()
    def embed_key(self, view: View) -> Tensor:
        """Returns unit embeddings (N, D) of the key branch, without gradient."""
        return self._embed(self.key, view)

    def embed_each(self, views: Sequence[View], drop: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        """Returns unit embeddings (N, D) of the query branch for each view, in one pass if the encoder supports that.

        drop: applied to the feature map of each view after the first for a second embedding of it.
        """
        if self._takes(views):
            return self._embed_together(views, drop)
        embeddings = [self.embed(views[0])]
        for view in views[1:]:
            embeddings += self.embed_dropped(view, drop) if drop else (self.embed(view),)
        return embeddings

    def _takes(self, views: Sequence[View]) -> bool:
        encoder = self.query.encoder
        together = len(views) > 1 and isinstance(encoder, TakesViews) and encoder.takes_views(views[0].x)
        return together and all(view.rewire is None for view in views)

    def _embed_together(self, views: Sequence[View], drop: Callable[[Tensor], Tensor] | None) -> list[Tensor]:
        encoder: Any = self.query.encoder
        x = torch.cat([encoder_input(view, self.stream, self.mask_value) for view in views])
        with precision(x, self.autocast):
            maps = encoder.feature_map(x, views=len(views)).chunk(len(views))
            parts = [(f, view.present) for f, view in zip(maps, views, strict=True)]
            each = [parts[0]]
            for f, present in parts[1:]:
                each += [(f, present), (drop(f), present)] if drop else [(f, present)]
            pooled = [encoder.pool(f, present) for f, present in each]
            return list(unit(self.query.head(torch.cat(pooled))).chunk(len(pooled)))

    def _embed(self, branch: nn.Module, view: View) -> Tensor:
        return unit(encode(branch, view, self.stream, self.mask_value, self.autocast))

    def embed_dropped(self, view: View, drop: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Returns unit embeddings (N, D) of the query branch, without and with ``drop`` on its map (N, M, T', V, dim)."""
        x, encoder = encoder_input(view, self.stream, self.mask_value), self.query.encoder
        with precision(x, self.autocast):
            features = encoder.feature_map(x, view.rewire)  # type: ignore[operator]
            plain, dropped = (self.query.head(encoder.pool(f, view.present)) for f in (features, drop(features)))  # type: ignore[operator]
        return unit(plain), unit(dropped)

    def followers(self, epoch: int) -> list[Follower]:
        return [(self.key, self.query)]

    def update_key(self, epoch: int) -> None:
        average(self.key, self.query, self.m)

    def enqueue(self, keys: Tensor) -> None:
        self.queue.push(keys)


def unit(z: Tensor) -> Tensor:
    """Scales embeddings (..., D) to length one, in float32 if the encoder worked in half precision."""
    return F.normalize(z.float() if z.dtype in (torch.bfloat16, torch.float16) else z, dim=-1)


@torch.no_grad()
def average(key: nn.Module, query: nn.Module, m: float) -> None:
    """Sets key = m key + (1 - m) query, parameters only."""
    torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - m)


def initialise(module: nn.Module, init: str) -> None:
    """Initialises weights by ``init``, batch-norm scales N(1, 0.02), biases 0; leaves scalars and edge importances.

    "xavier": every matrix Xavier-uniform, all else at torch's defaults.
    """
    if init == "xavier":
        for parameter in module.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
        return
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif "norm" in name:
            nn.init.normal_(parameter, 1.0, 0.02)
        elif name.endswith("weight"):
            fan_in = parameter.shape[:-1].numel() if parameter.dim() == 3 else parameter.shape[1]  # (K, C, O) or (O, C)
            nn.init.normal_(parameter, 0.0, 0.02 if init == "normal" else (2 / fan_in) ** 0.5)
