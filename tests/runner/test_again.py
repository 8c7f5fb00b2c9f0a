"""The trial of a row is run again from nothing: the same numbers, or what is otherwise."""

import shutil
from contextlib import nullcontext
from dataclasses import replace

import pytest
from small_study import ABLATION, SWEEP, inline, study_file

from skelray.checks import UserError
from skelray.results.tables import curves, load, write_table
from skelray.runner.again import find_trial, settings_of_row, train_again
from skelray.runner.context import Settings
from skelray.runner.job import Listener

OWN = """
    @dataclass(frozen=True)
    class Halved:
        def __call__(self, view):
            return view.with_x(view.x * 0.5)
    study = Ablation(base=base, arms=[Arm("halved", {"arrangement": (AugmentationSet("Halved", (Halved(),)),)})])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, synthetic_data):
    """A finished study's folder and the settings that find it."""
    folder = tmp_path_factory.mktemp("again")
    inline(study_file(folder, ABLATION), folder, synthetic_data, epochs=2)
    return folder, Settings(synthetic_data, str(folder / "store"), folder / "results", device="cpu")


def quiet(run):
    return nullcontext(Listener())


def test_the_numbers_of_a_row_come_back_to_the_last_digit(made):
    folder, settings = made
    row = load("small", folder / "results").iloc[0]
    found = find_trial(row["trial"][:8], settings)
    assert (found.id, found.arm, found.differences) == (row["trial"], row["arm"], [])
    numbers = train_again(found, settings, quiet)
    assert len(numbers) == 4  # top-1 and top-5 of two evaluations
    assert numbers["same"].all()


def test_a_number_that_is_not_so_is_told(made, tmp_path):
    folder, settings = made
    rows = load("small", folder / "results").to_dict("records")
    wrong = next(row for row in rows if row["evaluation"] == "knn" and row["metric"] == "top1")
    wrong["value"] += 0.01
    write_table("small", rows, curves("small", folder / "results").to_dict("records"), tmp_path)
    settings = replace(settings, results=tmp_path)
    numbers = train_again(find_trial(wrong["trial"], settings), settings, quiet)
    assert list(numbers.loc[~numbers["same"], "evaluation"]) == ["knn"]


def test_what_is_otherwise_here_is_said_first(made, tmp_path):
    folder, settings = made
    rows = load("small", folder / "results").assign(commit="0123456789ab", device="NVIDIA H200").to_dict("records")
    write_table("small", rows, [], tmp_path)
    settings = replace(settings, results=tmp_path)
    told = find_trial(rows[0]["trial"], settings).differences
    assert [line.partition(":")[0] for line in told] == ["commit", "device"]


def test_other_data_is_refused(made, tmp_path):
    folder, settings = made
    write_table("small", load("small", folder / "results").assign(data="f" * 64).to_dict("records"), [], tmp_path)
    id = load("small", tmp_path)["trial"].iloc[0]
    with pytest.raises(UserError, match=r"fingerprint ffffffffffff, and that in .* other data gives another number"):
        find_trial(id, replace(settings, results=tmp_path))


def test_no_trial_and_several_are_one_sentence_each(made):
    _, settings = made
    with pytest.raises(UserError, match=r"no row in .* is of a trial 'zz' that is done"):
        find_trial("zz", settings)
    with pytest.raises(UserError, match="'' begins the ids of 2 trials"):
        find_trial("", settings)


def test_a_sample_of_a_search_has_nothing_to_run_again(tmp_path, synthetic_data):
    inline(study_file(tmp_path, SWEEP), tmp_path, synthetic_data, samples=1, epochs=1)
    rows = load("small", tmp_path / "results")
    settings = Settings(synthetic_data, str(tmp_path / "store"), tmp_path / "results", device="cpu")
    with pytest.raises(UserError, match="was read while a search trained it"):
        find_trial(rows.loc[rows["metric"] == "held_out_top1", "trial"].iloc[0], settings)


def test_a_cpus_row_brings_its_threads(made):
    folder, settings = made
    id = load("small", folder / "results")["trial"].iloc[0]
    assert settings_of_row(id, replace(settings, device=None, threads=2)) == replace(settings, device="cpu", threads=1)


def test_an_augmentation_of_ones_own_needs_its_file(tmp_path, synthetic_data):
    from skelray.runner.study_file import load_study

    path = study_file(tmp_path, OWN)
    id = inline(path, tmp_path, synthetic_data, epochs=1)["trial"].iloc[0]
    settings = Settings(synthetic_data, str(tmp_path / "store"), tmp_path / "results", device="cpu")
    with pytest.raises(UserError, match=r"'Halved'.*name the study file"):
        find_trial(id, settings)
    shutil.rmtree(tmp_path / "store")
    found = find_trial(id, settings, load_study(path)[2])
    assert train_again(found, settings, quiet)["same"].all()
