"""The contract of an evaluation: from a frozen encoder and two data sets to scores and metrics.

``Evaluation`` is all that is required. The other protocols are optional; the functions below give the defaults for an
evaluation without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from skelray.data.dataset import SkeletonDataset

if TYPE_CHECKING:
    from skelray.evaluation.frozen import FrozenEncoder


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """The result of an evaluation.

    scores: (N_test, classes), larger is likelier; None if no sample is classified. metrics: fractions in 0..1, beside the
    top-1 and top-5 of the scores. arrays: further data to store. files: pictures, by suffix ("png"). test: the data set that
    the scores are of, if it is not the test set given.
    """

    scores: Tensor | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    test: SkeletonDataset | None = None


class Evaluation(Protocol):
    """A frozen dataclass. name: its name in tables."""

    @property
    def name(self) -> str: ...

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor | EvaluationResult:
        """Returns scores (N_test, classes), larger is likelier, or an EvaluationResult to give more than scores or none."""
        ...


@runtime_checkable
class HasSmall(Protocol):
    """A backbone, method or evaluation with a small version of itself, for demonstrations."""

    def small(self) -> Any: ...


@runtime_checkable
class HasMainMetric(Protocol):
    """An evaluation whose main metric is not top1."""

    @property
    def measures(self) -> str: ...


@runtime_checkable
class HasMetrics(Protocol):
    """An evaluation that declares all its metrics; empty declares nothing."""

    @property
    def metrics(self) -> tuple[str, ...]: ...


@runtime_checkable
class HasEvaluation(Protocol):
    """An evaluation that runs another one, whose metrics it has."""

    @property
    def evaluation(self) -> Evaluation: ...


@runtime_checkable
class HasWraps(Protocol):
    """An evaluation that says whether it runs another one on other data."""

    @property
    def wraps(self) -> bool: ...


@runtime_checkable
class HasTrained(Protocol):
    """An evaluation that trains the encoder, as finetuning does."""

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on, given the size of the training set."""
        ...


@runtime_checkable
class HasSelection(Protocol):
    """An evaluation that trains and reports one of its epochs: "last", or one chosen by the labels it is scored on."""

    @property
    def selection(self) -> str: ...


@runtime_checkable
class HasFused(Protocol):
    """An evaluation without scores to add up, which evaluates concatenated streams from their stored arrays.

    keep: whether these are stored.
    """

    @property
    def keep(self) -> bool: ...

    def fused(self, streams: Mapping[str, Mapping[str, np.ndarray]], seed: int) -> EvaluationResult | None: ...


@runtime_checkable
class HasVotes(Protocol):
    """An evaluation that says whether its scores are votes, none of them negative; others' are logits."""

    @property
    def votes(self) -> bool: ...


def scores_are_votes(evaluation: Evaluation) -> bool:
    """Returns whether the scores of an evaluation, or of the one that it asks, are votes."""
    inner = evaluation.evaluation if isinstance(evaluation, HasEvaluation) else evaluation
    return isinstance(inner, HasVotes) and inner.votes


def runs_another(evaluation: Evaluation) -> bool:
    """Returns whether an evaluation runs another one on other data (``Transfer``, ``HeldOut``); these do not nest."""
    return isinstance(evaluation, HasWraps) and evaluation.wraps


def main_metric(evaluation: Evaluation) -> str:
    """Returns an evaluation's main metric, top1 unless it declares another."""
    return evaluation.measures if isinstance(evaluation, HasMainMetric) else "top1"


def metrics_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns the metrics of an evaluation: those declared, or top-1 and top-5, or its main metric."""
    main = main_metric(evaluation)
    inner = evaluation.evaluation if isinstance(evaluation, HasEvaluation) else evaluation
    declared = inner.metrics if isinstance(inner, HasMetrics) else ()
    return declared or (("top1", "top5") if main == "top1" else (main,))


def finetuned_sequences(evaluation: Evaluation, samples: int) -> int:
    """Returns how many sequences an evaluation trains the encoder on, given the size of the training set: usually none."""
    return evaluation.trained(samples) if isinstance(evaluation, HasTrained) else 0


def chooses_by_test(evaluation: Evaluation) -> bool:
    """Returns whether an evaluation reports an epoch chosen by the labels that it is scored on."""
    return isinstance(evaluation, HasSelection) and evaluation.selection != "last"


def small_version(part: Any) -> Any:
    """Returns the small version of a backbone, method or evaluation, or itself if it has none."""
    return part.small() if isinstance(part, HasSmall) else part


def small_versions(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """Returns the small versions of evaluations without repeats: transfers to several benchmarks become one."""
    found: list[Evaluation] = []
    for evaluation in evaluations:
        small = small_version(evaluation)
        found += [small] if small not in found else []
    return tuple(found)
