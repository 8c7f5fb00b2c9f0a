"""A probe audit: many probes of one encoder, and how many points come from choosing among them by the test split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from skelray.augment import Draws, encoder_input
from skelray.checks import UserError, check_each, check_positive, check_whole
from skelray.data.dataset import SkeletonDataset, held_out
from skelray.evaluation.evaluation import EvaluationResult
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.linear import Linear
from skelray.evaluation.scores import top_k_accuracy
from skelray.methods.method import HasFeatureMap

POOLINGS, LAYERS = ("mean", "max"), ("encoder", "projector")


@dataclass(frozen=True)
class ProbeGrid:
    """Linear probes at every rate, batch size, length, pooling and layer.

    top1, top5 and the scores are the honest probe's: best after its last epoch on the held-out training subjects, then
    trained again on all. first: the probe with the first value of each list, without a choice. best_on_test: the probe that
    is best on the test split after its last epoch. best_epoch: the best probe and epoch there. What the last two exceed top1
    by is the gain of choosing alone.

    poolings: "mean" is the encoder's own, "max" over frames and joints needs a backbone with a feature map. layers: the
    encoder's features, or the projector's. A rate falls tenfold after four fifths of the epochs.
    """

    rates: tuple[float, ...] = (0.1, 1.0, 3.0, 10.0)
    batch_sizes: tuple[int, ...] = (128,)
    epochs: tuple[int, ...] = (100,)
    poolings: tuple[str, ...] = ("mean",)
    layers: tuple[str, ...] = ("encoder",)

    metrics: ClassVar[tuple[str, ...]] = ("top1", "top5", "first", "best_on_test", "best_epoch")
    name: ClassVar[str] = "probes"

    def __post_init__(self) -> None:
        for name, kind in (
            ("rates", (int, float)),
            ("batch_sizes", int),
            ("epochs", int),
            ("poolings", str),
            ("layers", str),
        ):
            check_each(name, getattr(self, name), kind, "(1,)")  # type: ignore[arg-type]
            if not getattr(self, name):
                raise UserError(f"{name} (): at least one is needed")
        for rate in self.rates:
            check_positive("rates", rate)
        for number in (*self.batch_sizes, *self.epochs):
            check_whole("batch_sizes and epochs", number, 1)
        for name, known in (("poolings", POOLINGS), ("layers", LAYERS)):
            if unknown := [one for one in getattr(self, name) if one not in known]:
                raise UserError(f"{name} {unknown[0]!r} is none of {', '.join(known)}")
        if set(self.layers) & {"projector"} and "max" in self.poolings:
            raise UserError("poolings 'max' is of the encoder's feature map: leave the projector out of layers")

    def small(self) -> ProbeGrid:
        """Returns a version with few epochs, for demonstrations."""
        return replace(self, epochs=tuple(dict.fromkeys(min(epochs, 10) for epochs in self.epochs)))

    @property
    def probes(self) -> list[tuple[str, str, Linear]]:
        """Returns layer, pooling and probe of each, in the order of the lists."""
        every = itertools.product(self.layers, self.poolings, self.rates, self.batch_sizes, self.epochs)
        return [
            (layer, pooling, Linear(lr=rate, batch_size=batch, epochs=epochs, milestones=(max(1, 4 * epochs // 5),)))
            for layer, pooling, rate, batch, epochs in every
        ]

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        away = held_out(train)
        inner, outer = np.flatnonzero(~away), np.flatnonzero(away)
        labels, truth = encoder.labels(train), encoder.labels(test)
        chosen, last, best, all_scores = [], [], [], []
        features: dict[tuple[str, str], tuple[list[Tensor], ...]] = {}
        for layer, pooling, probe in self.probes:
            if (layer, pooling) not in features:
                features[layer, pooling] = tuple(_features(encoder, data, layer, pooling) for data in (train, test))
            known, asked = features[layer, pooling]
            some, rest = ([f[torch.from_numpy(part)] for f in known] for part in (inner, outer))
            *_, (scores, _) = _epochs(probe, encoder.seed, some, labels[inner], rest, labels[outer], len(train.classes))
            chosen.append(top_k_accuracy(scores, labels[outer]))
            curve = list(_epochs(probe, encoder.seed, known, labels, asked, truth, len(train.classes)))
            last.append(curve[-1][1])
            best.append(max(value for _, value in curve))
            all_scores.append(curve[-1][0])
        honest = int(np.argmax(chosen))
        grid = np.array([chosen, last, best]).T
        metrics = {"first": last[0], "best_on_test": max(last), "best_epoch": max(best)}
        return EvaluationResult(scores=all_scores[honest], metrics=metrics, arrays={"grid": grid})


def _epochs(
    probe: Linear,
    seed: int,
    known: Sequence[Tensor],
    labels: Tensor,
    asked: Sequence[Tensor],
    truth: Tensor,
    classes: int,
) -> list[tuple[Tensor, float]]:
    """Returns scores and accuracy on the queried samples after each epoch of a probe."""
    generator = Draws(seed, 0)["probe"]
    classifier = probe.classifier(known, classes, generator)
    found = []
    for _ in probe.train(classifier, list(known), labels, generator):
        with torch.no_grad():
            scores = classifier(asked)
        if not torch.isfinite(scores).all():  # a rate that is too high: nothing is told apart
            scores = torch.zeros_like(scores)
        found.append((scores, top_k_accuracy(scores, truth)))
    return found


@torch.no_grad()
def _features(encoder: FrozenEncoder, data: SkeletonDataset, layer: str, pooling: str) -> list[Tensor]:
    """Returns the features of each stream, (N, dim)."""
    if layer == "projector":
        return encoder.projected(data)
    if pooling == "mean":
        return encoder.by_stream(data)
    found: dict[str, list[Tensor]] = {stream: [] for stream in encoder.encoders}
    for view in encoder.batches(data):
        for stream, network in encoder.encoders.items():
            if not isinstance(network, HasFeatureMap):
                raise UserError("poolings 'max' pools a feature map, which this backbone does not have")
            features = network.eval().feature_map(encoder_input(view, stream, encoder.mask_values[stream]), view.rewire)
            found[stream].append(features.amax(dim=(2, 3)).mean(dim=1).float())  # (N, M, T, V, dim) -> (N, dim)
    return [torch.cat(parts) for parts in found.values()]
