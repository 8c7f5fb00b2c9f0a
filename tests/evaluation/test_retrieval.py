"""Retrieval: average precision by hand and beside scikit-learn."""

import pytest
import torch
from frozen_encoders import GALLERY, LABELS, frozen, relabelled
from tiny import splits
from torch.nn import functional as F

from skelray.evaluation import (
    KNN,
    Retrieval,
    measure,
)
from skelray.evaluation.retrieval import average_precision

# Retrieval


def test_average_precision_by_hand():
    """From (1, 0) the gallery is seen as 0, 1, 1, 2; of class 1 at ranks 2 and 3."""
    gallery, labels = torch.tensor(GALLERY), torch.tensor(LABELS)
    queries = torch.tensor([[1.0, 0.0]] * 4)
    found = average_precision(queries, gallery, torch.tensor([0, 1, 2, 3]), labels)
    assert found.tolist() == pytest.approx([1.0, (1 / 2 + 2 / 3) / 2, 1 / 4, 0.0])


def test_average_precision_is_scikit_learns():
    from sklearn.metrics import average_precision_score

    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(300, 6, generator=generator), torch.randn(40, 6, generator=generator)
    own, labels = torch.arange(300) % 4, torch.arange(40) % 4
    similarity = F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T
    expected = [average_precision_score(labels == o, s) for o, s in zip(own, similarity, strict=True)]
    assert average_precision(queries, gallery, own, labels).tolist() == pytest.approx(expected, rel=1e-4)


def test_retrieval_is_the_nearest_neighbour_and_a_mean():
    data = splits()
    found = measure(Retrieval(), frozen(), data.train, data.test)
    nearest = measure(KNN(), frozen(), data.train, data.test)
    assert torch.equal(found.scores, nearest.scores)
    assert found.metrics["top1"] == nearest.metrics["top1"]
    ask = frozen()
    own, labels = ask.labels(data.test), ask.labels(data.train)
    expected = average_precision(ask.features(data.test), ask.features(data.train), own, labels).double().mean().item()
    assert found.metrics["map"] == expected
    poisoned = relabelled(data.test, data.test.labels[::-1].copy())
    assert torch.equal(measure(Retrieval(), frozen(), data.train, poisoned).scores, found.scores)
