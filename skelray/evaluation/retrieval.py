"""Retrieval: whether the training sequences nearest to a test sequence show the same action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.evaluation import EvaluationResult
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.knn import knn_scores, units

QUERIES = 256  # rows of the ranking held at once


def average_precision(queries: Tensor, gallery: Tensor, own: Tensor, labels: Tensor) -> Tensor:
    """Returns (Q,): the mean, over gallery rows of a query's class, of the precision among all rows at least as similar.

    queries: (Q, D), gallery: (G, D), own: (Q,), labels: (G,). Similarity is the cosine; ties count together, so their order
    does not matter. 0 for a class that the gallery lacks.
    """
    gallery, found = F.normalize(gallery, dim=1), []
    largest = int(labels.bincount().max())
    for part, wanted in zip(F.normalize(queries, dim=1).split(QUERIES), own.split(QUERIES), strict=True):
        similarity = part @ gallery.T  # (q, G)
        relevant = labels == wanted[:, None]
        count = relevant.sum(dim=1)
        near = similarity.masked_fill(~relevant, -torch.inf).topk(largest, dim=1).values.flip(1)  # (q, R), rising
        precision = _at_least(near, near) / _at_least(_rising(similarity), near)
        found.append(torch.where(near.isfinite(), precision, 0).sum(dim=1) / count.clamp(min=1))
    return torch.cat(found)


def _rising(rows: Tensor) -> Tensor:
    """Sorts each row; on a CPU by numpy, several times faster than torch, which also returns the indices."""
    return torch.from_numpy(np.sort(rows.numpy(), axis=1)) if rows.device.type == "cpu" else rows.sort(dim=1).values


def _at_least(rising: Tensor, values: Tensor) -> Tensor:
    """Returns how many numbers of each sorted row are no less than each value."""
    return rising.shape[1] - torch.searchsorted(rising, values.contiguous())


@dataclass(frozen=True)
class Retrieval:
    """HiCo's retrieval (methods.md, 6.5): training set as gallery, test set as queries, cosine of encoder features.

    top1 is the share of queries whose nearest is of their class, as published; "map" is the mean average precision.
    """

    metrics: ClassVar[tuple[str, ...]] = ("top1", "top5", "map")

    name: str = "retrieval"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        queries, gallery = (units(encoder.by_stream(data)) for data in (test, train))
        labels = encoder.labels(train)
        scores = knn_scores(queries, gallery, labels, len(train.classes), 1, None)
        mean = average_precision(queries, gallery, encoder.labels(test), labels).double().mean().item()
        return EvaluationResult(scores=scores, metrics={"map": mean})
