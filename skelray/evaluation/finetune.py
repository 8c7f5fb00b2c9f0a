"""Supervised training of encoder and classifier together: finetuned on all or some labels, or without pretraining."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray import machine
from skelray.augment import Augmentation, AugmentationSet, Draws, View
from skelray.backbones.encode import encode, precision
from skelray.checks import UserError, check_each, check_number, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.classifier import INITS, Classifier
from skelray.evaluation.frozen import Diverged, FrozenEncoder
from skelray.evaluation.labels import draw_labelled
from skelray.evaluation.scores import BEST, LATER, check_selection, reported_scores

MODES = ("train", "eval")


@dataclass(frozen=True)
class Finetune:
    """SGD with momentum 0.9 on all weights; the defaults are HiCLR's on ST-GCN (methods.md, 6.4).

    labels: the labelled share of each class; see ``draw_labelled``. warmup: in epoch e up to it the rate is lr e / warmup.
    milestones: the rate falls tenfold at each of these epochs, itself included (released code: epoch >= step, where the
    pretext's falls after it). mode: "eval" trains with fixed batch-norm statistics and without dropout, as AimCLR's code.
    augmentation: of training sequences, see ``augmented``; None: none. init: of the classifier. frozen: names of parts of
    the encoder that are not trained. dropout: of the encoder in training, None for its own. clip_norm: the gradient's
    largest norm. whole_epochs: an epoch takes as many steps as all labels would, cycling through those there are, as
    HiCLR's semi-supervised code. selection, every: as in Linear. std: of a classifier whose init is "normal".
    """

    fresh: ClassVar[bool] = False  # whether the encoder starts as it was before pretraining
    called: ClassVar[str] = "finetune"

    labels: float = 1.0
    lr: float = 0.1
    weight_decay: float = 1e-4
    nesterov: bool = True
    epochs: int = 70
    warmup: int = 5
    milestones: tuple[int, ...] = (30, 55)
    batch_size: int = 64
    mode: str = "train"
    augmentation: AugmentationSet | None = None
    init: str = "default"
    frozen: tuple[str, ...] = ()
    dropout: float | None = None
    clip_norm: float | None = None
    whole_epochs: bool = False
    selection: str = "last"
    every: int = 5
    std: float = field(default=0.02, metadata=LATER)

    def __post_init__(self) -> None:
        check_number("std", self.std, 0)
        if not 0 < self.labels <= 1:
            raise UserError(f"labels {self.labels}: the share of the labels, above 0 and at most 1")
        if not self.lr > 0:
            raise UserError(f"lr {self.lr}: a learning rate is above 0")
        for name, least in (("epochs", 1), ("batch_size", 1), ("warmup", 0)):
            check_whole(name, getattr(self, name), least)
        check_number("weight_decay", self.weight_decay, 0)
        check_each("milestones", self.milestones, int, "(30, 55)")
        check_each("frozen", self.frozen, str, '("linear",)')
        if self.mode not in MODES:
            raise UserError(f"mode {self.mode!r} is none of {', '.join(MODES)}")
        if self.init not in INITS:
            raise UserError(f"init {self.init!r} is none of {', '.join(INITS)}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UserError(f"dropout {self.dropout}: a probability below 1, or None for the encoder's own")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UserError(f"clip_norm {self.clip_norm}: a length above 0, or None")
        check_selection(self.selection, self.every)

    @property
    def name(self) -> str:
        share = "" if self.labels == 1 else f" {100 * self.labels:g}%"
        return f"{self.called}{share}{BEST if self.selection == 'released' else ''}"

    def lr_at(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, counted from 1."""
        if epoch < self.warmup:
            return self.lr * epoch / self.warmup
        return self.lr * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)

    def lasting(self, epochs: int) -> Self:
        """Returns it with another number of epochs, keeping the share at each rate as far as possible."""
        share = epochs / self.epochs
        milestones = tuple(1 + max(1, round((milestone - 1) * share)) for milestone in self.milestones)
        return replace(self, epochs=epochs, warmup=round(self.warmup * share), milestones=milestones)

    def small(self) -> Self:
        """Returns a short version for demonstrations."""
        return self.lasting(min(8, self.epochs))

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on, of so many in the training set."""
        return self.epochs * (samples if self.whole_epochs else max(1, round(self.labels * samples)))

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        subset = draw_labelled(train, self.labels, encoder.seed)
        network = Network(*encoder.trainable(self.fresh), len(train.classes), (self.init, self.std), encoder)
        self._settle(network)

        @torch.no_grad()
        def scores() -> Tensor:
            network.eval()
            return torch.cat([network(view) for view in encoder.batches(test)])

        training = self._train(network, encoder, subset, len(train))
        return reported_scores(training, scores, lambda: encoder.labels(test), self.selection, self.every, self.epochs)

    def _settle(self, network: Network) -> None:
        """Freezes parts and sets the dropout. Raises UserError for the name of no part."""
        for part in self.frozen:
            for encoder in network.encoders.values():
                named = [p for name, p in encoder.named_parameters() if name == part or name.startswith(f"{part}.")]
                if not named:
                    parts = ", ".join(name for name, _ in encoder.named_children())
                    raise UserError(f"frozen {part!r} is no part of the encoder; it has {parts}")
                for parameter in named:
                    parameter.requires_grad_(False)
        for module in network.encoders.modules() if self.dropout is not None else ():
            if isinstance(getattr(module, "p", None), float):  # of a dropout, whoever wrote it
                module.p = self.dropout  # type: ignore[assignment]

    def _train(self, network: Network, encoder: FrozenEncoder, data: SkeletonDataset, whole: int) -> Iterator[int]:
        """Trains an epoch for each item, incomplete batches included. Raises Diverged."""
        parameters = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(
            parameters, lr=self.lr, momentum=0.9, weight_decay=self.weight_decay, nesterov=self.nesterov, foreach=True
        )
        labels = encoder.labels(data)
        for epoch in range(1, self.epochs + 1):
            optimizer.param_groups[0]["lr"] = self.lr_at(epoch)
            draws = Draws(encoder.seed, epoch, encoder.device)
            order = torch.randperm(whole if self.whole_epochs else len(data), generator=Draws(encoder.seed, epoch)["tuning"])
            network.train(self.mode == "train")
            losses = []
            with machine.seeding(encoder.device, draws.number("tuning dropout")):
                for batch in (order % len(data)).split(self.batch_size):
                    view = augmented(encoder.view(data, batch.numpy(), draws).on("tuned"), self.augmentation, encoder.clip)
                    logits = network(view, encoder.autocast)
                    loss = F.cross_entropy(logits.float(), labels[batch.to(labels.device)])
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    if self.clip_norm is not None:
                        nn.utils.clip_grad_norm_(parameters, self.clip_norm)
                    optimizer.step()
                    losses.append(loss.detach())
            if not math.isfinite(mean := torch.stack(losses).mean().item()):
                raise Diverged(f"the loss of {self.name} is {mean} in epoch {epoch}")
            yield epoch


@dataclass(frozen=True)
class SemiSupervised(Finetune):
    """Finetuning with labels of a share of the training set; the defaults are HiCLR's on ST-GCN."""

    called: ClassVar[str] = "semi"

    labels: float = 0.1
    epochs: int = 60
    milestones: tuple[int, ...] = (15, 30)
    whole_epochs: bool = True


@dataclass(frozen=True)
class Supervised(Finetune):
    """Finetuning without pretraining, from the initial weights; the defaults are ST-GCN's on NTU RGB+D.

    Yan, Xiong, Lin, AAAI 2018: 80 epochs, the rate falling after 10 and 50, without warm-up.
    """

    fresh: ClassVar[bool] = True
    called: ClassVar[str] = "supervised"

    epochs: int = 80
    warmup: int = 0
    milestones: tuple[int, ...] = (11, 51)


class Network(nn.Module):
    """An encoder and a mask value for each stream; the mean of their classifiers' logits."""

    def __init__(
        self,
        encoders: dict[str, nn.Module],
        masks: dict[str, Tensor],
        classes: int,
        init: tuple[str, float],
        frozen: FrozenEncoder,
    ) -> None:
        super().__init__()
        dims: list[int] = [encoder.dim for encoder in encoders.values()]  # type: ignore[misc]
        self.encoders = nn.ModuleDict(encoders)
        self.masks = nn.ParameterDict(masks)
        self.classifier = Classifier(dims, classes, Draws(frozen.seed, 0)["classifier"], *init).to(frozen.device)

    def forward(self, view: View, autocast: torch.dtype | None = None) -> Tensor:
        """Returns the logits, (N, classes)."""
        features = [encode(encoder, view, stream, self.masks[stream], autocast) for stream, encoder in self.encoders.items()]
        with precision(view.x, autocast):
            return self.classifier(features)


def augmented(view: View, augmentation: Augmentation | None, clip: Augmentation) -> View:
    """Returns a training step's input: the augmentation of the whole sequence, then the evaluation's clip.

    Deferred stream operations are drawn for the frames that the encoder reads: if the clip changes them, it comes first.
    """
    if augmentation is None:
        return clip(view)
    after = augmentation(view)
    if after.stream_ops and (clipped := clip(view)).x.shape[2] != after.x.shape[2]:
        return augmentation(clipped)
    return clip(after)
