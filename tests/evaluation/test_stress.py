"""Corrupted test sequences, few shots, probe grids and calibration."""

import numpy as np
import pytest
import torch
from tiny import TRIAL, dataset, splits

from skelray.checks import UserError
from skelray.evaluation import (
    KNN,
    Clustering,
    Corrupted,
    FewShot,
    HeldOut,
    Linear,
    ProbeGrid,
    Transfer,
    distinct_names,
    measure,
)
from skelray.evaluation.corrupted import KINDS, SEVERITIES, corrupted
from skelray.results.calibration import Calibration, probabilities
from skelray.results.scores import Scores
from skelray.training import Pretraining


@pytest.fixture(scope="module")
def parts():
    return splits(samples=60)


@pytest.fixture(scope="module")
def frozen(parts):
    return Pretraining(TRIAL, parts, torch.device("cpu")).frozen_encoder(None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_grows_with_its_severity_and_is_the_same_for_everyone(kind):
    data = dataset(samples=12)
    clean = data.batch(range(12))
    away = []
    for severity in SEVERITIES:
        bad = corrupted(data, kind, (severity,))
        x = bad.batch(range(12))
        assert x.shape == clean.shape
        assert np.array_equal(x, corrupted(data, kind, (severity,)).batch(range(12)))
        assert np.array_equal(x[3:5], corrupted(data.subset([3, 4]), kind, (severity,)).batch(range(2)))
        assert not x[..., 1].any()  # nobody appears who is not there
        away.append(np.abs(x - clean).mean())
    assert away[0] > 0
    assert away[-1] > away[0]
    assert np.array_equal(data.batch(range(12)), clean)  # what is prepared stays as it is


def test_corruptions_by_what_they_are():
    data = dataset(samples=6, frames=20)
    hidden = corrupted(data, "joints", (5,)).batch(range(6))[..., 0]
    assert ((hidden == 0).all(axis=(1, 2)).sum(axis=1) == 10).all()  # half of 20 joints
    clean, turned = data.batch(range(6))[..., 0], corrupted(data, "rotation", (3,)).batch(range(6))[..., 0]
    assert np.linalg.norm(turned, axis=1) == pytest.approx(np.linalg.norm(clean, axis=1), abs=1e-5)
    assert np.array_equal(turned[:, 1], clean[:, 1])
    held = corrupted(data, "frames", (5,)).batch(range(6))[..., 0]
    repeated = (held[:, :, 1:] == held[:, :, :-1]).all(axis=(1, 3)).sum(axis=1)
    assert (repeated >= 9).all()


def test_the_mean_over_severities_is_that_of_each(frozen, parts):
    whole = measure(Corrupted("joints", None, KNN()), frozen, parts.train, parts.test)
    each = [
        measure(Corrupted("joints", severity, KNN()), frozen, parts.train, parts.test).metrics["top1"]
        for severity in SEVERITIES
    ]
    assert [whole.metrics[f"severity {severity}"] for severity in SEVERITIES] == pytest.approx(each)
    assert whole.metrics["top1"] == pytest.approx(np.mean(each))
    assert whole.scores is None
    one = measure(Corrupted("jitter", 2, Linear(epochs=2)), frozen, parts.train, parts.test)
    assert one.test is parts.test
    assert one.scores.shape == (len(parts.test), 3)


def test_only_what_classifies_test_sequences_is_corrupted():
    for wrong in (Clustering(), HeldOut(KNN()), Transfer("tiny", "xsub", KNN())):
        with pytest.raises(UserError, match="is not corrupted"):
            Corrupted("joints", 1, wrong)
    with pytest.raises(UserError, match="kind 'fog'"):
        Corrupted("fog", 1, KNN())
    with pytest.raises(UserError, match="severity 6"):
        Corrupted("joints", 6, KNN())


def test_few_shots_are_drawn_by_the_seed_and_right_where_classes_lie_apart(frozen, parts):
    found = measure(FewShot(ways=3, shots=2, tasks=20), frozen, parts.train, parts.test)
    assert found.metrics["top1"] > 0.5
    assert list(found.metrics) == ["top1"]
    again = measure(FewShot(ways=3, shots=2, tasks=20), frozen, parts.train, parts.test)
    assert np.array_equal(found.arrays["tasks"], again.arrays["tasks"])
    with pytest.raises(UserError, match="only 3 classes"):
        FewShot(ways=4)(frozen, parts.train, parts.test)


def test_the_honest_probe_is_chosen_without_the_test_split(frozen, parts):
    grid = ProbeGrid(rates=(1e-6, 0.1, 3.0), epochs=(3, 6))
    found = measure(grid, frozen, parts.train, parts.test)
    held, last, best = found.arrays["grid"].T
    honest = int(np.argmax(held))
    assert found.metrics["top1"] == pytest.approx(last[honest])
    assert found.metrics["first"] == last[0]
    assert found.metrics["best_on_test"] == max(last) <= found.metrics["best_epoch"] == max(best)
    alone = Linear(
        lr=grid.probes[honest][2].lr, epochs=grid.probes[honest][2].epochs, milestones=grid.probes[honest][2].milestones
    )
    assert torch.equal(measure(alone, frozen, parts.train, parts.test).scores, found.scores)
    hidden = splits(samples=60).test
    hidden.samples["label"] = (hidden.samples["label"] + 1) % 3
    other = measure(grid, frozen, parts.train, hidden)
    assert np.array_equal(other.arrays["grid"][:, 0], held)  # other test labels choose the same probe


def test_a_grid_refuses_what_no_encoder_has(frozen, parts):
    with pytest.raises(UserError, match="which this backbone does not have"):
        ProbeGrid(poolings=("max",), epochs=(1,))(frozen, parts.train, parts.test)
    with pytest.raises(UserError, match="leave the projector out"):
        ProbeGrid(poolings=("max",), layers=("projector",))
    with pytest.raises(UserError, match="rates"):
        ProbeGrid(rates=())
    assert distinct_names((ProbeGrid(), ProbeGrid(epochs=(50,)))) == ["probes epochs=100", "probes epochs=50"]


def scored(scores, labels, votes=False):
    return Scores(np.asarray(scores, float), np.asarray(labels), ("a", "b"), np.arange(len(labels)), votes)


def test_calibration_by_hand():
    votes = scored([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 1, 1, 1], votes=True)
    assert Calibration(bins=10)(votes) == pytest.approx((2 * abs(0.5 - 0.9) + abs(1 - 0.6) + abs(1 - 0.8)) / 4)
    assert Calibration(bins=1)(votes) == pytest.approx(abs(0.75 - 0.8))
    assert probabilities(np.array([[-1.0, -1.0]])).tolist() == [[0.5, 0.5]]
    table = Calibration(bins=10).bins_table(votes)
    assert table["samples"].sum() == 4


def test_logits_are_no_votes_whatever_their_sign():
    logits = np.array([[1.0, 3.0], [0.0, 0.0]])
    assert np.allclose(probabilities(logits), probabilities(logits - 10))
    assert probabilities(logits[:1], votes=True).tolist() == [[0.25, 0.75]]
    for wrong in (logits - 1, logits):  # one below 0, a sample without any
        with pytest.raises(UserError, match="votes are at least 0, and some for each sample"):
            probabilities(wrong, votes=True)


def test_sure_and_right_as_often_is_calibrated():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    labels = (rng.uniform(size=len(p)) > p).astype(int)  # right with the probability that is said
    logits = np.log(np.stack([p, 1 - p], axis=1))
    assert Calibration()(scored(logits, labels)) < 0.02
    assert Calibration()(scored(4 * logits, labels)) > 0.1
