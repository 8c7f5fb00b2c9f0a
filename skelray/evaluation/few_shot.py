"""Few-shot evaluation: classification by a few labelled sequences of each class, over many small tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from skelray.augment import Draws
from skelray.checks import UserError, check_whole
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation.evaluation import EvaluationResult
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.knn import units


@dataclass(frozen=True)
class FewShot:
    """Tasks of ``ways`` classes and ``shots`` labelled sequences of each, decided by the nearest class mean by cosine.

    Prototypes of Snell et al., NeurIPS 2017. The result is the mean accuracy over tasks. Classes, and the labelled sequences
    from the training set, are drawn for each task by the trial's seed, the same for every arm; all test sequences of the
    task's classes are queries. The encoder has seen no labels; in a ``Transfer`` it has not seen these classes either.
    """

    ways: int = 5
    shots: int = 1
    tasks: int = 200

    metrics: ClassVar[tuple[str, ...]] = ("top1",)

    def __post_init__(self) -> None:
        check_whole("ways", self.ways, 2)
        check_whole("shots", self.shots, 1)
        check_whole("tasks", self.tasks, 1)

    @property
    def name(self) -> str:
        return f"{self.ways}-way {self.shots}-shot"

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        gallery, queries = (units(encoder.by_stream(data)) for data in (train, test))
        known = [label for label in np.unique(test.labels) if (train.labels == label).sum() >= self.shots]
        if len(known) < self.ways:
            raise UserError(
                f"{self.name}: only {len(known)} classes have {self.shots} training sequences and a test sequence"
            )
        generator = Draws(encoder.seed, 0)["few-shot"]
        shares = []
        for _ in range(self.tasks):
            order = torch.randperm(len(known), generator=generator)[: self.ways].tolist()
            classes = [known[place] for place in order]
            means = torch.stack([gallery[self._drawn(train.labels == one, generator)].mean(dim=0) for one in classes])
            asked = np.flatnonzero(np.isin(test.labels, classes))
            nearest = (queries[asked] @ F.normalize(means, dim=1).T).argmax(dim=1).cpu().numpy()
            shares.append(float((np.array(classes)[nearest] == test.labels[asked]).mean()))
        return EvaluationResult(metrics={"top1": float(np.mean(shares))}, arrays={"tasks": np.array(shares)})

    def _drawn(self, mask: np.ndarray, generator: torch.Generator) -> np.ndarray:
        places = np.flatnonzero(mask)
        return places[torch.randperm(len(places), generator=generator)[: self.shots].numpy()]
