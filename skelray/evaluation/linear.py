"""Linear evaluation: a classifier on frozen features, trained with the released schedule (methods.md, 6.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.augment import Draws
from skelray.checks import UserError, check_each, check_number, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation import static_probe
from skelray.evaluation.classifier import Classifier
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.scores import BEST, LATER, check_selection, reported_scores


@dataclass(frozen=True)
class Linear:
    """SGD with momentum 0.9 and no weight decay; the rate falls tenfold after each milestone; the last epoch counts.

    The classifier starts from N(0, std) weights and zero biases. The defaults are published for ST-GCN; for DSTA-Net:
    milestones 30, 80; for HiCo: lr 2, 80 epochs, milestones 50, 70, batch 1024, std 0.01. Several streams are trained
    jointly, on the mean of their logits. selection: "released" reports the epoch that is best on the test split, read
    every ``every`` epochs (5 as released, HiCo 1), as all released code does.
    """

    lr: float = 3.0
    epochs: int = 100
    milestones: tuple[int, ...] = (80,)
    batch_size: int = 128
    std: float = 0.02
    selection: str = field(default="last", metadata=LATER)
    every: int = field(default=5, metadata=LATER)

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise UserError(f"lr {self.lr}: a learning rate is above 0")
        for name in ("epochs", "batch_size"):
            check_whole(name, getattr(self, name), 1)
        check_each("milestones", self.milestones, int, "(80,)")
        check_number("std", self.std, 0)
        check_selection(self.selection, self.every)

    @property
    def name(self) -> str:
        return "linear" if self.selection == "last" else f"linear{BEST}"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        generator = Draws(encoder.seed, 0)["probe"]
        features, labels = encoder.by_stream(train), encoder.labels(train)
        classifier = self.classifier(features, len(train.classes), generator)

        @torch.no_grad()
        def scores() -> Tensor:
            return classifier(encoder.by_stream(test))

        training = self.train(classifier, features, labels, generator)
        return reported_scores(training, scores, lambda: encoder.labels(test), self.selection, self.every, self.epochs)

    def classifier(self, features: Sequence[Tensor], classes: int, generator: torch.Generator) -> Classifier:
        """Returns the untrained classifier, on the features' device."""
        dims = [f.shape[1] for f in features]
        return Classifier(dims, classes, generator, "normal", self.std).to(features[0].device)

    def train(
        self, classifier: Classifier, features: list[Tensor], labels: Tensor, generator: torch.Generator
    ) -> Iterator[int]:
        """Trains an epoch for each item, on every sample, incomplete batches included."""
        past = [sum(epoch > milestone for milestone in self.milestones) for epoch in range(1, self.epochs + 1)]
        rates = [self.lr * 0.1**milestones for milestones in past]
        if labels.device.type == "cuda":
            yield from static_probe.train_static(classifier, features, labels, generator, rates, self.batch_size)
            return
        optimizer = torch.optim.SGD(classifier.parameters(), lr=self.lr, momentum=0.9)
        for epoch, rate in enumerate(rates, start=1):
            optimizer.param_groups[0]["lr"] = rate
            order = torch.randperm(len(labels), generator=generator).to(labels.device)
            for batch in order.split(self.batch_size):
                loss = F.cross_entropy(classifier([f[batch] for f in features]), labels[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            yield epoch
