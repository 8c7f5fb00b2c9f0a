"""Clustering: NMI by hand, and the picture."""

import math

import numpy as np
import pytest
from frozen_encoders import Given, features_as_data, frozen

from skelray.evaluation import (
    Clustering,
    measure,
)

# Clustering


def clustered(labels, features, evaluation=None, seed=0):
    names = len(np.unique(labels))
    data = features_as_data(np.asarray(features), np.asarray(labels), classes=names)
    return measure(evaluation or Clustering(), frozen(Given(2), seed=seed), data, data)


def around(angles, samples=8):
    rng = np.random.default_rng(0)
    at = np.repeat(np.asarray(angles), samples) + rng.normal(0, 0.02, len(angles) * samples)
    return np.stack([np.cos(at), np.sin(at)], axis=1) * rng.uniform(1, 5, (len(at), 1))


def test_clusters_that_are_the_classes_have_nmi_one_and_a_picture():
    labels = np.repeat([0, 1, 2], 8)
    found = clustered(labels, around([0, 2, 4]))
    assert found.metrics == {"nmi": pytest.approx(1.0)}
    assert found.scores is None
    assert found.files["png"].startswith(b"\x89PNG")
    assert found.arrays["places"].shape == (24, 2)
    assert found.arrays["place_labels"].tolist() == labels.tolist()
    again = clustered(labels, around([0, 2, 4]))
    assert again.files == found.files  # to the last byte


def test_nmi_by_hand():
    """Classes 0 and 1 lie together: two clusters hold (8 + 4) of {0, 1} and 4 of ... as the labels say."""
    places = around([0, 2])
    found = clustered([0] * 8 + [1] * 4 + [0] * 4, places)
    share = 4 / 16
    cross = [(8, 8, 12), (4, 8, 12), (4, 8, 4)]  # (together, of the cluster, of the class) of 16
    mutual = sum(n / 16 * math.log(n * 16 / (a * b)) for n, a, b in cross)
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert found.metrics["nmi"] == pytest.approx(mutual / ((math.log(2) + entropy) / 2))


def test_a_few_classes_the_same_for_every_seed_are_shown():
    labels, places = np.repeat(np.arange(10), 8), around(np.arange(10) * 0.6)
    shown = [set(clustered(labels, places, Clustering(classes=3), seed).arrays["place_labels"]) for seed in (0, 1)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 3
