"""A trial: everything that decides a trained encoder and what is measured on it, as data with a content id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from skelray.augment import STREAMS
from skelray.checks import MOST_SEED, UserError, check_each, check_number, check_positive, check_whole
from skelray.evaluation import Evaluation, distinct_names, small_version, small_versions
from skelray.identity.canonical import canonical, digest
from skelray.methods import Backbone, Method, Scheduled
from skelray.names import PRECISIONS


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent; the rate falls tenfold after each milestone epoch (from milestone + 1 on)."""

    COUNT_EPOCHS: ClassVar[tuple[str, ...]] = ("milestones",)

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False
    milestones: tuple[int, ...] = (250,)

    def __post_init__(self) -> None:
        check_positive("lr", self.lr)
        check_number("momentum", self.momentum, 0)
        check_number("weight_decay", self.weight_decay, 0)
        if self.nesterov and not self.momentum:
            raise UserError(f"nesterov {self.nesterov}: it needs a momentum above 0")
        check_each("milestones", self.milestones, int, "(250,)")
        for milestone in self.milestones:
            check_whole("milestones", milestone, 0)

    def build(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            foreach=True,
        )

    def lr_at(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, counted from 1."""
        return self.lr * 0.1 ** sum(epoch > milestone for milestone in self.milestones)

    def scaled(self, share: float) -> SGD:
        return replace(self, milestones=tuple(max(1, round(m * share)) for m in self.milestones))


@dataclass(frozen=True)
class Monitor:
    """An evaluation on held-out training subjects, read every ``every`` epochs and after the last.

    The held-out subjects are then left out of training.
    """

    evaluation: Evaluation
    every: int = 25

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1)

    def due(self, epoch: int, last: int) -> bool:
        return epoch % self.every == 0 or epoch == last


@dataclass(frozen=True)
class Trial:
    """One cell of a study under one seed. Epochs count from 1.

    stream: joint, bone or motion, or several for a method that trains them side by side, as in "joint+motion+bone".
    precision: of the matrix products in the encoders. frames: sequences are resized to this length, None as prepared.
    imported: the digest of weights that `skelray import-weights` put into the store; such a trial has 0 epochs.
    """

    benchmark: str
    protocol: str
    backbone: Backbone
    method: Method
    optimizer: SGD
    stream: str = "joint"
    epochs: int = 300
    batch_size: int = 128
    seed: int = 0
    precision: str = "float32"
    frames: int | None = None
    imported: str | None = None
    monitor: Monitor | None = None
    evaluations: tuple[Evaluation, ...] = ()

    def __post_init__(self) -> None:
        named = self.stream.split("+")
        if unknown := [name for name in named if name not in STREAMS]:
            raise UserError(f"stream {unknown[0]!r} is none of {', '.join(STREAMS)}")
        if len(set(named)) < len(named):
            raise UserError(f"stream {self.stream!r} names one of them twice")
        if self.precision not in PRECISIONS:
            raise UserError(f"precision {self.precision!r} is none of {', '.join(PRECISIONS)}")
        if self.imported is not None and self.epochs:
            raise UserError(f"epochs {self.epochs}: imported weights are evaluated as they are, with epochs=0")
        distinct_names(self.evaluations)
        for name, least in (("epochs", 0), ("batch_size", 1), ("frames", 1)):  # no epochs: an untrained encoder
            if name != "frames" or self.frames is not None:
                check_whole(name, getattr(self, name), least)
        check_whole("seed", self.seed, 0, MOST_SEED)

    def id(self, data: str) -> str:
        """Returns sixteen hex digits of what decides the encoder at any epoch; data: the fingerprint of the data set.

        The number of epochs and what is measured at the end are left out, so that a longer training continues a shorter one.
        """
        content = canonical(replace(self, epochs=0 if self.imported else 1, evaluations=()))
        if self.imported is None:
            del content["imported"]
        return digest({**content, "data": data})

    def lasting(self, epochs: int) -> Trial:
        """Returns the trial with its schedule stretched to another number of epochs."""
        return replace(self.stretched(epochs / max(1, self.epochs)), epochs=epochs)

    def stretched(self, share: float) -> Trial:
        """Returns the trial at a share of its length: epochs and every setting that counts epochs scale together."""
        method = self.method.scaled(share) if isinstance(self.method, Scheduled) else self.method
        epochs = max(1, round(self.epochs * share)) if self.epochs else 0  # what trains goes on training
        return replace(self, epochs=epochs, optimizer=self.optimizer.scaled(share), method=method)

    def small(self) -> Trial:
        """Returns a version for demonstrations and tests: short clips, small batches, and small versions of its parts."""
        method, backbone = (small_version(part) for part in (self.method, self.backbone))
        parts = {"method": method, "backbone": backbone, "evaluations": small_versions(self.evaluations)}
        return replace(self, frames=8, batch_size=64, **parts)
