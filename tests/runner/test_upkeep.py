"""What a run takes away of its store: ended checkpoints, and more above a budget; its tables stay whole."""

import shutil
import time
from dataclasses import replace

import pytest
from small_study import ABLATION, SWEEP, Heard, assert_same, inline, make_run, study_file, table

from skelray.checks import UserError
from skelray.runner import pruning
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan
from skelray.runner.pruning import Pruning
from skelray.runner.run import Run
from skelray.store.inventory import CHECKPOINTS, ENCODERS, SCORES, inventory, total_size
from skelray.store.store import Store


def kept(path, folder, data, listener=None, **settings):
    """Runs the study with other settings; returns the names of the checkpoints that are left."""
    run, _ = make_run(path, folder, data, epochs=1)
    run = Run(run.name, run.study, run.scale, replace(run.settings, **settings))
    run_inline(run, listener)
    return sorted(one.trial for one in inventory(Store(folder / "store")) if one.kind == CHECKPOINTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, synthetic_data):
    """A study that has run, its folder and its table."""
    folder = tmp_path_factory.mktemp("whole")
    path = study_file(folder, ABLATION)
    return path, folder, inline(path, folder, synthetic_data, epochs=1)


def test_a_trial_that_has_ended_leaves_no_checkpoint_where_none_is_kept(whole, tmp_path, synthetic_data):
    path, _, expected = whole
    assert kept(path, tmp_path, synthetic_data, keep="none") == []
    assert_same(table(tmp_path), expected)
    heard = Heard()
    assert kept(path, tmp_path, synthetic_data, heard) == []
    assert heard.statuses == {}  # everything is there


def test_of_a_search_the_best_keeps_its_checkpoint_and_of_others_none(whole, tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, SWEEP), tmp_path, synthetic_data, epochs=2)
    run = Run(run.name, run.study, run.scale, replace(run.settings, keep="best"))
    run_inline(run)
    left = {one.trial for one in inventory(run.context.store) if one.kind == CHECKPOINTS}
    done = [sample for sample in run.work.search.samples.values() if sample.readings]
    best = max(done, key=lambda sample: sample.value)
    assert left == set(best.trials.values())
    with pytest.raises(UserError, match="--keep best: no trial of this study reads held-out subjects"):
        kept(whole[0], tmp_path, synthetic_data, keep="best")


def test_a_store_that_outgrows_its_budget_loses_checkpoints_first_and_says_what_is_left(
    whole, tmp_path, synthetic_data, caplog
):
    path, folder, expected = whole
    size = total_size(inventory(Store(folder / "store")))
    assert len(kept(path, tmp_path, synthetic_data, disk=int(0.95 * size))) < 2
    assert any(line.startswith("the store outgrew --disk; taken away: checkpoints ") for line in caplog.messages)
    assert_same(table(tmp_path), expected)
    assert kept(path, tmp_path, synthetic_data, disk=1000) == []
    assert any("more than --disk, and nothing more of it may go" in line for line in caplog.messages)
    assert_same(table(tmp_path), expected)
    kinds = {one.kind for one in inventory(Store(tmp_path / "store"))}
    assert {ENCODERS, SCORES} <= kinds  # the table names them


def test_what_is_not_done_keeps_its_checkpoint(tmp_path):
    store = Store(tmp_path)
    trial = store.trial("t")
    trial.save_state({"epoch": 2, "model": {}, "optimizer": {}, "history": [[1, {}, 0.1], [2, {}, 0.1]]})
    assert Pruning().of(store) == []
    trial.save_encoder(1, {"model": {}, "masks": {}})  # a shorter trial's
    assert Pruning().of(store) == []
    trial.save_encoder(2, {"model": {}, "masks": {}})
    with trial.claim(3):
        assert Pruning().of(store) == []
    assert [one.name for one in Pruning().of(store, go=False)] == ["t/checkpoint.pt"]
    assert store.read("t/checkpoint.pt") is not None
    assert [one.name for one in Pruning().of(store)] == ["t/checkpoint.pt"]
    assert store.read("t/checkpoint.pt") is None
    assert trial.last_epoch() == 2


def test_a_checkpoint_stays_that_alone_has_the_mask_values_of_an_encoder(tmp_path):
    store = Store(tmp_path)
    for id, encoder in (("old", {"model": {}}), ("new", {"model": {}, "masks": {}})):
        store.trial(id).save_state({"epoch": 2, "model": {}, "optimizer": {}, "history": [[2, {}, 0.1]]})
        store.trial(id).save_encoder(2, encoder)
    assert [one.name for one in Pruning().of(store, go=False)] == ["new/checkpoint.pt"]
    assert [one.name for one in Pruning().of(store)] == ["new/checkpoint.pt"]
    assert store.read("old/checkpoint.pt") is not None


def test_encoders_go_that_no_table_names_once_they_are_old(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for id in ("named", "nobodys"):
        store.trial(id).save_encoder(2, {"model": {}})
    assert Pruning(named={"named"}).of(store) == []  # a table may be to come
    now = time.time()
    monkeypatch.setattr(pruning.time, "time", lambda: now + 2 * pruning.YOUNG)
    assert [one.name for one in Pruning(named={"named"}).of(store)] == ["nobodys/encoder-2.pt"]


def test_a_plan_says_what_would_be_trained_again(whole, tmp_path, synthetic_data):
    """Of a study that has figures but no encoders any more, and asks for another evaluation."""
    _, folder, _ = whole
    shutil.copytree(folder / "store", tmp_path / "store")
    more = study_file(tmp_path, "    base = replace(base, evaluations=(KNN(), KNN(k=5)))\n" + ABLATION)
    run, _ = make_run(more, tmp_path, synthetic_data, epochs=1)
    assert "again" not in make_plan(run).text()
    for place in (tmp_path / "store").glob("*/*.pt"):
        place.unlink()
    found = make_plan(make_run(more, tmp_path, synthetic_data, epochs=1)[0])
    assert found.epochs == 2
    assert (
        "trained again from the first epoch, since what was trained has been taken away: weak xview seed 0, strong"
        in found.text()
    )
    assert "again" not in make_plan(make_run(more, tmp_path / "fresh", synthetic_data, epochs=1)[0]).text()


def test_streams_are_not_fused_silently_whose_scores_were_pruned(tmp_path, synthetic_data):
    body = """
        from skelray import Ensemble

        study = Ablation(base=replace(base, evaluations=(KNN(),)), across={"stream": ["joint", "bone"]}, %s
                         arms=[Arm("a")], seeds=range(1))
    """
    inline(study_file(tmp_path, body % ""), tmp_path, synthetic_data, epochs=1)
    store = Store(tmp_path / "store")
    gone = Pruning((SCORES,), only={one.trial for one in inventory(store)}).of(store)
    assert len(gone) == 2
    rows = inline(
        study_file(tmp_path, body % 'ensemble=Ensemble({"joint": 1.0, "bone": 1.0}),'), tmp_path, synthetic_data, epochs=1
    )
    assert rows["status"].tolist().count("done") == 4  # of the two streams, top-1 and top-5
    (lost,) = rows.loc[rows["status"] == "failed", "error"]
    assert "the store has no scores of joint any more: a run with another --store makes them again" in lost


def test_the_command_shows_first_and_prunes_when_told(whole, tmp_path, synthetic_data, capsys):
    import shutil

    from skelray.cli.main import cli

    path, folder, expected = whole
    shutil.copytree(folder, tmp_path / "copy")
    where = ["--store", str(tmp_path / "copy" / "store"), "--results", str(tmp_path / "copy" / "results")]
    cli.main(["store", *where], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "| small " in shown
    assert "checkpoints |" in shown
    cli.main(["store", "prune", *where], standalone_mode=False)
    assert "would go: checkpoints 2 (" in capsys.readouterr().out
    cli.main(
        ["store", "prune", "--study", "small", "--kind", "checkpoints", "--kind", "encoders", "--yes", *where],
        standalone_mode=False,
    )
    assert "taken away: checkpoints 2 (" in capsys.readouterr().out
    kinds = {one.kind for one in inventory(Store(tmp_path / "copy" / "store"))}
    assert kinds.isdisjoint({CHECKPOINTS, ENCODERS})
    heard = Heard()
    kept(path, tmp_path / "copy", synthetic_data, heard)
    assert heard.statuses == {}
    assert_same(table(tmp_path / "copy"), expected)
