"""Linear classifiers on frozen features."""

import itertools

import numpy as np
import pytest
import torch
from frozen_encoders import CPU, Given, Means, features_as_data, frozen, trained
from tiny import BACKBONE, splits
from torch.nn import functional as F

from skelray import papers
from skelray.augment import Draws
from skelray.evaluation import (
    FrozenEncoder,
    Linear,
    top_k_accuracy,
)
from skelray.evaluation.classifier import Classifier

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
