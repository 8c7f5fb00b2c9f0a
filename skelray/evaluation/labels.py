"""The labelled training samples of a semi-supervised evaluation."""

from __future__ import annotations

import numpy as np
import torch

from skelray.augment import Draws
from skelray.data.dataset import SkeletonDataset


def draw_labelled(train: SkeletonDataset, share: float, seed: int) -> SkeletonDataset:
    """Returns a share of each class, in the training set's order, decided by the seed alone and so equal in every arm.

    A class of n samples gives share x n, rounded to the nearest whole number (a half to the even one), and at least one.
    Released code rounds alike, but takes none where share x n is at most a half (methods.md, 6.4). A smaller share under the
    same seed is part of a larger one.
    """
    if share == 1:
        return train
    generator = Draws(seed, 0)["labelled"]
    chosen = []
    for label in range(len(train.classes)):
        members = np.flatnonzero(train.labels == label)
        order = torch.randperm(len(members), generator=generator).numpy()
        chosen.append(members[order[: max(1, round(share * len(members)))]])
    return train.subset(np.sort(np.concatenate(chosen)))
