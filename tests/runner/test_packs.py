"""Runs whose trials train in packs: the tables of trials alone, through kills, refilled lanes and failures."""

import os
import signal
from contextlib import ExitStack
from dataclasses import replace

import pandas as pd
import pytest
import torch
from double_precision import double_precision
from small_study import Heard, assert_same, curves, make_run, study_file, table

from skelray.engine import lane_rate
from skelray.engine.lane_step import LaneStep
from skelray.engine.pack import Pack
from skelray.engine.runners import Stepwise
from skelray.runner import ending
from skelray.runner.decisions import Decisions
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.packing import Packing
from skelray.store.store import Store
from skelray.training import Pretraining

STUDY = """
    from skelray import SkeletonCLR
    from tiny import Small
    base = replace(papers.SKELETONCLR, backbone=Small(dropout=0.0), method=SkeletonCLR(), evaluations=(KNN(k=3),))
    base = replace(base, optimizer=replace(base.optimizer, lr=2**-8))
"""
ABLATION = (
    STUDY
    + """
    study = Ablation(base=base, seeds=range(2), arms=[Arm("warm", {"tau": 0.2}), Arm("cold", {"tau": 0.07}),
                                                      Arm("bone", {"stream": "bone"})])
"""
)
SWEEP = (
    STUDY
    + """
    def space(trial):
        return replace(base, method=SkeletonCLR(tau=trial.suggest_float("tau", 0.03, 0.3, log=True)))
    study = Sweep(space=space, published={"tau": 0.07}, samples=7, sampler=TPE(seed=0, startup=3),
                  stopping=ASHA(grace=100, reduction=2))
"""
)
SMALL = (("batch_size", 32), ("frames", 8), ("queue", 32), ("dim", 8), ("m", 0.9))


@pytest.fixture(autouse=True)
def in_double_precision(monkeypatch):
    """So that trials in a pack differ from trials alone by nothing that training could raise above rounding."""
    double_precision(monkeypatch)


def ran(folder, data, lanes, body=ABLATION, heard=None, **scale):
    run, _ = make_run(study_file(folder, body), folder, data, changes=SMALL, **scale)
    run.settings = replace(run.settings, lanes=lanes)
    run_inline(run, heard)
    return table(folder), curves(folder)


@pytest.fixture
def packs(monkeypatch):
    """The numbers of lanes that trained together in each epoch of a pack."""
    train, seen = Pack.train, []
    monkeypatch.setattr(Pack, "train", lambda pack, due: seen.append(len(due)) or train(pack, due))
    return seen


def same(one, other):
    """Two runs' tables and curves, the numbers to 1e-9."""
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, synthetic_data):
    """The tables of the ablation whose trials each train alone, by a static step."""
    with pytest.MonkeyPatch.context() as patch:
        double_precision(patch)
        return ran(tmp_path_factory.mktemp("alone"), synthetic_data, 1, seeds=(0, 1))


def test_the_table_of_packs_is_that_of_trials_alone(tmp_path, synthetic_data, alone, packs):
    """Where more trials are alike than there are lanes, and others are not alike: no lane stands empty."""
    same(ran(tmp_path, synthetic_data, 3, seeds=(0, 1)), alone)
    assert set(alone[0]["status"]) == {"done"}
    assert packs == [2] * 9
    assert not list((tmp_path / "store" / "packs").iterdir())


def killed(work, write):
    """In a fork: works and kills itself with SIGKILL at the store's n-th write; whether it came to that."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        whole, count = Store.write, [0]

        def counted(store, name, content):
            count[0] += 1
            if count[0] == write:
                os.kill(os.getpid(), signal.SIGKILL)
            whole(store, name, content)

        Store.write = counted
        work()
    finally:
        os._exit(0)


@pytest.mark.slow
def test_a_killed_pack_goes_on_to_the_last_bit(tmp_path, synthetic_data, packs):
    """Each from its own checkpoint, in the lane that it had: in another it would be the same to rounding alone."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    expected = ran(whole, synthetic_data, 3, seeds=(0, 1))
    kills = sum(killed(lambda: ran(cut, synthetic_data, 3, seeds=(0, 1)), write) for write in (15, 9, 22, 12))
    found = ran(cut, synthetic_data, 3, seeds=(0, 1))
    for a, b in zip(expected, found, strict=True):
        assert_same(a, b)
    assert kills == 4


@pytest.mark.slow
def test_a_failing_lane_costs_itself_alone(tmp_path, synthetic_data, alone, packs):
    """Its lane is filled again at once by the next trial, while the others are within theirs."""
    body = ABLATION.replace('Arm("bone", {"stream": "bone"})', 'Arm("wild", {"lr": 1e300})')
    heard = Heard()
    rows, _ = ran(tmp_path, synthetic_data, 2, body, heard, seeds=(0, 1))
    failed = rows[rows["arm"] == "wild"]
    assert set(failed["status"]) == {"failed"}
    assert failed["error"].str.startswith("diverged").all()
    others, expected = (frame[frame["arm"].isin(["warm", "cold"])] for frame in (rows, alone[0]))
    pd.testing.assert_frame_equal(others.reset_index(drop=True), expected.reset_index(drop=True), rtol=1e-9)
    assert packs.count(2) > 3


@pytest.mark.slow
def test_a_search_is_told_of_each_lane_and_stops_it_alone(tmp_path, synthetic_data, packs):
    """By readings of each lane's monitor; the next sample takes its lane."""
    folders = {lanes: tmp_path / str(lanes) for lanes in (1, 3)}
    for lanes, folder in folders.items():
        folder.mkdir()
        ran(folder, synthetic_data, lanes, SWEEP, samples=7, ordered=4)
    same(*((table(folder), curves(folder)) for folder in folders.values()))
    assert "stopped" in set(table(folders[3])["status"])
    assert packs.count(3) > 3


@pytest.mark.slow
def test_a_trial_of_another_process_keeps_no_lane_waiting(tmp_path, synthetic_data, alone, caplog):
    """It begins when the other has let go of it, and not before."""
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, changes=SMALL, seeds=(0, 1))
    run.settings = replace(run.settings, lanes=2)
    job = next(job for job in run.work.missing() if job.name == "cold xview seed 0")
    ended = []
    with ExitStack() as other:
        other.enter_context(job.stored.claim(job.trial.epochs))

        class Releasing(Listener):
            def ended(self, job, status):
                ended.append(job.name)
                if len(ended) == 2:
                    other.close()

        run_inline(run, Releasing())
    assert job.name not in ended[:2]
    assert len(ended) == 6
    assert f"{job.name} comes later: " in caplog.text
    same((table(tmp_path), curves(tmp_path)), alone)


def test_as_many_lanes_are_taken_as_gain_and_a_run_that_goes_on_has_the_same(tmp_path, synthetic_data, monkeypatch):
    """Eight lanes bring less than a tenth more than four. Measured once, and again where the ceiling was lower."""
    seconds, asked = {1: 1.0, 2: 1.2, 3: 1.3, 4: 1.5, 8: 2.8, 16: 5.0}, []
    monkeypatch.setattr(lane_rate, "_seconds", lambda lanes, *given: asked.append(lanes) or seconds[lanes])
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, changes=SMALL)
    trial = next(iter(run.work.missing())).trial
    training = Pretraining(trial, run.context.splits(trial), torch.device("cpu"))

    def lanes(most, alike=100):
        packing = Packing(torch.device("cpu"), most, tmp_path / "results", decisions(tmp_path / "another"), lambda _: alike)
        packing.measures = True
        packing.open(packing.structure_of(trial, "data"))
        asked.clear()
        packing.join(training)
        training.leave()
        packing.decisions.forget()
        return packing.lanes if packing.pack is None else packing.pack.size, list(asked)

    assert lanes(64, alike=1) == (1, [])
    assert lanes(3, alike=2) == (2, [1, 2])
    assert lanes(3) == (3, [1, 2, 3])
    assert lanes(64) == (4, [1, 2, 4, 8])
    assert lanes(64) == (4, [])
    assert lanes(2) == (2, [])
    assert lanes(64, alike=5) == (3, [])


@pytest.mark.parametrize("content", [[1], {"rates": 1}, {"lanes": "4"}, {"lanes": 9}])
def test_a_decision_that_is_none_is_made_again(tmp_path, content):
    found = decisions(tmp_path)
    found.keep("structure", 4)
    (name,) = found.store.names("packs")
    found.store.write_json(f"packs/{name}", content)
    assert decisions(tmp_path).lanes("structure", 8) is None


def decisions(folder):
    return Decisions(Store(str(folder)), "small", torch.device("cpu"))


def test_what_a_run_has_decided_holds_until_it_has_ended(tmp_path, synthetic_data, monkeypatch):
    """Also where memory was short; one that goes on makes packs as large, however few of its trials are left."""
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, changes=SMALL)
    trial = next(iter(run.work.missing())).trial
    training = Pretraining(trial, run.context.splits(trial), torch.device("cpu"))
    makes, short = Pack.__init__, [8]

    def scarce(pack, lanes, *given):
        if lanes >= short[0]:
            raise torch.OutOfMemoryError
        makes(pack, lanes, *given)

    monkeypatch.setattr(Pack, "__init__", scarce)

    def lanes(alike, most=8, over=False):
        packing = Packing(torch.device("cpu"), most, None, decisions(tmp_path / "store"), lambda _: alike)
        packing.open(packing.structure_of(trial, "data"))
        packing.join(training)
        training.leave()
        if over:
            packing.decisions.forget()
        return 1 if packing.pack is None else packing.pack.size

    assert lanes(8) == 4
    short[0] = 100
    assert lanes(1) == 4
    assert lanes(8, most=2) == 2
    assert lanes(1, over=True) == 2
    assert lanes(8) == 8


def test_nobody_who_does_not_ask_gets_a_pack(tmp_path):
    """On a card, too: a pack pays for lanes that stand empty."""
    for most, plain in ((None, True), (1, True), (2, False)):
        packing = Packing(torch.device("cpu"), most, None, decisions(tmp_path), lambda _: 100)
        packing.measures = True
        assert packing.plain == plain


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_keeps_every_epoch_of_every_lane(tmp_path, synthetic_data, monkeypatch, alone, packs):
    """Also those since the last checkpoint: it ends when each lane has taken what was trained of it."""

    def check():
        if len(packs) == 2:
            raise ending.Terminated

    with monkeypatch.context() as patch:
        patch.setattr(ending, "raise_if_asked_to_end", check)
        with pytest.raises(ending.Terminated):
            ran(tmp_path, synthetic_data, 3, seeds=(0, 1))
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, changes=SMALL, seeds=(0, 1))
    reached = [job.stored.last_epoch() for job in run.work.missing()]
    assert sorted(reached) == [0, 0, 0, 0, 2, 2]
    heard = Heard()
    same(ran(tmp_path, synthetic_data, 3, heard=heard, seeds=(0, 1)), alone)
    assert len(heard.trained) == 6 * 3 - 2 * 2


BREAKS = {
    "at first": (RuntimeError, 1, 1),
    "within an epoch": (RuntimeError, 2, 1),
    "memory": (torch.OutOfMemoryError, 2, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize(("error", "at", "lanes"), BREAKS.values(), ids=BREAKS)
def test_a_pack_that_breaks_costs_nobody_more_than_an_epoch(
    tmp_path, synthetic_data, alone, monkeypatch, caplog, packs, error, at, lanes
):
    """Nothing of the epoch that was cut is kept; its trials go on alone, or in fewer lanes where memory was short."""
    run, count = Stepwise.run, [0]

    def breaking(runner, steps):
        count[0] += isinstance(runner.step, LaneStep)
        run(runner, 1 if count[0] == at else steps)
        if count[0] == at:
            count[0] += 1
            raise error("no kernel for it")

    monkeypatch.setattr(Stepwise, "run", breaking)
    same(ran(tmp_path, synthetic_data, 4, seeds=(0, 1)), alone)
    assert f"they go on in packs of {lanes}" in caplog.text
    assert packs.count(4) == at
