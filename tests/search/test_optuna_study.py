"""A ledger is a study of Optuna's: its states, readings and ids, for all that Optuna can draw; and nobody writes to it."""

import optuna
import pytest
from optuna.trial import TrialState
from test_search import PUBLISHED, SWEEP, drive, read, search

import skelray.search
from skelray.checks import UserError
from skelray.search.optuna_study import AGAIN, storage
from skelray.store.store import Store


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A search that ran through, and the study of its ledger."""
    root = tmp_path_factory.mktemp("study")
    searching = search(Store(root))
    drive(searching)
    failed = searching.samples[5]
    searching.end_sample(failed, "failed")
    return searching, skelray.search.study("s", root)


def test_a_sample_is_a_trial_with_its_state_readings_and_ids(ended):
    searching, study = ended
    states = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    assert [trial.number for trial in study.trials] == list(range(7))
    for trial, sample in zip(study.trials, searching.samples.values(), strict=True):
        assert trial.state == states[sample.status]
        assert trial.params == sample.params
        assert trial.intermediate_values == sample.rungs
        assert trial.user_attrs["trial"] == searching.trial(sample).id("d")
        assert trial.user_attrs["status"] == sample.status
        assert trial.datetime_complete >= trial.datetime_start
    assert study.best_trial.number == searching.best().number
    assert study.best_value == searching.best().value
    assert study.trials[0].params == PUBLISHED
    assert study.metric_names == ["held_out_top1"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Attempting to set identical")
def test_optunas_figures_and_importances_read_it(ended):
    from optuna.visualization import matplotlib as drawn

    _, study = ended
    for plot in (drawn.plot_optimization_history, drawn.plot_intermediate_values, drawn.plot_edf, drawn.plot_timeline):
        assert plot(study) is not None
    assert drawn.plot_slice(study, params=["lambda_h"]) is not None
    assert set(study.trials_dataframe()["state"]) == {"COMPLETE", "PRUNED", "FAIL"}


def test_nobody_writes_to_a_ledger_through_it(ended):
    _, study = ended
    for write in (
        study.ask,
        lambda: study.set_user_attr("a", 1),
        lambda: study.add_trial(optuna.trial.create_trial(value=1.0)),
        lambda: study._storage.set_trial_user_attr(0, "a", 1),
        lambda: study._storage.set_trial_system_attr(0, "a", 1),
        lambda: study._storage.delete_study(0),
        lambda: study._storage.create_new_study([]),
        lambda: study._storage.set_trial_state_values(0, TrialState.FAIL),
    ):
        with pytest.raises(UserError, match="ledger of s"):
            write()


def test_it_follows_a_search_that_goes_on(tmp_path):
    running = search(Store(tmp_path))
    sample = running.propose()
    watched = storage("s", tmp_path)
    assert [trial.state for trial in watched.get_all_trials(0)] == [TrialState.RUNNING]
    read(running, sample, 1, 0.5, {})
    running.propose()
    watched._read -= 2 * AGAIN  # some time later
    found = watched.get_all_trials(0)
    assert [trial.intermediate_values for trial in found] == [{1: 0.5}, {}]


def test_of_several_searches_of_a_name_it_is_the_one_that_ran_last(tmp_path):
    for data in ("old", "new"):
        searching = search(Store(tmp_path), data=data)
        for _ in range(2 if data == "new" else 1):
            searching.end_sample(searching.propose(), "failed")
    assert len(skelray.search.study("s", tmp_path).trials) == 2
    with pytest.raises(UserError, match="has no search of 'other'"):
        skelray.search.study("other", tmp_path)


def test_no_trial_is_made_anew_for_a_sample_that_has_not_changed(tmp_path):
    """So one more proposal costs the same with many samples as with few, but for the sampler's own time."""
    searching = search(Store(tmp_path), SWEEP)
    for _ in range(3):
        searching.end_sample(searching.propose(), "failed")
    first = searching.storage.get_all_trials(0, deepcopy=False)
    read(searching, searching.samples[1], 1, 0.5, {})
    again = searching.storage.get_all_trials(0, deepcopy=False)
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, False, True]
