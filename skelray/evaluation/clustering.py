"""Clustering: how well k-means recovers a few classes from the features, and their picture, as AimCLR's Figure 2."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from skelray.augment import Draws
from skelray.checks import UserError, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.evaluation import EvaluationResult
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.knn import units
from skelray.evaluation.scores import LATER

SHOWN = 20  # as many colours as can be told apart


@dataclass(frozen=True)
class Clustering:
    """AimCLR (Guo et al., AAAI 2022), Figure 2: the test samples of some classes, the same for every arm and seed.

    classes: how many, drawn from those of the test set. nmi: normalised mutual information (arithmetic mean) of the labels
    and the clusters that k-means finds among unit features, one for each class. The picture is a t-SNE with fixed settings.
    Labels serve only to choose the classes, for colours and for nmi. keep: stores the features, so that an ensemble can
    concatenate its streams' features, as for a method that trains its streams together.
    """

    measures: ClassVar[str] = "nmi"

    classes: int = 10
    perplexity: float = 30.0
    name: str = "clustering"
    keep: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        check_whole("classes", self.classes, 2)
        if self.classes > SHOWN:
            raise UserError(f"classes {self.classes}: between 2 and the {SHOWN} that colours tell apart")
        if not self.perplexity > 0:
            raise UserError(f"perplexity {self.perplexity}: above 0")

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        there = np.unique(test.labels)
        chosen = torch.randperm(len(there), generator=Draws(0, 0)["clustering"]).numpy()[: self.classes]
        rows = np.flatnonzero(np.isin(test.labels, there[chosen]))
        if len(rows) < 3 or len(chosen) < 2:
            raise UserError(f"clustering takes two classes and three samples, not {len(chosen)} and {len(rows)}")
        found = self._of(units(encoder.by_stream(test))[rows].cpu().numpy(), test.labels[rows], test.classes, encoder.seed)
        arrays = {**found.arrays, "place_rows": test.rows[rows]}
        if self.keep:
            arrays |= {"place_features": found.arrays["features"], "place_names": np.array(test.classes)}
        del arrays["features"]
        return EvaluationResult(metrics=found.metrics, arrays=arrays, files=found.files)

    def fused(self, streams: Mapping[str, Mapping[str, np.ndarray]], seed: int) -> EvaluationResult | None:
        """Evaluates concatenated streams from their stored features; None if one was stored without them.

        Raises UserError if they are of different samples.
        """
        first, *others = streams.values()
        if not all("place_features" in arrays for arrays in streams.values()):
            return None
        if any(not np.array_equal(first["place_rows"], arrays["place_rows"]) for arrays in others):
            raise UserError("the streams' features are of other samples: they cannot be put side by side")
        features = np.concatenate([arrays["place_features"] for arrays in streams.values()], axis=1)
        found = self._of(features, first["place_labels"], tuple(map(str, first["place_names"])), seed)
        arrays = {"places": found.arrays["places"], "place_labels": first["place_labels"]}
        return EvaluationResult(metrics=found.metrics, arrays=arrays, files=found.files)

    def _of(self, features: np.ndarray, labels: np.ndarray, names: tuple[str, ...], seed: int) -> EvaluationResult:
        """Runs k-means and t-SNE on unit features (N, S dim)."""
        from sklearn.metrics import normalized_mutual_info_score
        from threadpoolctl import threadpool_limits

        count = len(np.unique(labels))
        with threadpool_limits(torch.get_num_threads()):
            clusters = _clusters(features, count, seed)
            places = _places(features, self.perplexity)
        nmi = float(normalized_mutual_info_score(labels, clusters))
        picture = _picture(places, labels, names, f"{count} of {len(names)} classes, NMI {nmi:.4f}")
        arrays = {"places": places, "clusters": clusters, "place_labels": labels, "features": features}
        return EvaluationResult(metrics={"nmi": min(1.0, max(0.0, nmi))}, arrays=arrays, files={"png": picture})


def _clusters(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the cluster of each row, (N,), from the best of ten starts."""
    from sklearn.cluster import KMeans

    return KMeans(count, n_init=10, random_state=Draws(seed, 0).number("clusters") % 2**32).fit_predict(features)


def _places(features: np.ndarray, perplexity: float) -> np.ndarray:
    """Returns t-SNE's (van der Maaten and Hinton, JMLR 2008) place of each row, (N, 2)."""
    from sklearn.manifold import TSNE

    perplexity = min(perplexity, (len(features) - 1) / 3)  # of fewer samples no more can be asked
    start = "pca" if np.ptp(features, axis=0).any() else "random"
    jobs = torch.get_num_threads()
    return TSNE(perplexity=perplexity, init=start, random_state=0, n_jobs=jobs).fit_transform(features)


def _picture(places: np.ndarray, labels: np.ndarray, names: tuple[str, ...], title: str) -> bytes:
    """Returns a PNG with a dot for each sample, coloured by class; the same bytes for the same places."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    there = np.unique(labels)
    colours = colormaps["tab10" if len(there) <= 10 else "tab20"]
    for colour, label in zip(colours.colors, there, strict=False):  # type: ignore[attr-defined]
        of_class = places[labels == label]
        axes.scatter(of_class[:, 0], of_class[:, 1], s=10, color=colour, linewidths=0, label=names[label])
    axes.set(xticks=[], yticks=[], title=title)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=2, fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
