"""Nearest neighbours: votes by hand, distances, and features after the projector."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from frozen_encoders import EUCLIDEAN, GALLERY, LABELS, Means, frozen, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LEVELLED, MOCO, TRIAL, same_state, splits
from torch import nn
from torch.nn import functional as F

from skelray import papers
from skelray.evaluation import (
    KNN,
    FrozenEncoder,
    Linear,
)
from skelray.evaluation.knn import knn_scores
from skelray.identity.canonical import canonical
from skelray.methods import CrosSCLR, HiCo, SkeletonCLR
from skelray.training import Pretraining

# Neighbours


def neighbours(queries, k, temperature=None, metric="cosine"):
    tensors = (torch.tensor(t, dtype=torch.float32) for t in (queries, GALLERY))
    return knn_scores(*tensors, torch.tensor(LABELS), 3, k, temperature, metric).tolist()


def test_votes_by_hand():
    assert neighbours([[5.0, 0.0], [0.0, 0.1]], k=1) == [[1, 0, 0], [0, 1, 0]]
    assert neighbours([[5.0, 0.0], [0.0, 0.1]], k=3) == [[1, 2, 0], [1, 2, 0]]
    assert neighbours([[5.0, 0.0]], k=99) == [[1, 2, 1]]  # no more neighbours than there are


def test_weighted_votes_by_hand():
    (scores,) = neighbours([[5.0, 0.0]], k=3, temperature=0.5)
    votes = [1.0, math.exp((0.8 - 1) / 0.5) + math.exp((0.0 - 1) / 0.5), 0.0]
    ratio = [score / scores[0] for score in scores]  # weights up to a common factor
    assert ratio == pytest.approx(votes, rel=1e-5)


def test_votes_by_distance_by_hand():
    """From (3, 0): (1, 0) at 2, (0.8, 0.6) at sqrt(5.2), (0, 2) at sqrt(13), (-3, 0) at 6."""
    assert neighbours([[3.0, 0.0], [-2.0, 1.0]], k=1, metric="euclidean") == [[1, 0, 0], [0, 0, 1]]
    assert neighbours([[3.0, 0.0]], k=2, metric="euclidean") == [[1, 1, 0]]
    (scores,) = neighbours([[3.0, 0.0]], k=3, temperature=0.5, metric="euclidean")
    votes = [1.0, sum(math.exp((2 - math.sqrt(d)) / 0.5) for d in (5.2, 13.0)), 0.0]
    assert scores == pytest.approx(votes, rel=1e-4)


@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 8), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_neighbours_by_distance_are_the_least_distant(queries, gallery, k, far, seed):
    """Also far from the origin, where products are large and distances small."""
    generator = torch.Generator().manual_seed(seed)
    q, g = (torch.randn(n, 5, generator=generator) + 1000 * far for n in (queries, gallery))
    labels = torch.randint(0, 4, (gallery,), generator=generator)
    scores = knn_scores(q, g, labels, 4, k, 0.7, "euclidean")
    distance = (q[:, None].double() - g.double()).norm(dim=2)
    for row, far_off in zip(scores, distance, strict=True):
        near = sorted(range(gallery), key=lambda i, far_off=far_off: far_off[i])[:k]
        votes = torch.zeros(4)
        for i in near:
            votes[labels[i]] += torch.exp((far_off[near[0]] - far_off[i]) / 0.7)
        torch.testing.assert_close(row / row.sum(), votes / votes.sum(), rtol=1e-2, atol=1e-3)


def test_a_low_temperature_is_the_nearest_neighbour():
    data = splits()
    nearest = KNN(k=1)(frozen(), data.train, data.test).argmax(dim=1)
    scores = KNN(k=10, temperature=1e-3)(frozen(), data.train, data.test)
    assert scores.isfinite().all()
    assert torch.equal(scores.argmax(dim=1), nearest)


@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.integers(1, 8),
    st.one_of(st.none(), st.floats(0.05, 1)),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_neighbours_are_the_most_similar(queries, gallery, k, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    q, g = torch.randn(queries, 5, generator=generator), torch.randn(gallery, 5, generator=generator)
    labels = torch.randint(0, 4, (gallery,), generator=generator)
    scores = knn_scores(q, g, labels, 4, k, temperature)
    similarity = F.cosine_similarity(q[:, None], g[None], dim=2)
    for row, close in zip(scores, similarity, strict=True):
        near = sorted(range(gallery), key=lambda i, close=close: -close[i])[:k]
        votes = torch.zeros(4)
        for i in near:
            votes[labels[i]] += 1 if temperature is None else torch.exp(close[i] / temperature)
        torch.testing.assert_close(row / row.sum(), votes / votes.sum(), rtol=1e-4, atol=1e-5)


def test_many_queries_are_taken_in_parts():
    generator = torch.Generator().manual_seed(0)
    q, g = torch.randn(2500, 4, generator=generator), torch.randn(9, 4, generator=generator)
    labels = torch.arange(9)
    assert torch.equal(knn_scores(q, g, labels, 9, 1, None).argmax(dim=1), (q @ F.normalize(g, dim=1).T).argmax(dim=1))


def test_lengths_of_features_do_not_matter():
    data = splits()
    long = Means()
    long.scale.data.fill_(1000.0)
    assert torch.equal(*(KNN(k=3)(frozen(e), data.train, data.test) for e in (long, Means())))


def test_published_neighbours_have_names():
    assert papers.KNN_NEAREST == KNN() == KNN(k=1, temperature=None, metric="cosine", layer="encoder")
    assert (papers.KNN_WEIGHTED.k, papers.KNN_WEIGHTED.temperature) == (200, 0.1)
    assert papers.KNN_PROJECTOR.layer == "projector"
    names = [e.name for e in (KNN(), papers.KNN_WEIGHTED, papers.KNN_PROJECTOR, EUCLIDEAN)]
    assert names == ["knn", "knn k=200 tau=0.1", "knn k=200 tau=0.1 projector", "knn k=5 euclidean"]


def test_what_is_stored_by_an_older_form_keeps_its_name():
    """Fields that came later are left out at their defaults, and only there."""
    assert canonical(KNN()) == {"type": "KNN", "k": 1, "temperature": None}
    assert set(canonical(Linear())) == {"type", "lr", "epochs", "milestones", "batch_size", "std"}
    assert canonical(EUCLIDEAN)["metric"] == "euclidean"
    assert canonical(Linear(selection="released"))["selection"] == "released"


# After the projector


def test_the_projector_is_the_methods_own():
    pretraining, data = trained()
    ask = pretraining.frozen_encoder()
    (features,), (embedded,) = ask.by_stream(data.test), ask.projected(data.test)
    torch.testing.assert_close(embedded, pretraining.model.query.head(features).detach())
    scores = KNN(k=3, layer="projector")(ask, data.train, data.test)
    (gallery,) = ask.projected(data.train)
    assert torch.equal(scores, knn_scores(embedded, gallery, ask.labels(data.train), 3, 3, None))


def test_a_projector_is_read_in_evaluation_mode_and_left_as_it_was():
    """One with batch norm, whose statistics must not move, and do not depend on the batch."""
    data, trial = splits(), replace(TRIAL, method=SkeletonCLR(**MOCO))
    frozen = Pretraining(trial, data, torch.device("cpu")).frozen_encoder()
    head = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)).train()
    asked = FrozenEncoder(frozen.encoders, frozen.device, frozen.clip, projectors={"joint": head})
    before = {name: value.clone() for name, value in head.state_dict().items()}
    (whole,), (part,) = asked.projected(data.train), asked.projected(data.train.subset(np.arange(len(data.train)) < 5))
    assert head.training
    assert same_state(head.state_dict(), before)
    torch.testing.assert_close(whole[:5], part)


def test_the_projectors_of_several_streams():
    pretraining, data = trained(method=CrosSCLR(**MOCO), stream="joint+motion")
    ask = pretraining.frozen_encoder()
    heads = [moco.query.head for moco in pretraining.model.mocos().values()]
    for head, feature, embedded in zip(heads, ask.by_stream(data.test), ask.projected(data.test), strict=True):
        torch.testing.assert_close(embedded, head(feature).detach())


def test_hicos_projector_is_its_instance_head():
    hico = {"queue": 32, "dim": 8, "m": 0.9}
    pretraining, data = trained(method=HiCo(**hico), backbone=replace(LEVELLED, frames=64))
    ask = pretraining.frozen_encoder()
    (feature,), (embedded,) = ask.by_stream(data.test), ask.projected(data.test)
    torch.testing.assert_close(embedded, pretraining.model.query.heads["instance"](feature).detach())
    without, data = trained(method=HiCo(levels=("domain",), **hico), backbone=replace(LEVELLED, frames=64))
    with pytest.raises(ValueError, match='no projector of an encoder\'s whole feature: evaluate with layer="encoder"'):
        KNN(layer="projector")(without.frozen_encoder(), data.train, data.test)
