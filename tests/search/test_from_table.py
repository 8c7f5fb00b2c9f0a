"""A sweep as its table tells it: samples, studies at each rung, importances."""

import json

import optuna
import pytest
from sweeps import CENTRES, RUNGS, accuracy, rows

from skelray.search.from_table import (
    conditional_parameters,
    importance,
    optuna_study_from_samples,
    read_epochs,
    samples_from_rows,
)
from skelray.search.ranges import ranges


@pytest.fixture(scope="module")
def told():
    return samples_from_rows(rows())


def test_samples_are_as_their_rows_tell(told):
    assert [sample.number for sample in told] == list(range(24))
    first, second, failed = told[0], told[1], told[5]
    assert (first.arm, first.status, first.trained, first.epochs) == ("published", "done", 100, 100)
    assert (second.status, second.trained, list(second.readings)) == ("stopped", 25, [25])
    assert (failed.status, failed.trained, list(failed.readings)) == ("failed", 25, [25])
    assert first.value == accuracy(first.params, 100)
    assert first.seconds == 3600.0
    assert read_epochs(told) == list(RUNGS)


def test_a_samples_seeds_are_one_reading_and_one_that_stops_stops_all():
    base = rows()[0]
    two = [
        {**base, "trial": "a", "epoch": 25, "value": 0.2},
        {**base, "trial": "b", "epoch": 25, "value": 0.4},
        {**base, "trial": "a", "epoch": 75, "value": 0.3, "status": "stopped"},
    ]
    (sample,) = samples_from_rows(two)
    assert sample.readings == pytest.approx({25: 0.3, 75: 0.3})
    assert (sample.status, sample.trained, sample.seeds) == ("stopped", 100, 2)


def test_a_study_at_a_rung_has_every_sample_that_came_there(told):
    for rung in RUNGS:
        made = optuna_study_from_samples(told, rung)
        there = [sample for sample in told if rung in sample.readings]
        assert [trial.value for trial in made.trials] == [sample.readings[rung] for sample in there]
        assert {trial.state for trial in made.trials} == {optuna.trial.TrialState.COMPLETE}
    states = [trial.state.name for trial in optuna_study_from_samples(told).trials]
    assert states[:3] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert states[5] == "FAIL"


def test_what_decides_is_what_is_called_important():
    """Of 60 samples at each rung tau alone decides; a parameter that only some have is marked."""
    many = samples_from_rows(rows(samples=60))
    for rung in RUNGS:
        shares = importance(many, rung)
        assert max(shares, key=shares.get) == "tau"
        assert sum(shares.values()) == pytest.approx(1)
    assert conditional_parameters(many) == {f"lambda_h_{name}" for name in CENTRES}


def test_a_rung_with_few_samples_says_nothing(told):
    assert importance(told[:9], 25) is None
    assert importance(told, 100) is None  # 8 came there
    assert importance(told, 25) is not None


def test_ranges_are_those_of_the_space(told):
    found = ranges(told)
    assert found["similarity"].choices == ("kl", "cosine")
    assert (found["tau"].low, found["tau"].high, found["tau"].log) == (0.03, 0.3, True)
    assert found["tau"].fraction(0.03) == 0
    assert found["tau"].fraction(0.3) == 1
    assert found["tau"].fraction(0.03 * 10**0.5) == pytest.approx(0.5)
    assert found["lambda_h_kl"].fraction(float("nan")) != found["lambda_h_kl"].fraction(float("nan"))


def test_a_table_of_an_older_version_is_read_without_what_it_lacks():
    """Before distributions were kept: no importance, and ranges of what is there."""
    old = [{**row, "spec": json.dumps({})} for row in rows()]
    told = samples_from_rows(old)
    assert importance(told, 25) is None
    assert ranges(told)["similarity"].choices is not None
    assert not ranges(told)["tau"].log
    assert len(optuna_study_from_samples(told, 25).trials) == 24
