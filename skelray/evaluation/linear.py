"""Linear evaluation: a classifier on frozen features, trained with the released schedule (methods.md, 6.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import Draws
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.scores import FrozenEncoder


@dataclass(frozen=True)
class Linear:
    """SGD with momentum 0.9 and no weight decay; the rate falls tenfold after each milestone; the last epoch counts.

    The classifier starts from N(0, std) weights and zero biases. Published for ST-GCN: as it stands; for DSTA-Net:
    milestones 30, 80; for HiCo: lr 2, 80 epochs, milestones 50, 70, batch 1024, std 0.01.
    """

    lr: float = 3.0
    epochs: int = 100
    milestones: tuple[int, ...] = (80,)
    batch_size: int = 128
    std: float = 0.02

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr {self.lr}: a learning rate is above 0")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: at least 1 is needed")

    @property
    def name(self) -> str:
        return "linear"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        draws = Draws(encoder.seed, 0)
        features, labels = encoder.features(train), encoder.labels(train)
        # skip_init: its own weights would come from torch's global generator, which is not ours to move
        classifier = nn.utils.skip_init(nn.Linear, features.shape[1], len(train.classes), device=encoder.device)
        with torch.no_grad():
            classifier.weight.copy_(torch.randn(classifier.weight.shape, generator=draws["probe"]).mul_(self.std))
            classifier.bias.zero_()
        optimizer = torch.optim.SGD(classifier.parameters(), lr=self.lr, momentum=0.9)
        for epoch in range(1, self.epochs + 1):
            optimizer.param_groups[0]["lr"] = self.lr * 0.1 ** sum(epoch > milestone for milestone in self.milestones)
            order = torch.randperm(len(features), generator=draws["probe"]).to(encoder.device)
            for batch in order.split(self.batch_size):
                loss = F.cross_entropy(classifier(features[batch]), labels[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            return classifier(encoder.features(test))
