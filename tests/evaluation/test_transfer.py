"""Transfer to another benchmark."""

from dataclasses import replace

import pytest
import torch
from frozen_encoders import CPU, Means, frozen
from tiny import dataset, splits

from skelray.data import DataError
from skelray.evaluation import (
    KNN,
    Clustering,
    Finetune,
    FrozenEncoder,
    Linear,
    Retrieval,
    Transfer,
    measure,
)
from skelray.identity.canonical import canonical
from skelray.names import shared_subjects
from skelray.skeleton import KINECT_V2

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
