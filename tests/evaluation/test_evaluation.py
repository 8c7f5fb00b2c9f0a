"""Evaluations: a contract for every one, neighbours and classifiers by hand, and what a frozen encoder promises."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from frozen_encoders import CPU, EVALUATIONS, Centroid, Given, Means, every, features_as_data, frozen, relabelled, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, MOCO, TRIAL, dataset, same_state, splits
from torch import nn
from torch.nn import functional as F

from skelray.augment import to_stream
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
from skelray.methods import SkeletonCLR
from skelray.training import Pretraining

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
