"""From the scores of an evaluation to its metrics, and from its epochs to the one that it reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skelray.checks import UserError, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.evaluation import Evaluation, EvaluationResult
from skelray.evaluation.frozen import Diverged, FrozenEncoder

SELECTIONS = ("last", "released")
BEST = " (best on test)"  # how a table marks what the test split has chosen

# A field that an evaluation got later: at its default it leaves the canonical form, and so what is stored, as it was.
LATER: dict[str, Any] = {"later": True}


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Returns the share of samples whose label is among the k best scores; ties go to the lower class number."""
    best = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :k]
    return (best == labels.to(best.device)[:, None]).any(dim=1).double().mean().item()


def measure(
    evaluation: Evaluation, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset
) -> EvaluationResult:
    """Runs an evaluation: scores on the CPU, the test set that they are of, and every metric.

    Raises Diverged if a score or metric is not a number.
    """
    found = evaluation(encoder, train, test)
    outcome = found if isinstance(found, EvaluationResult) else EvaluationResult(scores=found)
    test = test if outcome.test is None else outcome.test
    scores, metrics = outcome.scores, {}
    if scores is not None:
        scores, labels = scores.cpu(), torch.from_numpy(test.labels.copy())
        if not torch.isfinite(scores).all():
            raise Diverged(f"{evaluation.name} has scores that are not numbers")
        metrics = {"top1": top_k_accuracy(scores, labels), "top5": top_k_accuracy(scores, labels, 5)}
    metrics |= outcome.metrics
    if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise Diverged(f"{evaluation.name} has a {wrong[0]} that is not a number")
    return replace(outcome, scores=scores, metrics=metrics, test=test)


def check_selection(selection: str, every: int) -> None:
    """Raises UserError for an unknown selection or an impossible interval."""
    if selection not in SELECTIONS:
        raise UserError(f"selection {selection!r} is none of {', '.join(SELECTIONS)}")
    check_whole("every", every, 1)  # so many epochs, of reading the test split


def reported_scores(
    training: Iterable[int],
    scores: Callable[[], Tensor],
    labels: Callable[[], Tensor],
    selection: str,
    every: int,
    last: int,
) -> Tensor:
    """Returns the last epoch's scores or, selection "released", those of the epoch that is best on the test split itself.

    training: trains an epoch and yields its number. every: how often the test split is then read, beside after the last
    epoch; of equal epochs the later one counts, as in released code.
    """
    best, reached = None, -1.0
    for epoch in training:
        if selection == "released" and (epoch % every == 0 or epoch == last):
            found = scores()
            if (accuracy := top_k_accuracy(found, labels())) >= reached:
                best, reached = found, accuracy
    return scores() if best is None else best
