"""Sweeps run whole: rules that pause, seeds, races, and finals across streams, inline and on Ray."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from small_study import Heard, assert_same, make_run, study_file, table
from surrogate import make_run as surrogate_run
from surrogate import surrogate
from test_ray import on_ray

import skelray.runner.inline as inline_runner
from skelray import KNN, TPE, HeldOut
from skelray.identity.canonical import canonical
from skelray.results.verdicts import verdicts_of_frame
from skelray.runner import active_jobs
from skelray.runner.inline import run_inline
from skelray.runner.race import Standing, race_standing
from skelray.runner.sweep import SweepWork
from skelray.search.sample import Sample, sample_from
from skelray.store.store import evaluated
from skelray.study.racing import Racing

SPACE = """
    from skelray import Racing, Ensemble, NSGAII, HyperBand
    def space(trial):
        method = HiCLR(arrangement=(BA, NA), lambda_h=trial.suggest_float("lambda_h", 0.05, 5.0, log=True))
        return replace(base, method=method, evaluations=(KNN(),))
"""
PROMOTED = (
    SPACE
    + """
    study = Sweep(space=space, published={"lambda_h": 0.5}, samples=6, sampler=TPE(startup=3),
                  stopping=ASHA(grace=100, reduction=2, promotion=True))
"""
)
WHOLE = (
    SPACE
    + """
    study = Sweep(space=space, published={"lambda_h": 0.5}, samples=3, sampler=TPE(startup=3), seeds=range(2),
                  stopping=ASHA(grace=100, reduction=2), racing=Racing(best=2, seeds=3, margin=0.0),
                  across={"stream": ["joint", "bone"]}, ensemble=Ensemble({"joint": 0.6, "bone": 0.4}))
"""
)


def samples(rows):
    """The last row of each sample: one of every reading is there."""
    read = rows[rows["metric"] == "held_out_top1"]
    return read.loc[read.groupby("trial", sort=False)["epoch"].idxmax()]


def promoted(rows):
    """How the samples of a rule that pauses have ended."""
    found = samples(rows)
    assert len(found) == 6
    assert set(found["status"]) == {"done", "stopped"}
    assert set(found.loc[found["status"] == "stopped", "epoch"]) <= {1, 2}
    assert (found.loc[found["status"] == "done", "epoch"] == 3).all()
    others = found[found["arm"] != "published"]
    assert 1 <= (others["epoch"] > 1).sum() <= 3  # of six at the first rung, half at most are promoted, and the published
    return found


def test_a_paused_sample_goes_on_from_its_checkpoint_inline(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, PROMOTED), tmp_path, synthetic_data, samples=6)
    heard = Heard()
    run_inline(run, heard)
    found = promoted(table(tmp_path))
    assert len(heard.trained) == len(set(heard.trained)) == found["epoch"].sum()  # no epoch twice
    again, _ = make_run(study_file(tmp_path, PROMOTED), tmp_path, synthetic_data, samples=6)
    heard = Heard()
    run_inline(again, heard)
    assert heard.statuses == {}
    assert_same(promoted(table(tmp_path)), found)


@pytest.mark.ray
def test_a_paused_sample_goes_on_from_its_checkpoint_on_ray(cluster, tmp_path, synthetic_data):
    rows, heard = on_ray(cluster, study_file(tmp_path, PROMOTED), tmp_path, synthetic_data, samples=6)
    found = promoted(rows)
    assert len(set(heard.trained)) == found["epoch"].sum()


def test_seeds_a_race_and_finals_across_streams(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, WHOLE), tmp_path, synthetic_data, epochs=1, samples=3, seeds=None)
    run_inline(run)
    rows = table(tmp_path)
    own = samples(rows)
    assert own.groupby("arm")["seed"].agg(set).map(len).tolist() >= [2, 2, 2]
    raced = {arm for arm, seeds in own.groupby("arm")["seed"] if 2 in set(seeds)}
    assert len(raced) in (0, 2)  # unless two seeds have told them apart
    weighed = rows[rows["arm"].str.endswith("(test), chosen weights")]
    check_best_weights(weighed, rows, run)
    finals = rows[rows["arm"].str.endswith("(test)")]
    best = run.work.search.best()
    arms = set(finals["arm"])
    assert len(arms) == 2
    assert "published (test)" in arms
    assert best is not None
    seeds = {0, 1, 2} if raced else {0, 1}
    for (_, stream), cells in finals[finals["metric"] == "top1"].groupby(["arm", "stream"]):
        assert set(cells["seed"]) == seeds, stream
        assert set(cells["status"]) == {"done"}
    assert set(finals["stream"]) == {"joint", "bone", "joint+bone"}
    paired = verdicts_of_frame(finals)
    assert set(paired["n"]) == {len(seeds)}
    again, _ = make_run(study_file(tmp_path, WHOLE), tmp_path, synthetic_data, epochs=1, samples=3, seeds=None)
    heard = Heard()
    run_inline(again, heard)
    assert heard.trained == []
    assert_same(table(tmp_path), rows)


def check_best_weights(weighed, rows, run):
    """The best sample's streams are also fused under the weights that do best on held-out subjects, seed by seed."""
    assert set(weighed["evaluation"]) == {"knn"}
    assert set(weighed["stream"]) == {"joint+bone"}
    own = rows[(rows["evaluation"] == "knn held-out") & (rows["stream"] == "joint+bone") & (rows["metric"] == "top1")]
    for cell in weighed[weighed["metric"] == "top1"].itertuples():
        given = own[(own["arm"] == cell.arm.removesuffix(", chosen weights")) & (own["seed"] == cell.seed)]["value"].item()
        found = held_out_top1(json.loads(cell.spec)["ensemble"], run.context.store)
        tried = [held_out_top1(at, run.context.store) for at in corners(json.loads(cell.spec)["ensemble"])]
        assert found >= max(given, *tried)


def held_out_top1(members, store):
    """The accuracy of streams' held-out scores under these weights, read from the store."""
    name = evaluated(1, canonical(HeldOut(KNN())))
    streams = [(member["weight"], store.trial(member["trial"]).arrays(name)) for member in members]
    fused = sum(weight * arrays["scores"].astype(np.float64) for weight, arrays in streams)
    return (fused.argmax(axis=1) == streams[0][1]["labels"]).mean()


def corners(members):
    """One stream as good as alone, and both alike, none of which the thousand points can miss by much."""
    for weights in ((1.0, 0.01), (0.01, 1.0), (1.0, 1.0)):
        yield [{**member, "weight": weight} for member, weight in zip(members, weights, strict=True)]


def test_a_racer_that_failed_in_an_earlier_run_tries_again(tmp_path, synthetic_data, monkeypatch):
    """Its node may have been lost, or a disk full; a race that was decided without it is decided with it."""
    race = ("Never", TPE(startup=2), 3, (0,), Racing(best=2, seeds=2, margin=0.0))

    def fails(trial, *given, **named):
        if trial.seed == 1 and failing:
            raise MemoryError("another program had it all")
        yield from surrogate(trial, *given, **named)

    failing = True
    monkeypatch.setattr(active_jobs, "in_turns", fails)
    monkeypatch.setattr(inline_runner, "RETRIES", 0)
    run_inline(surrogate_run(tmp_path, synthetic_data, *race))
    lost = [s.lost_seeds for s in surrogate_run(tmp_path, synthetic_data, *race).work.search.samples.values()]
    assert sorted(lost) == [[], [1], [1]]
    failing = False
    run_inline(surrogate_run(tmp_path, synthetic_data, *race))
    samples = surrogate_run(tmp_path, synthetic_data, *race).work.search.samples.values()
    assert [s.lost_seeds for s in samples] == [[], [], []]
    assert sorted(len(s.raced) for s in samples) == [0, 1, 1]


def test_a_racer_that_failed_is_out_for_the_run():
    """The ledger says so until another run begins."""
    done = [Sample(n, {}, {}, "done", {0: {9: value}}, trials={0: f"t{n}"}) for n, value in enumerate((0.5, 0.9, 0.8))]
    search = SimpleNamespace(samples=dict(enumerate(done)), trial=lambda sample: SimpleNamespace(epochs=9))
    racing = Racing(best=2, seeds=3, margin=0.0)
    assert [(s.number, seed) for s, seed in race_standing(search, racing).missing] == [(1, 1), (2, 1)]
    done[2].raced[1] = 0.7
    done[1].notes["lost"] = [1]
    found = race_standing(search, racing)
    assert (found.leader, list(found.missing)) == (done[2], [])
    again = SimpleNamespace(samples={n: sample_from(stored(s)) for n, s in enumerate(done)}, trial=search.trial)
    assert race_standing(again, racing).leader.number == 2


def stored(sample):
    """As a ledger gives it back."""
    return json.loads(json.dumps(asdict(sample)))


def test_a_race_waits_for_the_seed_that_is_trained_and_then_asks_for_the_next(monkeypatch):
    one, other = Sample(0, {}, {}), Sample(1, {}, {})
    work, missing = SweepWork.__new__(SweepWork), [(one, 2), (other, 2)]
    work.search = SimpleNamespace(sweep=SimpleNamespace(racing=Racing()), is_budget_spent=lambda: False)
    monkeypatch.setattr(work, "_race", lambda: Standing(one, (one, other), tuple(missing)))
    monkeypatch.setattr(work, "_job", lambda sample, seed, judged: (sample.number, seed))
    jobs = work._raced()
    assert [next(jobs), next(jobs)] == [(0, 2), (1, 2)]
    missing[:] = [(other, 2)]
    assert next(jobs) is None
    missing[:] = [(one, 3), (other, 3)]
    assert [next(jobs), next(jobs)] == [(0, 3), (1, 3)]
    missing.clear()
    assert list(jobs) == []
