"""Evaluation on the held-out training subjects: for choices that must not read the test split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.evaluation.evaluation import (
    Evaluation,
    EvaluationResult,
    chooses_by_test,
    finetuned_sequences,
    main_metric,
    small_version,
)
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.transfer import Transfer
from skelray.names import SUFFIX


@dataclass(frozen=True)
class HeldOut:
    """An evaluation trained on the training subjects that are not held out, and scored on those that are.

    Unless the trial has a monitor, its encoder has seen the held-out subjects' sequences, though not their labels, so the
    figure may lie above the test split's. It is good for choosing between settings, not for reporting.
    """

    evaluation: Evaluation

    wraps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.evaluation, HeldOut):
            raise UserError(f"{self.evaluation.name} is held out already")
        if isinstance(self.evaluation, Transfer):
            raise UserError(f"{self.evaluation.name} is scored on the other benchmark's test split, which is not held out")
        if chooses_by_test(self.evaluation):
            raise UserError(f'{self.evaluation.name} chooses by the labels it is scored on: hold out with selection="last"')

    @property
    def name(self) -> str:
        return self.evaluation.name + SUFFIX

    @property
    def measures(self) -> str:
        return main_metric(self.evaluation)

    def small(self) -> HeldOut:
        """Returns a short version for demonstrations."""
        return HeldOut(small_version(self.evaluation))

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on; held-out ones do not count."""
        return finetuned_sequences(self.evaluation, samples)

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor | EvaluationResult:
        return self.evaluation(encoder, train, test)


def train_and_test(evaluation: Evaluation, splits: Splits) -> tuple[SkeletonDataset, SkeletonDataset]:
    """Returns the data that an evaluation trains on and is scored on; for most the official training and test sets."""
    return (splits.reduced, splits.held_out) if isinstance(evaluation, HeldOut) else (splits.train, splits.test)
