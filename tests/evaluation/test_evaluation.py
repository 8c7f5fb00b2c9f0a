"""Evaluations: a contract for every one, neighbours and classifiers by hand, and what a frozen encoder promises."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, LEVELLED, MOCO, TRIAL, dataset, same_state, splits
from torch import nn
from torch.nn import functional as F

from skelray import papers
from skelray.augment import Draws, to_stream
from skelray.data import DataError
from skelray.evaluation import (
    KNN,
    Clustering,
    Diverged,
    EvaluationResult,
    Finetune,
    FrozenEncoder,
    HeldOut,
    Linear,
    Retrieval,
    Transfer,
    finetuned_sequences,
    main_metric,
    measure,
    metrics_of,
    small_version,
    top_k_accuracy,
)
from skelray.evaluation.classifier import Classifier
from skelray.evaluation.knn import knn_scores
from skelray.evaluation.retrieval import average_precision
from skelray.identity.canonical import canonical
from skelray.methods import CrosSCLR, HiCo, SkeletonCLR
from skelray.names import shared_subjects
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining

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


# Contracts


@every
def test_a_score_for_every_test_sample_and_class(evaluation):
    data = splits()
    scores = evaluation(frozen(), data.train, data.test)
    assert scores.shape == (len(data.test), len(data.train.classes))
    assert scores.isfinite().all()
    assert not scores.requires_grad
    assert evaluation.name.islower()


@dataclass(frozen=True)
class Declared(Centroid):
    """The same with all that an evaluation may declare."""

    measures = "purity"
    metrics = ("purity", "top1")
    selection: str = "best"

    def small(self):
        return Centroid("small")

    def trained(self, samples):
        return 3 * samples


@pytest.mark.parametrize(
    "around", [lambda e: e, HeldOut, lambda e: Transfer("nwucla", "xsub", e)], ids=["plain", "held out", "transfer"]
)
def test_what_an_evaluation_does_not_declare_has_a_default(around):
    plain = around(Centroid())
    assert (main_metric(plain), metrics_of(plain), finetuned_sequences(plain, 7)) == ("top1", ("top1", "top5"), 0)
    assert small_version(Centroid()) == Centroid()
    if around is not HeldOut:
        told = around(Declared())
        assert (main_metric(told), metrics_of(told), finetuned_sequences(told, 7)) == ("purity", ("purity", "top1"), 21)
        assert small_version(Declared()) == Centroid("small")
        with pytest.raises(ValueError, match="hold out with selection" if told == Declared() else "other benchmark"):
            HeldOut(told)


class Bare(nn.Module):
    """A method's model with what a model must have, and nothing beside."""

    def __init__(self):
        super().__init__()
        self.query, self.autocast = Means(), None

    def encoders(self):
        return {"joint": self.query}


class BareMethod(SkeletonCLR):
    def build(self, backbone, skeleton, stream):
        return Bare()


def test_a_model_without_projectors_or_mask_values_is_evaluated_and_kept():
    pretraining = Pretraining(replace(TRIAL, method=BareMethod(**MOCO)), splits(), CPU)
    frozen = pretraining.frozen_encoder()
    assert frozen.mask_values["joint"].tolist() == [0.0]
    assert pretraining.encoder_state()["masks"] == {}
    with pytest.raises(ValueError, match="project"):
        KNN(layer="projector")(frozen, pretraining.splits.train, pretraining.splits.test)


@every
def test_an_easy_problem_is_solved(evaluation):
    data = splits(samples=72)
    accuracy = top_k_accuracy(evaluation(frozen(), data.train, data.test), torch.from_numpy(data.test.labels.copy()))
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


def trained(**changes):
    data = splits()
    return Pretraining(replace(TRIAL, **changes), data, CPU), data


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


# Transfer


def pretrained_on(data, others):
    def load(benchmark, protocol):
        if (benchmark, protocol) not in others:
            raise DataError(f"{benchmark} is not prepared")
        return others[benchmark, protocol]

    return FrozenEncoder({"joint": Means()}, CPU, load=load)


def test_transfer_is_the_evaluation_on_the_target():
    source, target = splits(), splits(dataset(samples=48, classes=4, seed=5))
    ask = pretrained_on(source, {("other", "xview"): target})
    for inner in (KNN(k=3), Linear(epochs=3), Retrieval(), Clustering()):
        found = measure(Transfer("other", "xview", inner), ask, source.train, source.test)
        expected = measure(inner, frozen(), target.train, target.test)
        assert found.metrics == expected.metrics
        assert found.test is target.test
        if expected.scores is None:
            assert found.scores is None
        else:
            assert torch.equal(found.scores, expected.scores)
        assert found.files == expected.files
    assert Transfer("other", "xview", Finetune()).name == "finetune on other xview"


def test_transfer_says_what_does_not_fit():
    source = splits()
    other = splits(dataset(skeleton=KINECT_V2))
    ask = pretrained_on(source, {("ntu60", "xsub"): other, ("same", "xsub"): splits(dataset(seed=3))})
    said = r"knn on ntu60 xsub: its skeleton kinect_v2 \(25 joints\) is not the encoder's kinect_v1 \(20\)"
    with pytest.raises(DataError, match=said):
        Transfer("ntu60", "xsub", KNN())(ask, source.train, source.test)
    with pytest.raises(DataError, match=said):
        Transfer("ntu60", "xsub", KNN()).pinned(ask.load, source.train.skeleton)
    with pytest.raises(DataError, match="pku is not prepared"):
        Transfer("pku", "xsub", KNN()).pinned(ask.load, source.train.skeleton)
    with pytest.raises(ValueError, match="say how to load it"):
        Transfer("same", "xsub", KNN())(frozen(), source.train, source.test)
    bound = Transfer("same", "xsub", KNN()).pinned(ask.load, source.train.skeleton)
    assert bound.data == "tiny3"
    assert canonical(bound) != canonical(replace(bound, data="tiny4"))
    with pytest.raises(DataError, match="names the data tiny4, not the tiny3 here"):
        replace(bound, data="tiny4")(ask, source.train, source.test)


def test_shared_subjects_are_told_of():
    assert "ntu60 and pku2 share subjects" in shared_subjects("ntu60", "pku2")
    assert shared_subjects("pku1", "ntu120")
    assert shared_subjects("ntu60", "ntu120") == shared_subjects("nwucla", "ntu60") == ""


# Every evaluation leaves the encoder as it was


@pytest.mark.parametrize(
    "evaluation",
    [
        *EVALUATIONS,
        KNN(layer="projector"),
        Linear(epochs=2, selection="released"),
        Retrieval(),
        Clustering(),
        Finetune(epochs=1),
    ],
    ids=str,
)
def test_buffers_weights_and_modes_of_a_real_encoder_stay(evaluation):
    pretraining, data = trained(backbone=BACKBONE)
    pretraining.train_epoch()
    model = pretraining.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes, wanted = [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]
    measure(evaluation, pretraining.frozen_encoder(), data.train, data.test)
    assert same_state(before, dict(model.state_dict()))
    assert modes == [m.training for m in model.modules()]
    assert wanted == [p.requires_grad for p in model.parameters()]


# Classifiers


def test_cached_features_are_as_good_as_running_the_encoder_at_each_step():
    """The released loop: the frozen encoder reads every batch anew, in its evaluation mode."""
    pretraining, data = trained(backbone=BACKBONE)
    pretraining.train_epoch()
    evaluation = Linear(lr=0.5, epochs=4, milestones=(2,), batch_size=8)
    scores = evaluation(pretraining.frozen_encoder(), data.train, data.test)
    encoder, generator = pretraining.model.query.encoder.eval(), Draws(0, 0)["probe"]

    def features(part, positions):
        x = torch.from_numpy(part.batch(positions))
        with torch.no_grad():
            return encoder(x, x.ne(0).flatten(1, 3).any(dim=1))

    classifier = Classifier([encoder.dim], 3, generator, "normal", 0.02)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.5, momentum=0.9)
    labels = torch.from_numpy(data.train.labels.copy())
    for epoch in range(1, 5):
        optimizer.param_groups[0]["lr"] = 0.5 if epoch <= 2 else 0.05
        for batch in torch.randperm(len(data.train), generator=generator).split(8):
            loss = F.cross_entropy(classifier([features(data.train, batch.numpy())]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    expected = classifier([features(data.test, np.arange(len(data.test)))]).detach()
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-6)


def test_the_published_settings_of_linear_evaluation():
    """methods.md, 6.2."""
    assert Linear() == Linear(lr=3.0, epochs=100, milestones=(80,), batch_size=128, std=0.02)
    assert Linear(milestones=(30, 80)) in papers.HICLR_DSTA.evaluations
    assert Linear(lr=2.0, epochs=80, milestones=(50, 70), batch_size=1024, std=0.01) in papers.HICO_TRANSFORMER.evaluations


def test_several_streams_are_probed_jointly_on_the_mean_of_their_logits():
    data, both = splits(), FrozenEncoder({"joint": Means(), "bone": Means()}, CPU)
    evaluation = Linear(lr=0.1, epochs=3, milestones=(), batch_size=1000)
    scores = evaluation(both, data.train, data.test)
    generator, labels = Draws(0, 0)["probe"], both.labels(data.train)
    maps = Classifier([60, 60], 3, generator, "normal").maps
    optimizer = torch.optim.SGD(maps.parameters(), lr=0.1, momentum=0.9)

    def logits(part):
        return sum(linear(f) for linear, f in zip(maps, both.by_stream(part), strict=True)) / 2

    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(logits(data.train), labels).backward()
        optimizer.step()
    torch.testing.assert_close(scores, logits(data.test).detach(), rtol=1e-4, atol=1e-5)


def test_a_linear_classifier_separates_what_a_line_separates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    x = x[np.abs(x[:, 0] + 2 * x[:, 1]) > 0.5]
    train = features_as_data(x, (x[:, 0] + 2 * x[:, 1] > 0).astype(int), classes=2)
    scores = Linear()(frozen(Given(2)), train, train)
    assert top_k_accuracy(scores, torch.from_numpy(train.labels.copy())) == 1.0


def test_what_no_line_separates_stays_so():
    x = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (20, 1))
    train = features_as_data(x, np.tile([0, 1, 1, 0], 20), classes=2)
    assert top_k_accuracy(Linear()(frozen(Given(2)), train, train), torch.from_numpy(train.labels.copy())) <= 0.75


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
    assert top_k_accuracy(scores, torch.arange(9)) == 1.0


# Accuracy


def test_top_k_by_hand():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
    labels = torch.tensor([1, 1, 1, 0])
    assert top_k_accuracy(scores, labels) == 0.5
    assert top_k_accuracy(scores, labels, 2) == 0.75
    assert top_k_accuracy(scores, labels, 3) == 1.0
    assert top_k_accuracy(scores, labels, 99) == 1.0


def test_ties_go_to_the_lower_class():
    scores = torch.zeros(4, 3)
    assert top_k_accuracy(scores, torch.tensor([0, 1, 2, 0])) == 0.5
    assert top_k_accuracy(scores, torch.tensor([0, 1, 2, 0]), 2) == 0.75
    many = torch.zeros(1, 400)
    assert [top_k_accuracy(many, torch.tensor([c])) for c in (0, 1, 399)] == [1.0, 0.0, 0.0]


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_accuracy_grows_with_k_and_ends_at_one(samples, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(samples, classes, generator=generator)
    labels = torch.randint(0, classes, (samples,), generator=generator)
    accuracies = [top_k_accuracy(scores, labels, k) for k in range(1, classes + 1)]
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
        (lambda: KNN(metric="l1"), "metric 'l1' is none of cosine, euclidean"),
        (lambda: KNN(layer="head"), "layer 'head' is none of encoder, projector"),
        (lambda: KNN(k=2.5), "k 2.5: a whole number, at least 1, is needed"),
        (lambda: Linear(std=-1.0), "std -1.0: a number, at least 0, is needed"),
        (lambda: Linear(milestones=80), r"milestones 80: a tuple is needed, as in milestones=\(80,\)"),
        (lambda: Linear(epochs=True), "epochs True: a whole number"),
        (lambda: Clustering(classes=1), "classes 1: a whole number, at least 2"),
        (lambda: Clustering(classes="x"), "classes 'x': a whole number"),
        (lambda: Clustering(classes=21), "classes 21: between 2 and the 20"),
        (lambda: Clustering(perplexity=0.0), "perplexity 0.0"),
        (lambda: Linear(selection="best"), "selection 'best' is none of last, released"),
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


@dataclass(frozen=True)
class Tells:
    """An evaluation that classifies nothing."""

    outcome: EvaluationResult
    name: str = "tells"

    def __call__(self, encoder, train, test):
        return self.outcome


def test_outcomes_that_are_no_numbers_have_diverged():
    data = splits()
    nan = float("nan")
    with pytest.raises(Diverged, match="tells has a share that is not a number"):
        measure(Tells(EvaluationResult(metrics={"share": nan})), frozen(), data.train, data.test)
    with pytest.raises(Diverged, match="tells has scores that are not numbers"):
        measure(Tells(EvaluationResult(scores=torch.full((len(data.test), 3), nan))), frozen(), data.train, data.test)


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
