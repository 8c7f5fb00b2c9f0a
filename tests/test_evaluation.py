"""Evaluations: a contract for every one, neighbours and classifiers by hand, and what a frozen encoder promises."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, dataset, splits
from torch import nn
from torch.nn import functional as F

from skelray.augment import to_stream
from skelray.evaluation import KNN, Diverged, FrozenEncoder, Linear, top
from skelray.evaluation.knn import knn_scores

CPU = torch.device("cpu")


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


EVALUATIONS = [KNN(), KNN(k=5), KNN(k=5, temperature=0.1), KNN(k=1000), Linear(epochs=10, milestones=(8,)), Centroid()]
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


# Contracts


@every
def test_a_score_for_every_test_sample_and_class(evaluation):
    data = splits()
    scores = evaluation(frozen(), data.train, data.test)
    assert scores.shape == (len(data.test), len(data.train.classes))
    assert scores.isfinite().all()
    assert not scores.requires_grad
    assert evaluation.name.islower()


@every
def test_an_easy_problem_is_solved(evaluation):
    data = splits(samples=72)
    accuracy = top(evaluation(frozen(), data.train, data.test), torch.from_numpy(data.test.labels.copy()))
    assert accuracy == 1.0 if evaluation != KNN(k=1000) else accuracy >= 1 / 3


@every
def test_labels_of_the_test_set_are_never_read(evaluation):
    data = splits()
    expected = evaluation(frozen(), data.train, data.test)
    poisoned = relabelled(data.test, data.test.labels[::-1] + 100)
    assert torch.equal(evaluation(frozen(), data.train, poisoned), expected)
    unlabelled = replace(data.test, samples=data.test.samples.drop(columns="label"))
    assert torch.equal(evaluation(frozen(), data.train, unlabelled), expected)


@every
def test_labels_of_the_training_set_are(evaluation):
    data = splits()
    other = relabelled(data.train, (data.train.labels + 1) % 3)
    scores = [evaluation(frozen(), train, data.test) for train in (data.train, other)]
    if evaluation != KNN(k=1000):  # where all votes are counted, equal classes draw
        assert not torch.equal(*scores)
        assert torch.equal(scores[0].argmax(dim=1), (scores[1].argmax(dim=1) - 1) % 3)


@every
def test_the_same_twice_and_nothing_of_the_global_generator(evaluation):
    data = splits()
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = evaluation(frozen(), data.train, data.test)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(evaluation(frozen(), data.train, data.test), first)


@every
def test_the_encoder_is_frozen_and_asked_once_a_sample(evaluation):
    data, encoder = splits(), Means()
    kept = encoder.scale.clone()
    ask = frozen(encoder)
    for _ in range(2):
        evaluation(ask, data.train, data.test)
    assert encoder.samples == len(data.train) + len(data.test)
    assert not any(encoder.modes)
    assert not encoder.with_gradient
    assert torch.equal(encoder.scale, kept)
    assert encoder.scale.grad is None


@every
def test_scores_are_in_the_order_of_the_test_set(evaluation):
    data = splits()
    order = np.random.default_rng(0).permutation(len(data.test))
    scores = evaluation(frozen(), data.train, data.test)
    torch.testing.assert_close(evaluation(frozen(), data.train, data.test.subset(order)), scores[order])


@pytest.mark.parametrize("evaluation", [e for e in EVALUATIONS if e != Centroid()], ids=str)  # the mean of nothing
def test_a_class_without_training_samples_has_its_column(evaluation):
    data = splits()
    without = data.train.subset(data.train.labels != 1)
    scores = evaluation(frozen(), without, data.test)
    assert scores.shape == (len(data.test), 3)
    assert not (scores.argmax(dim=1) == 1).any()


# A frozen encoder


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_encoder_is_restored(training):
    encoder = Means().train(training)
    frozen(encoder).features(dataset())
    assert encoder.training is training


def test_the_mode_is_restored_where_the_encoder_fails():
    class Failing(nn.Module):
        def forward(self, x, present, rewire=None):
            raise RuntimeError("no memory")

    encoder = Failing().train()
    with pytest.raises(RuntimeError, match="no memory"):
        frozen(encoder).features(dataset())
    assert encoder.training


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 130])
def test_features_of_any_number_of_samples(samples):
    data = dataset(samples=samples)
    features = frozen().features(data)
    torch.testing.assert_close(features, torch.from_numpy(data.sequences[..., 0]).mean(dim=2).flatten(1))


@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
@pytest.mark.parametrize("frames", [None, 7])
def test_features_are_of_the_stream_and_the_frames_of_the_trial(stream, frames):
    data = dataset(samples=5)
    x = torch.from_numpy(data.batch(np.arange(5), frames))
    expected = to_stream(x, data.skeleton, stream)[..., 0].mean(dim=2).flatten(1)
    torch.testing.assert_close(frozen(stream=stream, frames=frames).features(data), expected)


def test_features_of_real_encoder_are_those_of_its_evaluation_mode():
    data = dataset(samples=10)
    encoder = BACKBONE.build(data.skeleton)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, 0.1, 0.1)
    encoder.train()
    features = frozen(encoder).features(data)
    x = torch.from_numpy(data.batch(np.arange(10)))
    assert encoder.training
    torch.testing.assert_close(features, encoder.eval()(x, x.ne(0).flatten(1, 3).any(dim=1)))


def test_each_data_set_has_its_own_features():
    ask, data = frozen(), splits()
    assert len(ask.features(data.train)) == len(data.train)
    assert len(ask.features(data.test)) == len(data.test)
    for _ in range(20):  # data sets that come and go share addresses
        rows = np.random.default_rng(_).permutation(len(data.train))[:4]
        torch.testing.assert_close(ask.features(data.train.subset(rows)), ask.features(data.train)[rows])


# Neighbours


GALLERY = [[1.0, 0.0], [0.8, 0.6], [0.0, 2.0], [-3.0, 0.0]]
LABELS = [0, 1, 1, 2]


def neighbours(queries, k, temperature=None, gallery=GALLERY, labels=LABELS, classes=3):
    tensors = (torch.tensor(t, dtype=torch.float32) for t in (queries, gallery))
    return knn_scores(*tensors, torch.tensor(labels), classes, k, temperature).tolist()


def test_votes_by_hand():
    assert neighbours([[5.0, 0.0], [0.0, 0.1]], k=1) == [[1, 0, 0], [0, 1, 0]]
    assert neighbours([[5.0, 0.0], [0.0, 0.1]], k=3) == [[1, 2, 0], [1, 2, 0]]
    assert neighbours([[5.0, 0.0]], k=99) == [[1, 2, 1]]  # no more neighbours than there are


def test_weighted_votes_by_hand():
    (scores,) = neighbours([[5.0, 0.0]], k=3, temperature=0.5)
    votes = [1.0, math.exp((0.8 - 1) / 0.5) + math.exp((0.0 - 1) / 0.5), 0.0]
    ratio = [score / scores[0] for score in scores]  # weights up to a common factor
    assert ratio == pytest.approx(votes, rel=1e-5)


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


# Classifiers


def test_a_linear_classifier_separates_what_a_line_separates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    x = x[np.abs(x[:, 0] + 2 * x[:, 1]) > 0.5]
    train = features_as_data(x, (x[:, 0] + 2 * x[:, 1] > 0).astype(int), classes=2)
    scores = Linear()(frozen(Given(2)), train, train)
    assert top(scores, torch.from_numpy(train.labels.copy())) == 1.0


def test_what_no_line_separates_stays_so():
    x = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (20, 1))
    train = features_as_data(x, np.tile([0, 1, 1, 0], 20), classes=2)
    assert top(Linear()(frozen(Given(2)), train, train), torch.from_numpy(train.labels.copy())) <= 0.75


def test_the_seed_of_the_trial_decides_the_classifier():
    data, evaluation = splits(), Linear(epochs=2, batch_size=8)
    one, again, other = (evaluation(frozen(seed=seed), data.train, data.test) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_rate_falls_tenfold_after_the_milestone():
    """One batch an epoch and steps so small that the gradient stays as it is."""
    data = splits()
    epochs = [Linear(epochs=n, milestones=(2,), lr=1e-4, batch_size=1000) for n in (1, 2, 3)]
    scores = [e(frozen(), data.train, data.test) for e in epochs]
    steps = [(b - a).abs().mean().item() for a, b in itertools.pairwise(scores)]
    assert steps[1] / steps[0] == pytest.approx(0.1 * 2.71 / 1.9, rel=0.05)  # momentum 0.9: 1, 1.9, 2.71 gradients


def test_classifiers_train_on_every_sample():
    """Also on those that do not fill a batch."""
    x = np.eye(9)
    train = features_as_data(x, np.arange(9), classes=9)
    scores = Linear(batch_size=4, epochs=60)(frozen(Given(9)), train, train)
    assert top(scores, torch.arange(9)) == 1.0


# Accuracy


def test_top_k_by_hand():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
    labels = torch.tensor([1, 1, 1, 0])
    assert top(scores, labels) == 0.5
    assert top(scores, labels, 2) == 0.75
    assert top(scores, labels, 3) == 1.0
    assert top(scores, labels, 99) == 1.0


def test_ties_go_to_the_lower_class():
    scores = torch.zeros(4, 3)
    assert top(scores, torch.tensor([0, 1, 2, 0])) == 0.5
    assert top(scores, torch.tensor([0, 1, 2, 0]), 2) == 0.75
    many = torch.zeros(1, 400)
    assert [top(many, torch.tensor([c])) for c in (0, 1, 399)] == [1.0, 0.0, 0.0]


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_accuracy_grows_with_k_and_ends_at_one(samples, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(samples, classes, generator=generator)
    labels = torch.randint(0, classes, (samples,), generator=generator)
    accuracies = [top(scores, labels, k) for k in range(1, classes + 1)]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] == (scores.argmax(dim=1) == labels).double().mean().item()
    assert accuracies[-1] == 1.0


# What is wrong is said where it is given


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KNN(k=0), "k 0"),
        (lambda: KNN(temperature=0.0), "temperature 0.0"),
        (lambda: KNN(temperature=-1.0), "temperature -1.0"),
        (lambda: Linear(lr=0.0), "lr 0.0"),
        (lambda: Linear(epochs=0), "epochs 0"),
        (lambda: Linear(batch_size=0), "batch_size 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_features_that_are_no_numbers_have_no_accuracy():
    """Nearest neighbours of nothing would still vote."""
    data = features_as_data(np.array([[float("nan"), 1.0], [0.0, 1.0]]), [0, 1], 2)
    with pytest.raises(Diverged, match="not numbers"):
        KNN()(frozen(Given(2)), data, data)


def test_several_streams_are_read_as_the_mean_of_their_cosines_and_logits():
    """Each stream's features count alike for KNN, whatever their length; a probe sees them side by side."""
    data = splits().train
    both = FrozenEncoder({"joint": Means(), "bone": Means()}, CPU)
    one, other = both.by_stream(data)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(both.features(data), torch.cat([one, other], dim=1) / 2)
    scores = KNN(k=3)(both, data, data)
    cosine = sum(F.normalize(f, dim=1) @ F.normalize(f, dim=1).T for f in (one, other)) / 2
    votes = F.one_hot(torch.from_numpy(data.labels.copy()))[cosine.topk(3, dim=1).indices].sum(dim=1)
    assert torch.equal(scores, votes.to(scores.dtype))
