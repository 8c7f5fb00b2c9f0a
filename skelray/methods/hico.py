"""HiCo (Dong et al., AAAI 2023): contrast at four levels: clips and parts, their domains, and the whole instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skelray.augment import HICO, STREAMS, AugmentationSet, CentreCrop, View, encoder_input
from skelray.backbones.encode import precision
from skelray.checks import UserError
from skelray.methods.method import Backbone, Follower, HasLevels, Step, Views
from skelray.methods.moco import MoCoSettings, average, initialise, unit
from skelray.methods.queue import Queue
from skelray.methods.similarity import Candidates, info_nce
from skelray.skeleton import Skeleton

LEVELS = ("clip", "part", "domain", "instance")
CLIP = AugmentationSet("centre", (CentreCrop(),))


@dataclass(frozen=True, kw_only=True)
class HiCo(MoCoSettings):
    """Trains a backbone with levels (``Hierarchical``). Defaults are the released script's; queue: K single features.

    query, key: augmentations of either view. levels: the losses, summed.
    init: "xavier" draws every matrix Xavier-uniform and leaves the rest at torch's defaults.
    short_queue: the clip and part queues hold a key for each granularity, G K in all, but the released code returns to
    their start after K keys, so that three quarters of the negatives stay the random vectors they started as.
    """

    INITS: ClassVar[tuple[str, ...]] = ("xavier",)

    tau: float = 0.2
    queue: int = 2048
    init: str = "xavier"
    query: AugmentationSet = HICO
    key: AugmentationSet = HICO
    levels: tuple[str, ...] = LEVELS
    short_queue: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels or not set(self.levels) <= set(LEVELS) or len(set(self.levels)) < len(self.levels):
            raise UserError(f"levels {self.levels!r}: a tuple of some of {', '.join(LEVELS)}, each once")

    @property
    def clip(self) -> AugmentationSet:
        return CLIP

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> HiCoModel:  # type: ignore[override]
        if stream not in STREAMS:
            raise UserError(f"HiCo trains one stream, not {stream}")
        return HiCoModel(self, backbone, skeleton, stream)

    def stage(self, epoch: int) -> int:
        return 0

    def views(self, view: View) -> Views:
        return Views(key=self.key(view.on("key")), queries=[self.query(view.on("query0"))])

    def loss(self, model: Any, views: Views, epoch: int) -> Step:
        with torch.no_grad():
            keys = model.embed(model.key, views.key)
        queries = model.embed(model.query, views.queries[0])
        parts = {}
        for name in model.heads:
            # Of a clip or part query the finest granularity is the anchor; of its keys all are positives (Eq. 10, 11).
            # A domain's query is held to the other domain's key and queue (Eq. 9), the instance's to its own (Eq. 8).
            other = {"temporal": "spatial", "spatial": "temporal"}.get(name, name)
            z = queries[name][:, 0]  # (N, D)
            parts[name] = info_nce(any_of(z, keys[other], model.queues[other].keys, self.tau))
        loss = torch.stack(list(parts.values())).sum()
        return Step(loss, keys, {name: part.detach() for name, part in parts.items()})


def any_of(z: Tensor, keys: Tensor, queue: Tensor, tau: float) -> Candidates:
    """Returns candidates whose positive is any of a sample's keys: their exponentials add up. z (N, D), keys (N, G, D)."""
    positives = torch.einsum("nd,ngd->ng", z, keys.to(z.dtype)) / tau
    return Candidates(z, positives.logsumexp(dim=1), z @ queue.to(z.dtype).T / tau)


class Heads(nn.Module):
    """An encoder with levels and a projector for each feature that a loss reads."""

    def __init__(self, encoder: nn.Module, inputs: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        hidden: int = encoder.config.hidden_dim  # type: ignore[union-attr,assignment]
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dim))
                for name, width in inputs.items()
            }
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, T, V, M) -> (N, G, D) of clip and part, (N, 1, D) of the others."""
        levels = self.encoder.levels(x)  # type: ignore[operator]
        features = {name: getattr(levels, name) for name in self.heads}
        return {name: self.heads[name](f if f.dim() == 3 else f[:, None]) for name, f in features.items()}


class HiCoModel(nn.Module):
    """Query and key encoder with their heads, and a queue for each feature."""

    def __init__(self, method: HiCo, backbone: Backbone, skeleton: Skeleton, stream: str) -> None:
        super().__init__()
        self.stream, self.m = stream, method.m
        self.autocast: torch.dtype | None = None
        encoders = [backbone.build(skeleton) for _ in range(2)]
        inputs = _inputs(method.levels, encoders[0])
        self.query, self.key = (Heads(encoder, inputs, method.dim) for encoder in encoders)
        initialise(self.query, method.init)
        initialise(self.key, method.init)
        if method.key_init == "copy":
            self.key.load_state_dict(self.query.state_dict())
        self.key.requires_grad_(False)
        self.mask_value = nn.Parameter(torch.zeros(1))
        self.heads = tuple(inputs)
        counts: dict[str, int] = backbone.granularities()  # type: ignore[attr-defined]
        per_sample = {"clip": counts.get("temporal", 1), "part": counts.get("spatial", 1)}
        self.queues = nn.ModuleDict()
        for name in inputs:
            keys = per_sample.get(name, 1)
            self.queues[name] = Queue(keys * method.queue, method.dim, method.queue if method.short_queue else None)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.stream: self.query.encoder}

    def projectors(self) -> dict[str, nn.Module]:
        """Returns the instance feature's projector, over the encoder's whole output; empty without the instance level."""
        return {self.stream: self.query.heads["instance"]} if "instance" in self.heads else {}

    def mask_values(self) -> dict[str, Tensor]:
        return {self.stream: self.mask_value}

    def embed(self, branch: nn.Module, view: View) -> dict[str, Tensor]:
        """Returns unit embeddings of each feature, (N, G or 1, D)."""
        if view.rewire is not None:
            raise UserError("a view rewires the graph, and HiCo's encoder has none: leave that augmentation out")
        x = encoder_input(view, self.stream, self.mask_value)
        with precision(x, self.autocast):
            features = branch(x)
        return {name: unit(z) for name, z in features.items()}

    def followers(self, epoch: int) -> list[Follower]:
        return [(self.key, self.query)]

    def update_key(self, epoch: int) -> None:
        average(self.key, self.query, self.m)

    def enqueue(self, keys: Mapping[str, Tensor]) -> None:
        for name, queue in self.queues.items():
            queue.push(keys[name].flatten(0, 1))  # type: ignore[operator]


def _inputs(levels: tuple[str, ...], encoder: nn.Module) -> dict[str, int]:
    """Returns the features that these losses read, with widths. Raises UserError if the backbone lacks one."""
    if not isinstance(encoder, HasLevels):
        raise UserError("HiCo contrasts the levels of a hierarchical encoder: use backbone=Hierarchical()")
    config: Any = encoder.config
    width = config.hidden_dim
    domains = {branch: width * count for branch, count in config.granularities().items()}
    lacking = {"clip": "temporal", "part": "spatial"}
    for level, branch in lacking.items():
        if {level, "domain"} & set(levels) and branch not in config.branches:
            raise UserError(f"levels {levels!r} read the {branch} branch, which the backbone leaves out")
    widths = {"clip": width, "part": width, "temporal": 0, "spatial": 0} | domains | {"instance": sum(domains.values())}
    wanted = {*levels, *(("temporal", "spatial") if "domain" in levels else ())}
    return {name: widths[name] for name in widths if name in wanted}
