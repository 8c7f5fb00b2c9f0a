"""The contract of a method: hyperparameters, views of a batch, and a loss over the state that it builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from skelray.augment import AugmentationSet, Rewire, View
from skelray.backbones.hierarchical import Levels
from skelray.skeleton import Skeleton


class Encoder(Protocol):
    """An encoder built by a backbone: (N, C, T, V, M) and present (N, M) to (N, dim)."""

    dim: int

    def __call__(self, x: Tensor, present: Tensor, rewire: Rewire | None = None) -> Tensor: ...


@runtime_checkable
class HasFeatureMap(Protocol):
    """An encoder in two steps, so that EADM can drop features between them."""

    def feature_map(self, x: Tensor, rewire: Rewire | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, M, T', V, dim)."""
        ...

    def pool(self, features: Tensor, present: Tensor) -> Tensor:
        """(N, M, T', V, dim) and (N, M) -> (N, dim)."""
        ...


@runtime_checkable
class TakesViews(Protocol):
    """An encoder with a feature map that accepts several views in one pass, each normalised by its own statistics."""

    def takes_views(self, x: Tensor) -> bool:
        """Returns whether it does so on x's device."""
        ...

    def feature_map(self, x: Tensor, rewire: Rewire | None = None, views: int = 1) -> Tensor:
        """(views N, C, T, V, M) -> (views N, M, T', V, dim)."""
        ...

    def pool(self, features: Tensor, present: Tensor) -> Tensor: ...


@runtime_checkable
class HasLevels(Protocol):
    """An encoder that describes a sequence at several levels, as HiCo contrasts them."""

    def levels(self, x: Tensor) -> Levels: ...


class Backbone(Protocol):
    """A frozen dataclass that builds an encoder, an nn.Module."""

    def build(self, skeleton: Skeleton) -> nn.Module: ...


@dataclass(eq=False)
class Step:
    """A method's result for a batch. loss: scalar; keys: to push into the model's queues; parts: named terms of the loss."""

    loss: Tensor
    keys: Any
    parts: dict[str, Tensor]


@dataclass(eq=False)
class Views:
    """The augmented versions of one batch: the key's and one for each query branch."""

    key: View
    queries: list[View]


class Model(Protocol):
    """The state that a method trains, an nn.Module.

    query: the part of the encoders that the optimiser trains and that is kept. autocast: precision of the encoders' matrix
    products, float32 if None.
    """

    autocast: torch.dtype | None

    @property
    def query(self) -> nn.Module: ...

    def encoders(self) -> Mapping[str, nn.Module]:
        """Returns the query encoder of each stream, without projector."""
        ...

    def update_key(self, epoch: int) -> None: ...

    def enqueue(self, keys: Any) -> None: ...


Follower = tuple[nn.Module, nn.Module]  # a key branch, and the query branch whose parameters it averages


@runtime_checkable
class HasFollowers(Protocol):
    """A model whose ``update_key`` is key = m key + (1 - m) query of these, so that several trials may do it at once."""

    def followers(self, epoch: int) -> list[Follower]: ...


@runtime_checkable
class HasProjectors(Protocol):
    """A model whose projectors evaluations may read; of other models they read the encoders alone."""

    def projectors(self) -> Mapping[str, nn.Module]:
        """Returns each stream's projector, from its encoder's output to its embedding."""
        ...


@runtime_checkable
class HasMaskValues(Protocol):
    """A model that learns the value of masked joints; in other models it is 0."""

    def mask_values(self) -> Mapping[str, Tensor]:
        """Returns the value (1,) of each stream."""
        ...


class Method(Protocol):
    """A frozen dataclass. clip: applied to every sequence that an evaluation encodes."""

    @property
    def clip(self) -> AugmentationSet: ...

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> Any:
        """Builds a Model, drawn from torch's global generator. Raises UserError for streams that it cannot train."""
        ...

    def views(self, view: View) -> Views: ...

    def loss(self, model: Any, views: Views, epoch: int) -> Step:
        """Computes the loss without changing the model (batch-norm statistics aside). epoch counts from 1."""
        ...


@runtime_checkable
class HasStages(Protocol):
    """A method that says when its loss changes, so that on a CUDA device one captured step serves all epochs between."""

    def stage(self, epoch: int) -> int:
        """Returns a number that is equal for epochs in which ``loss`` and ``update_key`` do the same."""
        ...


@runtime_checkable
class Scheduled(Protocol):
    """A method or optimizer some of whose fields count epochs. COUNT_EPOCHS: their names.

    They scale with a trial's length; a value that --set gives them is that of the trial as it runs.
    """

    COUNT_EPOCHS: ClassVar[tuple[str, ...]]

    def scaled(self, share: float) -> Self:
        """Returns it with these fields multiplied by ``share``."""
        ...
