"""Streams that were trained together, evaluated apart and fused by weight."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import MOCO, TRIAL, splits

from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Apart, Clustering, Finetune, HeldOut, Linear, Supervised, distinct_names, measure
from skelray.identity.canonical import canonical
from skelray.methods import CrosSCLR
from skelray.training import Pretraining

WEIGHTS = Ensemble({"joint": 0.6, "bone": 0.6, "motion": 0.4})


@pytest.fixture(scope="module")
def frozen():
    trial = replace(TRIAL, method=CrosSCLR(**MOCO), stream="joint+motion+bone")
    return Pretraining(trial, splits(), torch.device("cpu")).frozen_encoder()


@pytest.mark.parametrize("evaluation", [KNN(), Linear(epochs=3), Finetune(epochs=1), Supervised(epochs=1)], ids=str)
def test_streams_apart_are_the_ensemble_of_each_evaluated_alone(frozen, evaluation):
    data = splits()
    fused = measure(Apart(evaluation, WEIGHTS), frozen, data.train, data.test)
    alone = {}
    for stream in WEIGHTS.weights:
        one = frozen.single_stream(stream)
        assert list(one.encoders) == [stream]
        alone[stream] = measure(evaluation, one, data.train, data.test).scores.numpy()
    assert np.allclose(fused.scores.numpy(), WEIGHTS(alone))
    assert set(fused.metrics) == {"top1", "top5"}


def test_a_probe_of_streams_together_is_another(frozen):
    data = splits()
    together, apart = (
        measure(e, frozen, data.train, data.test).scores for e in (Linear(epochs=3), Apart(Linear(epochs=3), WEIGHTS))
    )
    assert not torch.allclose(together.double(), apart.double())


def test_features_are_extracted_once_for_all_streams(frozen, monkeypatch):
    data, calls = splits(), []
    batches = type(frozen).batches
    monkeypatch.setattr(type(frozen), "batches", lambda self, data: calls.append(self) or batches(self, data))
    Apart(KNN(), WEIGHTS)(frozen, data.train, data.test)
    assert calls == [frozen, frozen]  # training and test set


def test_it_has_a_canonical_form_and_comes_back_from_it():
    trial = replace(TRIAL, evaluations=(Apart(Linear(), WEIGHTS),))
    form = json.loads(json.dumps(canonical(trial)))["evaluations"][0]
    assert form["weights"] == [["joint", 0.6], ["bone", 0.6], ["motion", 0.4]]
    assert Apart(Linear(), WEIGHTS) == Apart(Linear(), tuple(map(tuple, form["weights"])))
    assert trial.id("d") == replace(trial, evaluations=()).id("d")


def test_it_is_called_and_counted_as_what_it_asks():
    apart = Apart(Finetune(), WEIGHTS)
    assert (apart.name, apart.trained(100)) == ("finetune", Finetune().trained(100))
    assert apart.small().evaluation == Finetune().small()
    assert len(set(distinct_names((Linear(), Apart(Linear(), WEIGHTS))))) == 2


@pytest.mark.parametrize("evaluation", [Clustering(), HeldOut(KNN())], ids=str)
def test_what_has_no_scores_is_refused(evaluation):
    with pytest.raises(UserError, match="cannot be fused"):
        Apart(evaluation, WEIGHTS)


def test_a_stream_that_the_trial_lacks_is_named(frozen):
    data = splits()
    with pytest.raises(UserError, match="stream 'bone' is fused, and the trial has joint"):
        Apart(KNN(), WEIGHTS)(frozen.single_stream("joint"), data.train, data.test)
