"""The state that all methods train: a query and a momentum key encoder with projectors, and a queue of keys.

MoCo (He et al., CVPR 2020) as SkeletonCLR, AimCLR and HiCLR use it: no shuffled batch norm, the key encoder in training
mode with batch statistics of its own, running statistics not averaged into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Rewire, View, form
from skelray.skeleton import Skeleton


class Encoder(Protocol):
    """Built by a backbone: (N, C, T, V, M) and present (N, M) to (N, dim)."""

    dim: int

    def __call__(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor: ...


class Backbone(Protocol):
    """A frozen dataclass that builds an encoder, an nn.Module."""

    def build(self, skeleton: Skeleton) -> nn.Module: ...


@dataclass
class Step:
    """What a method makes of a batch. loss: scalar; keys: (N, D) for the queue; parts: named terms for the curves."""

    loss: Tensor
    keys: Tensor
    parts: dict[str, Tensor]


@dataclass
class Views:
    """The augmented versions of one batch: the key's and one for each query branch."""

    key: View
    queries: list[View]


class Method(Protocol):
    """Hyperparameters and a loss; a frozen dataclass."""

    @property
    def m(self) -> float: ...

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MoCo: ...

    def views(self, view: View) -> Views: ...

    def loss(self, model: MoCo, views: Views, epoch: int) -> Step:
        """Reads the model, never writes it (batch-norm statistics aside). epoch counts from 1."""
        ...


@dataclass(frozen=True, kw_only=True)
class MoCoSettings:
    """Hyperparameters of the state. Symbols as in the papers: tau temperature, m momentum; queue is K.

    key_init: "copy" starts the key encoder from the query's weights, as MoCo defines it; "independent" is what the
    released code of all four ST-GCN methods does by re-initialising the whole model after copying (methods.md, 5.1).
    init: weights are drawn from N(0, 0.02), "normal", as released, or with variance 2 / fan-in, "he"; for narrow encoders
    and short schedules, which N(0, 0.02) starts so close to a constant output that they take long to leave it.
    """

    tau: float = 0.07
    m: float = 0.999
    queue: int = 32768
    dim: int = 128
    key_init: str = "copy"
    init: str = "normal"

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ValueError(f"tau {self.tau}: a temperature is above 0")
        if not 0 <= self.m <= 1:
            raise ValueError(f"m {self.m}: a momentum is between 0 and 1")
        if self.queue < 1:
            raise ValueError(f"queue {self.queue}: it holds at least one key")
        if self.dim < 1:
            raise ValueError(f"dim {self.dim}: an embedding has at least one number")
        if self.key_init not in ("copy", "independent"):
            raise ValueError(f"key_init {self.key_init!r} is none of copy, independent")
        if self.init not in ("normal", "he"):
            raise ValueError(f"init {self.init!r} is none of normal, he")

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MoCo:
        """The model with fresh weights, drawn from torch's global generator."""
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
    """query and key branch, queue (K, D) of unit keys with its write position, and the value of masked joints (1,)."""

    queue: Tensor
    position: Tensor

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
        self.register_buffer("queue", F.normalize(torch.randn(settings.queue, settings.dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def embed(self, view: View) -> Tensor:
        """(N, D) unit embeddings of the query branch."""
        return self._embed(self.query, view)

    @torch.no_grad()
    def embed_key(self, view: View) -> Tensor:
        """(N, D) unit embeddings of the key branch, without gradient."""
        return self._embed(self.key, view)

    def _embed(self, branch: nn.Module, view: View) -> Tensor:
        x = form(view, self.stream, self.mask_value)
        with torch.autocast(x.device.type, self.autocast, enabled=self.autocast is not None):
            z = branch(x, view.present, view.rewire)
        return F.normalize(z if self.autocast is None else z.float(), dim=1)

    @torch.no_grad()
    def update_key(self) -> None:
        """key = m key + (1 - m) query, parameters only."""
        torch._foreach_lerp_(list(self.key.parameters()), list(self.query.parameters()), 1 - self.m)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """The oldest keys give way to these (N, D), wherever the end of the queue falls."""
        size, pushed = len(self.queue), len(keys)
        keys = keys[-size:]  # of a batch larger than the queue; a place is written once
        at = (self.position + torch.arange(pushed - len(keys), pushed, device=keys.device)) % size
        self.queue[at] = keys.to(self.queue.dtype)
        self.position.add_(pushed).remainder_(size)


def initialise(module: nn.Module, init: str) -> None:
    """Weights as ``init`` says, batch-norm scales N(1, 0.02), biases 0; scalars and edge importances keep theirs."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif "norm" in name:
            nn.init.normal_(parameter, 1.0, 0.02)
        elif name.endswith("weight"):
            fan_in = parameter.shape[:-1].numel() if parameter.dim() == 3 else parameter.shape[1]  # (K, C, O) or (O, C)
            nn.init.normal_(parameter, 0.0, 0.02 if init == "normal" else (2 / fan_in) ** 0.5)
