"""A linear probe's training as a static step, which a CUDA device replays as a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.engine.descent import Descent
from skelray.engine.runners import Captured, Runner, Stepwise
from skelray.evaluation.classifier import Classifier


class ProbeStep:
    """Trains a classifier on the next ``size`` samples of an order, and advances the place in it.

    features: (N, dim) of each stream; labels: (N,); order: (N,) int64; place: () int64.
    """

    def __init__(
        self, classifier: Classifier, features: Sequence[Tensor], labels: Tensor, descent: Descent, order: Tensor, size: int
    ) -> None:
        self.classifier, self.features, self.labels, self.descent = classifier, features, labels, descent
        self.order, self.place = order, torch.zeros((), dtype=torch.int64, device=order.device)
        self.within = torch.arange(size, device=order.device)

    def __call__(self) -> None:
        batch = self.order.index_select(0, self.place + self.within)
        logits = self.classifier([f.index_select(0, batch) for f in self.features])
        self.descent.forget_gradients()
        F.cross_entropy(logits, self.labels.index_select(0, batch)).backward()
        self.descent.step()
        self.descent.forget_gradients()
        self.place.add_(len(self.within))


def train_static(
    classifier: Classifier,
    features: Sequence[Tensor],
    labels: Tensor,
    generator: torch.Generator,
    rates: Sequence[float],
    batch_size: int,
) -> Iterator[int]:
    """Trains an epoch for each item, as the plain loop of ``Linear``; an incomplete batch comes last."""
    descent = Descent(torch.optim.SGD(classifier.parameters(), lr=rates[0], momentum=0.9))
    order = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
    whole, rest = divmod(len(labels), batch_size)
    step, last = (ProbeStep(classifier, features, labels, descent, order, size) for size in (batch_size, rest))
    runner: Runner = Stepwise(step)
    if labels.device.type == "cuda" and whole:
        runner = Captured(step, [*classifier.parameters(), *descent.momenta, step.place])
    for epoch, rate in enumerate(rates, start=1):
        order.copy_(torch.randperm(len(labels), generator=generator))
        descent.rate.fill_(rate)
        step.place.zero_()
        last.place.fill_(whole * batch_size)
        runner.run(whole)
        if rest:
            last()
        yield epoch
