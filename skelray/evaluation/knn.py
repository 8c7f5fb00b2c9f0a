"""k nearest neighbours on frozen features, as one matrix product and top-k at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.scores import FrozenEncoder

QUERIES = 1024  # rows of the similarity matrix held at once


def knn_scores(queries: Tensor, gallery: Tensor, labels: Tensor, classes: int, k: int, temperature: float | None) -> Tensor:
    """Votes of the k most cosine-similar gallery rows. queries: (Q, D), gallery: (G, D), labels: (G,) -> (Q, classes).

    temperature: None counts votes, otherwise a vote weighs exp(similarity / temperature), up to a factor that makes the
    nearest one's weight 1, since small temperatures have no other finite answer.
    """
    gallery = F.normalize(gallery, dim=1)
    k = min(k, len(gallery))
    scores = []
    for part in F.normalize(queries, dim=1).split(QUERIES):
        similarity, nearest = (part @ gallery.T).topk(k, dim=1)  # (q, k)
        closeness = similarity - similarity[:, :1]  # 0 for the nearest
        weight = torch.ones_like(similarity) if temperature is None else (closeness / temperature).exp()
        votes = torch.zeros(len(part), classes, dtype=weight.dtype, device=weight.device)
        scores.append(votes.scatter_add_(1, labels[nearest], weight))
    return torch.cat(scores)


@dataclass(frozen=True)
class KNN:
    """k, temperature: as in knn_scores; they are in the name unless k is 1 and votes are counted.

    HiCo's retrieval is k = 1; AimCLR's authors used k = 200, temperature 0.1.
    """

    k: int = 1
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k {self.k}: at least one neighbour votes")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature}: above 0, or None to count votes")

    @property
    def name(self) -> str:
        k = "" if self.k == 1 else f" k={self.k}"
        return f"knn{k}" if self.temperature is None else f"knn{k} tau={self.temperature}"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        queries, gallery = (
            torch.cat([F.normalize(f, dim=1) for f in encoder.by_stream(data)], dim=1) for data in (test, train)
        )
        return knn_scores(
            queries,
            gallery,
            encoder.labels(train),
            len(train.classes),
            self.k,
            self.temperature,
        )
