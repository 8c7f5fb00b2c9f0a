"""k nearest neighbours on frozen features, in blocks of one matrix product and one top-k."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.checks import UserError, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.scores import LATER

QUERIES = 1024  # rows of the similarity matrix held at once
METRICS = ("cosine", "euclidean")
LAYERS = ("encoder", "projector")


def knn_scores(
    queries: Tensor,
    gallery: Tensor,
    labels: Tensor,
    classes: int,
    k: int,
    temperature: float | None,
    metric: str = "cosine",
) -> Tensor:
    """Returns votes of the k nearest gallery rows. queries: (Q, D), gallery: (G, D), labels: (G,) -> (Q, classes).

    metric: "cosine" takes the most similar rows, "euclidean" the least distant. temperature: None counts votes, otherwise a
    vote weighs exp(similarity / temperature) or exp(-distance / temperature), scaled so that the nearest one weighs 1, which
    keeps small temperatures finite.
    """
    k = min(k, len(gallery))
    if metric == "cosine":
        queries, gallery, offset = F.normalize(queries, dim=1), F.normalize(gallery, dim=1), None
    else:
        centre = gallery.mean(dim=0)  # moves no distance, and keeps what is subtracted below small
        queries, gallery = queries - centre, gallery - centre
        offset = gallery.square().sum(dim=1) / 2  # (G,)
    scores = []
    for part in queries.split(QUERIES):
        similarity = part @ gallery.T  # (q, G)
        near, nearest = (similarity if offset is None else similarity.sub_(offset)).topk(k, dim=1)  # (q, k)
        weight = torch.ones_like(near)
        if temperature is not None:
            if metric == "euclidean":  # |a - b|^2 = |a|^2 - 2 (a b - |b|^2 / 2)
                near = -(part.square().sum(dim=1, keepdim=True) - 2 * near).clamp(min=0).sqrt()
            weight = ((near - near[:, :1]) / temperature).exp()  # 1 for the nearest
        votes = torch.zeros(len(part), classes, dtype=weight.dtype, device=weight.device)
        scores.append(votes.scatter_add_(1, labels[nearest], weight))
    return torch.cat(scores)


def units(streams: list[Tensor]) -> Tensor:
    """Returns (N, S dim): unit features of each stream side by side, so that a product is the sum of their cosines."""
    return torch.cat([F.normalize(f, dim=1) for f in streams], dim=1)


@dataclass(frozen=True)
class KNN:
    """k nearest neighbours; k, temperature, metric as in knn_scores. layer: the encoder's features, or the projector's.

    The name has every setting that differs from 1-NN by cosine on features. With several streams cosines are averaged and
    squared distances added. HiCo's projector is its instance head. HiCo's retrieval is k = 1; AimCLR's authors used k =
    200, temperature 0.1; HiCLR's monitor read after the projector. ``papers`` has all three by name.
    """

    k: int = 1
    temperature: float | None = None
    metric: str = field(default="cosine", metadata=LATER)
    layer: str = field(default="encoder", metadata=LATER)

    def __post_init__(self) -> None:
        check_whole("k", self.k, 1)
        if self.temperature is not None and not self.temperature > 0:
            raise UserError(f"temperature {self.temperature}: above 0, or None to count votes")
        if self.metric not in METRICS:
            raise UserError(f"metric {self.metric!r} is none of {', '.join(METRICS)}")
        if self.layer not in LAYERS:
            raise UserError(f"layer {self.layer!r} is none of {', '.join(LAYERS)}")

    @property
    def name(self) -> str:
        said = ["knn"]
        said += [f"k={self.k}"] if self.k != 1 else []
        said += [f"tau={self.temperature}"] if self.temperature is not None else []
        said += [self.metric] if self.metric != "cosine" else []
        said += [self.layer] if self.layer != "encoder" else []
        return " ".join(said)

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        read = encoder.by_stream if self.layer == "encoder" else encoder.projected
        queries, gallery = (
            units(read(data)) if self.metric == "cosine" else torch.cat(read(data), dim=1) for data in (test, train)
        )
        classes = len(train.classes)
        return knn_scores(queries, gallery, encoder.labels(train), classes, self.k, self.temperature, self.metric)
