"""What an evaluation is: from a frozen encoder, a training set and a test set to scores (N_test, classes) or an Outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from skelray.checks import UserError, check_whole
from skelray.data.dataset import SkeletonDataset

if TYPE_CHECKING:
    from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.frozen import Diverged

SELECTIONS = ("last", "released")
BEST = " (best on test)"  # how a table marks what the test split has chosen

# A field that an evaluation got later: at its default it leaves the canonical form, and so what is stored, as it was.
LATER: dict[str, Any] = {"later": True}


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
        """(N_test, classes) scores; the larger, the likelier. Or an Outcome, where there is more or less to tell."""
        ...


def wraps(evaluation: Evaluation) -> bool:
    """Whether an evaluation is another one on other data (``Transfer``, ``HeldOut``); they do not nest."""
    return getattr(evaluation, "wraps", False)


def main_metric(evaluation: Evaluation) -> str:
    """The metric that an evaluation is about: top1, unless it classifies nothing."""
    return getattr(evaluation, "measures", "top1")


def smaller(part: Any) -> Any:
    """The small version of a backbone, method or evaluation that knows one."""
    return part.small() if hasattr(part, "small") else part


def smaller_each(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """The small versions of evaluations, each once: transfers to several benchmarks become one."""
    found: list[Evaluation] = []
    for evaluation in evaluations:
        small = smaller(evaluation)
        found += [small] if small not in found else []
    return tuple(found)


def top(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """The share of samples whose label is among the k best scores; ties go to the lower class number."""
    best = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :k]
    return (best == labels.to(best.device)[:, None]).any(dim=1).double().mean().item()


def measure(
    evaluation: Evaluation, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset
) -> EvaluationResult:
    """The whole outcome: scores on the CPU, with the test set that they are of, and every metric.

    Raises Diverged where a score or metric is not a number.
    """
    found = evaluation(encoder, train, test)
    outcome = found if isinstance(found, EvaluationResult) else EvaluationResult(scores=found)
    test = test if outcome.test is None else outcome.test
    scores, metrics = outcome.scores, {}
    if scores is not None:
        scores, labels = scores.cpu(), torch.from_numpy(test.labels.copy())
        if not torch.isfinite(scores).all():
            raise Diverged(f"{evaluation.name} has scores that are not numbers")
        metrics = {"top1": top(scores, labels), "top5": top(scores, labels, 5)}
    metrics |= outcome.metrics
    if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise Diverged(f"{evaluation.name} has a {wrong[0]} that is not a number")
    return replace(outcome, scores=scores, metrics=metrics, test=test)


def check_selection(selection: str, every: int) -> None:
    """Raises UserError for what no training is reported by."""
    if selection not in SELECTIONS:
        raise UserError(f"selection {selection!r} is none of {', '.join(SELECTIONS)}")
    check_whole("every", every, 1)  # so many epochs, of reading the test split


def reported(
    training: Iterable[int],
    scores: Callable[[], Tensor],
    labels: Callable[[], Tensor],
    selection: str,
    every: int,
    last: int,
) -> Tensor:
    """The scores of the last epoch or, selection "released", of the epoch that is best on the test split itself.

    training: trains an epoch at a time and gives its number. every: how often the test split is then read, and after the
    last epoch; of equals the later one counts, as in released code.
    """
    best, reached = None, -1.0
    for epoch in training:
        if selection == "released" and (epoch % every == 0 or epoch == last):
            found = scores()
            if (accuracy := top(found, labels())) >= reached:
                best, reached = found, accuracy
    return scores() if best is None else best
