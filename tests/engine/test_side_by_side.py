"""Trials side by side are each the trial alone, to the last bit, whoever stands beside it."""

from dataclasses import replace

import pytest
import tiny
import torch
from every_method import METHODS, NegativesOnly

from skelray.checks import UserError
from skelray.engine.side_by_side import SideBySide
from skelray.methods import HiCLR, SkeletonCLR
from skelray.training import Pretraining
from skelray.trial import SGD

SPLITS = tiny.splits()
ALONE = (
    replace(tiny.TRIAL, seed=1),
    replace(tiny.TRIAL, seed=2, method=SkeletonCLR(**{**tiny.MOCO, "tau": 0.2}), optimizer=SGD(lr=0.01, milestones=(1,))),
    replace(tiny.TRIAL, seed=3, method=HiCLR(**tiny.MOCO, mining_from=1)),  # another structure, and a stage of its own
)


def training(trial):
    return Pretraining(trial, SPLITS, torch.device("cpu"), static=True)


def engine(trained):
    trained.model.train()
    return trained._engine_or_none()


def test_each_trial_is_the_trial_alone():
    alone = [training(trial) for trial in ALONE]
    together = [training(trial) for trial in ALONE]
    pack = SideBySide([engine(one) for one in together])
    for epoch in (1, 2):
        found = pack.epoch([epoch] * 3)
        assert [one.figures for one in found] == [one.train_epoch().metrics for one in alone]
        assert all(one.finite for one in found)
    for one, other in zip(alone, together, strict=True):
        assert tiny.same_state(one.model.state_dict(), other.model.state_dict())


def test_a_place_is_filled_again_and_the_others_go_on():
    alone, late = training(ALONE[0]), training(ALONE[1])
    beside, joining = training(ALONE[0]), training(ALONE[1])
    pack = SideBySide([engine(beside), engine(training(ALONE[2]))])
    pack.epoch([1, 1])
    pack.replace(1, engine(joining))
    found = pack.epoch([2, 1])
    alone.train_epoch()
    assert [one.figures for one in found] == [alone.train_epoch().metrics, late.train_epoch().metrics]


def test_what_does_not_fit_side_by_side_is_said():
    first = engine(training(ALONE[0]))
    with pytest.raises(UserError, match="equally many steps"):
        SideBySide([first, engine(training(replace(tiny.TRIAL, batch_size=4)))])
    with pytest.raises(UserError, match="trains alone"):
        SideBySide([first, engine(training(replace(tiny.TRIAL, method=NegativesOnly(**tiny.MOCO))))])


def test_streams_of_one_trial_stand_beside_another():
    trial = replace(tiny.TRIAL, method=METHODS["crossclr"], stream="joint+motion")
    alone, together = training(trial), [training(trial), training(ALONE[0])]
    found = SideBySide([engine(one) for one in together]).epoch([1, 1])
    assert found[0].figures == alone.train_epoch().metrics
