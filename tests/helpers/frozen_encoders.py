"""Stand-ins for encoders, evaluations to hold to the contract, and data that they read."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny import TRIAL, dataset, splits
from torch import nn

from skelray.evaluation import (
    KNN,
    FrozenEncoder,
    Linear,
)
from skelray.training import Pretraining

CPU = torch.device("cpu")
GALLERY = [[1.0, 0.0], [0.8, 0.6], [0.0, 2.0], [-3.0, 0.0]]
LABELS = [0, 1, 1, 2]


class Means(nn.Module):
    """Stands in for an encoder: the mean over time of the first person, and a note of everything it was asked."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.samples, self.modes, self.with_gradient = 0, [], False

    def forward(self, x, present, rewire=None):
        self.samples += len(x)
        self.modes.append(self.training)
        self.with_gradient |= torch.is_grad_enabled()
        return x[..., 0].mean(dim=2).flatten(1) * self.scale  # (N, 3 V)


class Given(nn.Module):
    """An encoder whose features are the first coordinates of a sequence."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x, present, rewire=None):
        return x[:, 0, 0, : self.dim, 0]


@dataclass(frozen=True)
class Centroid:
    """An evaluation as a study file may define it."""

    name: str = "centroid"

    def __call__(self, encoder, train, test):
        features, labels = encoder.features(train), encoder.labels(train)
        centres = torch.stack([features[labels == c].mean(dim=0) for c in range(len(train.classes))])
        return -torch.cdist(encoder.features(test), centres)


EUCLIDEAN = KNN(k=5, metric="euclidean")
EVALUATIONS = [
    *(KNN(), KNN(k=5), KNN(k=5, temperature=0.1), KNN(k=1000), EUCLIDEAN, replace(EUCLIDEAN, temperature=2.0)),
    *(Linear(epochs=10, milestones=(8,)), Centroid()),
]
every = pytest.mark.parametrize("evaluation", EVALUATIONS, ids=str)


def frozen(encoder=None, stream="joint", frames=None, seed=0):
    return FrozenEncoder({stream: encoder or Means()}, CPU, frames=frames, seed=seed)


def relabelled(data, labels):
    """The data with other labels."""
    return replace(data, samples=data.samples.assign(label=labels))


def features_as_data(features, labels, classes):
    """A data set whose features are these, for ``Given``."""
    base = dataset(samples=len(features), frames=1, classes=1)
    x = np.zeros_like(base.sequences)
    x[:, 0, 0, : features.shape[1], 0] = features
    return replace(relabelled(base, labels), sequences=x, classes=tuple("abcdefghij"[:classes]))


def trained(**changes):
    data = splits()
    return Pretraining(replace(TRIAL, **changes), data, CPU), data
