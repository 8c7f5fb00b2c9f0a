"""What an evaluation is, and what it may declare beside: from a frozen encoder and two data sets to scores and figures.

``Evaluation`` is all that one has to be. The other protocols here are what it may have in addition; who has none of them is
read as the functions below say.
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
    """What an evaluation found.

    scores: (N_test, classes), the larger, the likelier; None where no sample is classified. metrics: fractions of 0..1
    beside the top-1 and top-5 of the scores. arrays: what else is stored. files: pictures, by what their names end in
    ("png"). test: whose scores they are, where that is not the test set that was given.
    """

    scores: Tensor | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    test: SkeletonDataset | None = None


class Evaluation(Protocol):
    """A frozen dataclass. name: how tables call it."""

    @property
    def name(self) -> str: ...

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor | EvaluationResult:
        """(N_test, classes) scores, the larger, the likelier; or an EvaluationResult where there is more or less to tell."""
        ...


@runtime_checkable
class HasSmall(Protocol):
    """A backbone, method or evaluation with a small version of itself, for demonstrations."""

    def small(self) -> Any: ...


@runtime_checkable
class HasMainMetric(Protocol):
    """An evaluation that is about another metric than top1."""

    @property
    def measures(self) -> str: ...


@runtime_checkable
class HasMetrics(Protocol):
    """An evaluation that names all the metrics that it brings; empty says nothing."""

    @property
    def metrics(self) -> tuple[str, ...]: ...


@runtime_checkable
class HasEvaluation(Protocol):
    """An evaluation that asks another one, whose metrics are then its own."""

    @property
    def evaluation(self) -> Evaluation: ...


@runtime_checkable
class HasWraps(Protocol):
    """An evaluation that says whether it is another one on other data."""

    @property
    def wraps(self) -> bool: ...


@runtime_checkable
class HasTrained(Protocol):
    """An evaluation that trains the encoder, as finetuning does."""

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on, of so many in the training set."""
        ...


@runtime_checkable
class HasSelection(Protocol):
    """An evaluation that trains and reports one of its epochs: "last", or another by the labels it is scored on."""

    @property
    def selection(self) -> str: ...


@runtime_checkable
class HasFused(Protocol):
    """An evaluation that has no scores to add up, and tells what streams are side by side from what each has stored.

    keep: whether that is stored.
    """

    @property
    def keep(self) -> bool: ...

    def fused(self, streams: Mapping[str, Mapping[str, np.ndarray]], seed: int) -> EvaluationResult | None: ...


def wraps(evaluation: Evaluation) -> bool:
    """Returns whether an evaluation is another one on other data (``Transfer``, ``HeldOut``); they do not nest."""
    return isinstance(evaluation, HasWraps) and evaluation.wraps


def main_metric(evaluation: Evaluation) -> str:
    """Names the metric that an evaluation is about: top1, unless it says another."""
    return evaluation.measures if isinstance(evaluation, HasMainMetric) else "top1"


def measured_by(evaluation: Evaluation) -> tuple[str, ...]:
    """Names the metrics of an evaluation: as it declares them, or top-1 and top-5, or the one that it is about."""
    main = main_metric(evaluation)
    inner = evaluation.evaluation if isinstance(evaluation, HasEvaluation) else evaluation
    declared = inner.metrics if isinstance(inner, HasMetrics) else ()
    return declared or (("top1", "top5") if main == "top1" else (main,))


def trained_on(evaluation: Evaluation, samples: int) -> int:
    """Counts the sequences that an evaluation trains the encoder on, of so many in the training set: mostly none."""
    return evaluation.trained(samples) if isinstance(evaluation, HasTrained) else 0


def chooses_by_test(evaluation: Evaluation) -> bool:
    """Returns whether an evaluation reports an epoch that it chooses by the labels that it is scored on."""
    return isinstance(evaluation, HasSelection) and evaluation.selection != "last"


def smaller(part: Any) -> Any:
    """Returns the small version of a backbone, method or evaluation, itself where it knows none."""
    return part.small() if isinstance(part, HasSmall) else part


def smaller_each(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """Returns the small versions of evaluations, each once: transfers to several benchmarks become one."""
    found: list[Evaluation] = []
    for evaluation in evaluations:
        small = smaller(evaluation)
        found += [small] if small not in found else []
    return tuple(found)
