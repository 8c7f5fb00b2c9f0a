"""Separate evaluation of each stream of a multi-stream trial, with the raw scores added by weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset
from skelray.ensemble import Ensemble
from skelray.evaluation.evaluation import Evaluation, finetuned_sequences, main_metric, runs_another, small_version
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.scores import measure


@dataclass(frozen=True)
class Apart:
    """An evaluation of every stream by itself, fused like an ensemble of trials.

    AimCLR (Guo et al., AAAI 2022) sums all its three-stream results this way, at 0.6, 0.6 and 0.4, also those of streams
    trained together; otherwise a probe trains on all streams jointly, as CrosSCLR's does. It has the evaluation's name, so
    that a table has both in one column. weights: an Ensemble, kept as pairs of stream and weight.
    """

    metrics: ClassVar[tuple[str, ...]] = ("top1", "top5")

    evaluation: Evaluation
    weights: Ensemble | tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(self.ensemble.weights.items()))
        if runs_another(self.evaluation) or main_metric(self.evaluation) != "top1":
            raise UserError(f"{self.evaluation.name} cannot be fused: give what classifies samples, as Linear()")

    @property
    def ensemble(self) -> Ensemble:
        return self.weights if isinstance(self.weights, Ensemble) else Ensemble(dict(self.weights))

    @property
    def name(self) -> str:
        return self.evaluation.name

    def small(self) -> Apart:
        return replace(self, evaluation=small_version(self.evaluation))

    def trained(self, samples: int) -> int:
        """Returns how many sequences each encoder is trained on, given the size of the training set."""
        return finetuned_sequences(self.evaluation, samples)

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        ensemble = self.ensemble
        if missing := [stream for stream in ensemble.weights if stream not in encoder.encoders]:
            raise UserError(f"stream {missing[0]!r} is fused, and the trial has {', '.join(encoder.encoders)}")
        found = {}
        for stream in ensemble.weights:
            scores = measure(self.evaluation, encoder.single_stream(stream), train, test).scores
            if scores is None:
                raise UserError(f"{self.name} has no scores to fuse")
            found[stream] = scores.cpu().numpy()
        return torch.from_numpy(ensemble(found))
