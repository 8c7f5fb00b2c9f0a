"""Retrieval: whether what lies nearest to a test sequence, among the training sequences, shows the same action."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.knn import knn_scores, units
from skelray.evaluation.scores import Outcome

QUERIES = 256  # rows of the ranking held at once


def average_precision(queries: Tensor, gallery: Tensor, own: Tensor, labels: Tensor) -> Tensor:
    """(Q,) the mean, over the gallery rows of a query's class, of the precision at each one's rank by cosine.

    queries: (Q, D), gallery: (G, D), own: (Q,), labels: (G,). 0 for a class that the gallery lacks.
    """
    gallery, found = F.normalize(gallery, dim=1), []
    rank = torch.arange(1, len(gallery) + 1, device=gallery.device)
    for part, wanted in zip(F.normalize(queries, dim=1).split(QUERIES), own.split(QUERIES), strict=True):
        order = (part @ gallery.T).argsort(dim=1, descending=True, stable=True)  # (q, G)
        relevant = labels[order] == wanted[:, None]
        precision = relevant.cumsum(dim=1) / rank
        found.append((precision * relevant).sum(dim=1) / relevant.sum(dim=1).clamp(min=1))
    return torch.cat(found)


@dataclass(frozen=True)
class Retrieval:
    """HiCo's retrieval (methods.md, 6.5): gallery the training set, queries the test set, cosine of encoder features.

    top1 is the share of queries whose nearest is of their class, as published; "map" is the mean average precision.
    """

    name: str = "retrieval"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Outcome:
        queries, gallery = (units(encoder.by_stream(data)) for data in (test, train))
        labels = encoder.labels(train)
        scores = knn_scores(queries, gallery, labels, len(train.classes), 1, None)
        mean = average_precision(queries, gallery, encoder.labels(test), labels).double().mean().item()
        return Outcome(scores=scores, metrics={"map": mean})
