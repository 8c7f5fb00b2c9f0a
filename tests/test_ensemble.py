"""Ensembles: what fusing is, in numbers small enough for the hand, and the rows that stored scores of streams make."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_streams import ABLATION, FACTS, STREAMS, WEIGHTS, evaluate, keep, scores
from tiny import TRIAL

from skelray import papers
from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Finetune, HeldOut, Linear, Transfer, top_k_accuracy
from skelray.identity.canonical import canonical
from skelray.report import text as report
from skelray.report.verdict_table import verdict_table
from skelray.results import rows as ledger
from skelray.results import tables as results
from skelray.store.ensembles import StoredEnsemble, open_ensemble
from skelray.store.store import Store, evaluated
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.scale import Scale


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


# Fusing


def test_scores_are_added_as_they_are():
    joint, bone = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([[0.0, 2.0], [10.0, 0.0]], np.float32)
    fused = Ensemble({"joint": 0.5, "bone": 0.25})({"joint": joint, "bone": bone})
    assert fused.tolist() == [[0.5, 0.5], [2.5, 1.0]]
    assert fused.dtype == np.float64


def test_the_papers_weights_by_hand():
    one, two, three = (np.eye(3, dtype=np.float32)[[k]] for k in range(3))
    fuse = papers.AIMCLR_FUSION
    assert fuse({"joint": one, "bone": two, "motion": three})[0] == pytest.approx([0.6, 0.6, 0.4])
    assert fuse({"joint": three, "bone": two, "motion": two}).argmax() == 1  # any two that agree win
    assert str(fuse) == "0.6 joint + 0.6 bone + 0.4 motion"


def test_equal_votes_stay_equal():
    """0.1 + 0.2 is not 0.3 in floating point; the tie has to go to the lower class number."""
    one, two = (np.eye(2, dtype=np.float32)[[k]] for k in (0, 1))
    fused = Ensemble({"joint": 0.1, "bone": 0.2, "motion": 0.3})({"joint": two, "bone": two, "motion": one})
    assert fused[0, 0] == fused[0, 1]


weight = st.integers(0, 100).map(lambda n: n / 100)
three_weights = st.tuples(weight, weight, weight).filter(any)


def streams(seed, votes=False):
    found = {stream: scores([seed, place])["scores"] for place, stream in enumerate(STREAMS)}
    return {s: np.eye(x.shape[1], dtype=np.float32)[x.argmax(1)] for s, x in found.items()} if votes else found


def order(fused):
    return np.argsort(-fused, axis=1, kind="stable").tolist()


@given(three_weights, st.integers(0, 99), st.sampled_from([2.0, 10.0, 0.5, 3.0]), st.booleans())
@settings(deadline=None, max_examples=50)
def test_only_ratios_of_weights_matter(weights, seed, factor, votes):
    x = streams(seed, votes)
    one = Ensemble(dict(zip(STREAMS, weights, strict=True)))
    other = Ensemble({stream: round(w * factor, 6) for stream, w in one.weights.items()})
    assert order(one(x)) == order(other(x))


@given(three_weights, st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=50)
def test_a_weight_of_0_leaves_a_stream_out(weights, seed, votes):
    x, (joint, bone, _) = streams(seed, votes), weights
    if joint or bone:
        without = Ensemble({"joint": joint, "bone": bone})(x)
        assert order(Ensemble({"joint": joint, "bone": bone, "motion": 0.0})(x)) == order(without)


@given(three_weights, st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=50)
def test_an_ensemble_of_one_stream_thrice_is_that_stream(weights, seed, votes):
    x = streams(seed, votes)["joint"]
    assert order(Ensemble(dict(zip(STREAMS, weights, strict=True)))(dict.fromkeys(STREAMS, x))) == order(x)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"joint": 0.6, "sound": 0.4}, "stream 'sound' of an ensemble is none of joint, bone, motion"),
        ({"joint": -0.1, "bone": 1.0}, "weight -0.1 of stream 'joint'"),
        ({"joint": float("nan")}, "weight nan of stream 'joint'"),
        ({"joint": 0.0, "bone": 0.0}, "a stream whose weight is above 0"),
        ({}, "a stream whose weight is above 0"),
    ],
)
def test_what_is_no_ensemble_is_said(weights, said):
    with pytest.raises(ValueError, match=said):
        Ensemble(weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": np.arange(40)}, "bone's scores are of other samples than joint's: they cannot be fused"),
        ({"labels": np.zeros(40, int)}, "bone's scores are of other labels than joint's"),
        ({"scores": np.zeros((40, 4), np.float32)}, r"bone's scores and joint's have the shapes \(40, 4\) and \(40, 5\)"),
    ],
)
def test_scores_of_other_samples_are_not_fused(change, said):
    with pytest.raises(ValueError, match=said):
        Ensemble({"joint": 1.0, "bone": 1.0}).fuse({"joint": scores(0), "bone": {**scores(1), **change}})


# In a study


def test_cells_that_differ_in_stream_only_are_one_ensemble():
    fused = ABLATION.fused()
    assert len(fused) == 2 * 2 * 2  # arms, protocols, seeds
    for one in fused:
        assert list(one.members) == list(STREAMS)
        trials = [replace(cell.trial, stream="joint") for cell in one.members.values()]
        assert trials == [trials[0]] * 3
        assert one.coordinates == {"protocol": one.trial.protocol, "stream": "joint+bone+motion"}
        expected = {"linear": 0.8} if (one.arm, one.trial.protocol) == ("a", "xsub") else {}
        assert one.published == expected
    assert {cell.published.get("linear") for cell in ABLATION.cells() if cell.arm == "a"} == {0.7, None}
    assert not any(one.published for one in ABLATION.fused(Scale(epochs=2)))
    assert len(ABLATION.fused(Scale(protocols=("xset",), seeds=(5,)))) == 2
    assert replace(ABLATION, ensemble=None, arms=[Arm("a")]).fused() == []


def test_a_figure_without_its_stream_is_not_an_ensembles():
    with pytest.raises(UserError, match=r"would stand at stream joint, bone, motion: say at which, as published=\{'motion'"):
        replace(ABLATION, arms=[Arm("a", published={"xsub": 70.0})])
    study = replace(ABLATION, arms=[Arm("a", published={"bone": {"xsub": 70.0}})])
    found = {cell.trial.stream: cell.published for cell in study.cells() if cell.trial.protocol == "xsub"}
    assert found == {"joint": {}, "bone": {"linear": 0.7}, "motion": {}}
    assert not any(one.published for one in study.fused())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"across": {"stream": ["joint", "bone"]}}, "'motion', and the study goes across joint, bone: add it to across"),
        (
            {"arms": [Arm("a", published={"xsub": 1.0})], "published_by": "linear held-out"},
            "published_by 'linear held-out' is none of the evaluations knn, linear",
        ),
        ({"across": {}}, "'joint', and the study does not go across streams"),
        (
            {"arms": [Arm("a", published={"jiont": {"xsub": 1.0}})]},
            "published 'jiont' is none of the evaluations knn, linear or streams joint, bone, motion",
        ),
    ],
)
def test_an_ensemble_that_cannot_be_is_found_when_the_study_is_made(changes, said):
    with pytest.raises(ValueError, match=said):
        replace(ABLATION, **{"arms": [Arm("a")], **changes})


# In a store


def test_figures_of_a_stored_ensemble_are_kept_and_its_scores_made_anew(store):
    one = ABLATION.fused()[0]
    members = {stream: cell.trial.id("d") for stream, cell in one.members.items()}
    ensemble = StoredEnsemble(store, members, WEIGHTS)
    name = evaluated(one.trial.epochs, canonical(Linear()))
    for cell in list(one.members.values())[:2]:
        evaluate(store, cell)
    assert ensemble.result(name) is None
    evaluate(store, one.members["motion"])
    result, arrays = ensemble.result(name), ensemble.arrays(name)
    parts = [store.trial(id).arrays(name)["scores"] for id in members.values()]
    assert arrays["scores"] == pytest.approx(0.6 * parts[0] + 0.6 * parts[1] + 0.4 * parts[2], abs=1e-6)
    fused, labels = torch.from_numpy(arrays["scores"]), torch.from_numpy(arrays["labels"])
    assert result["metrics"] == {"top1": top_k_accuracy(fused, labels), "top5": top_k_accuracy(fused, labels, 5)}
    assert {key: result[key] for key in ("evaluation", "device", "version", "commit")} == {
        "evaluation": "linear",
        **{key: FACTS[key] for key in ("device", "version", "commit")},
    }
    assert StoredEnsemble(store, members, WEIGHTS).result(name) == result  # read back, started and all
    again = {**store.read_json(f"{members['bone']}/{name}.json"), "started": "2026-02-03T04:05:06+00:00"}
    evaluation = canonical(Linear())
    store.trial(members["bone"]).save_scores(4, evaluation, {**arrays, "scores": -9 * parts[0]}, again)  # made again
    fused = torch.from_numpy(ensemble.arrays(name)["scores"])
    assert (
        ensemble.result(name)["metrics"]
        == {"top1": top_k_accuracy(fused, labels), "top5": top_k_accuracy(fused, labels, 5)}
        != result["metrics"]
    )
    assert open_ensemble(store, ensemble.id).members == members
    assert open_ensemble(store, ensemble.id).ensemble == WEIGHTS
    assert open_ensemble(store, members["joint"]) is None
    assert not [file for file in store.names(ensemble.id) if file.endswith("npz")]
    assert len({StoredEnsemble(store, m, w).id for m, w in (
        (members, WEIGHTS), (members, Ensemble({**WEIGHTS.weights, "motion": 0.5})), ({**members, "bone": "x"}, WEIGHTS)
    )}) == 3  # fmt: skip


def test_damaged_scores_cost_their_own_cell_alone(store, caplog):
    for cell in ABLATION.cells():
        evaluate(store, cell)
    whole, (cell, *_) = table(store), ABLATION.cells()
    stored, name = store.trial(cell.trial.id("d")), evaluated(4, canonical(Linear()))
    ensemble = StoredEnsemble(store, {s: c.trial.id("d") for s, c in ABLATION.fused()[0].members.items()}, WEIGHTS)
    store.remove(f"{ensemble.id}/{name}.json")
    store.write(f"{stored.id}/{name}.npz", b"PK\x03\x04 half of one")
    assert ensemble.result(name) is None
    assert [f"{name}.npz is damaged" in said for said in caplog.messages] == [True, False]
    left = table(store)
    of_cell = whole["trial"].isin([stored.id, ensemble.id]) & (whole["evaluation"] == "linear")
    assert len(left) == len(whole) - of_cell.sum()


def table(store, study=ABLATION, folder=None):
    rows = [row for cell in study.cells() for row in ledger.cell_rows("s", cell, store, "d")]
    rows += [row for one in study.fused() for row in ledger.fused_rows("s", one, store, "d")]
    results.write_table("s", rows, [], folder or Path(store.root).parent)
    return results.load("s", folder or Path(store.root).parent)


def test_an_ensemble_has_rows_as_soon_as_its_streams_have_scores(store):
    cells = ABLATION.cells()
    for cell in cells:
        if (cell.trial.seed, cell.trial.stream) != (1, "motion"):
            evaluate(store, cell)
    frame = table(store)
    fused = frame[frame["stream"] == "joint+bone+motion"]
    assert len(fused) == 2 * 2 * 3 * 2  # arms, protocols, evaluations, top-1 and top-5; seed 1 waits for motion
    assert set(fused["seed"]) == {0}
    assert set(fused["evaluation"]) == {"knn", "linear", "linear held-out"}
    assert {json.dumps(json.loads(cell)["weights"]) for cell in fused["cell"]} == {
        json.dumps({"bone": 0.6, "joint": 0.6, "motion": 0.4})
    }
    shown = fused[(fused["arm"] == "a") & (fused["protocol"] == "xsub") & (fused["metric"] == "top1")]
    assert shown.set_index("evaluation")["published"].dropna().to_dict() == {"linear": 0.8}
    assert len(fused["trial"].unique()) == 4
    spec = json.loads(fused["spec"].iloc[0])
    assert [part["stream"] for part in spec["ensemble"]] == list(STREAMS)
    assert spec["stream"] == "joint+bone+motion"
    for cell in cells:
        evaluate(store, cell)
    assert set(table(store).query("stream == 'joint+bone+motion'")["seed"]) == {0, 1}


def test_an_ensemble_fails_with_its_stream_and_says_which(store):
    one, other = ABLATION.fused()[:2]
    failure = {"cause": "diverged", "line": "the loss is nan in epoch 2", "traceback": "", "transient": False}
    store.trial(one.members["bone"].trial.id("d")).save_failure(4, failure)
    (row, *_) = rows = ledger.fused_rows("s", one, store, "d")
    assert len(rows) == 3
    assert row["error"].startswith("stream failed: bone, diverged: the loss is nan in epoch 2")
    assert ledger.fused_rows("s", other, store, "d") == []
    frame = table(store)
    assert "stream failed (1 trial)" in report.failures_text(frame)


def test_streams_of_other_samples_are_a_failure(store):
    one = ABLATION.fused()[0]
    for cell in one.members.values():
        evaluate(store, cell)
    keep(store, one.members["bone"].trial, KNN(), {**scores(0), "rows": np.arange(40)})
    rows = ledger.fused_rows("s", one, store, "d")
    failed = [row for row in rows if row["status"] == "failed"]
    assert [row["evaluation"] for row in failed] == ["knn"]
    assert failed[0]["error"].startswith("streams differ: bone's scores are of other samples than joint's")
    assert len(rows) == 1 + 2 * 2


def test_an_evaluation_without_scores_has_no_ensemble(store):
    one = ABLATION.fused()[0]
    for cell in one.members.values():
        evaluate(store, cell)
        store.remove(f"{cell.trial.id('d')}/{evaluated(4, canonical(KNN()))}.npz")
    assert {row["evaluation"] for row in ledger.fused_rows("s", one, store, "d")} == {"linear", "linear held-out"}


# In a report


@pytest.fixture
def frame(store):
    for cell in ABLATION.cells():
        evaluate(store, cell)
    return table(store)


def test_streams_and_ensemble_read_like_the_papers_table(frame):
    made = report.accuracy_table(frame)
    assert [line[:2] for line in made.rows] == [[s, a] for s in (*STREAMS, "joint+bone+motion") for a in "ab"]
    assert made.header[:4] == ["stream", "arm", "xsub knn", "xsub linear"]
    assert made.header.count("published") == 1
    assert [line[made.header.index("published")] for line in made.rows] == ["70.0", *"–––––", "80.0", "–"]
    assert "joint+bone+motion: scores fused as 0.6 joint + 0.6 bone + 0.4 motion." in made.caption
    assert "Held-out: on training subjects, not on the test split." in made.caption
    for form in ("markdown", "csv", "latex"):
        assert "joint+bone+motion" in report.report_text(frame, form)
    csv = pd.read_csv(io.StringIO(made.csv()))
    assert set(csv["stream"]) == {*STREAMS, "joint+bone+motion"}
    assert set(csv["n"]) == {2}
    assert "Weights" not in report.report_text(frame)  # the same everywhere: the caption says them


def test_ensembles_are_paired_by_seed_like_any_row(frame):
    made = verdict_table(frame)
    assert "joint+bone+motion" in {line[0] for line in made.rows}


def test_a_table_from_before_ensembles_still_loads_and_concatenates(frame, tmp_path):
    old = Path(__file__).parent.parent / "results" / "nwucla.parquet"
    (tmp_path / "old.parquet").write_bytes(old.read_bytes())
    (tmp_path / "old.curves.parquet").write_bytes(old.with_name("nwucla.curves.parquet").read_bytes())
    both = results.load(folder=tmp_path)
    assert len(both) == len(frame) + len(results.load("nwucla", old.parent))
    assert list(both.columns) == list(frame.columns)
    assert set(report.accuracy_table(both).numbers["study"]) == {"s", "nwucla"}


def test_the_streams_study_is_the_papers_tables(shared):
    """SkeletonCLR and HiCLR as HiCLR's Table 1 has them, AimCLR as its own Table 2."""
    import csv

    from skelray.runner.study_file import load_study

    with open(shared("papers/published_results.csv"), newline="") as file:
        published = list(csv.DictReader(file))
    expected = {}
    for row in published:
        label = {"skeletonclr": "SkeletonCLR", "hiclr": f"HiCLR, {row['variant'].strip('[]').split(', ')[-1]}"}
        stream = "+".join(sorted(row["stream"].split("+"), key=lambda s: (*STREAMS, s).index(s)))
        if (row["paper"], row["item"]) == ("hiclr", "table1"):
            expected[label[row["method"]], stream, row["protocol"]] = float(row["value"])
        if (row["paper"], row["item"], row["method"], row["dataset"]) == ("aimclr", "table2", "aimclr", "ntu60"):
            expected["AimCLR", stream, row["protocol"]] = float(row["value"])
    assert len(expected) == 5 * 4 * 2
    _, study, _ = load_study(Path(__file__).parent.parent / "studies" / "streams.py")
    found = {(c.arm, c.trial.stream, c.trial.protocol): c.published["linear"] for c in study.cells()}
    found |= {(c.arm, c.ensemble.stream, c.trial.protocol): c.published["linear"] for c in study.fused()}
    assert found == {key: pytest.approx(value / 100) for key, value in expected.items()}


def test_held_out_is_marked_and_never_held_out_twice():
    assert HeldOut(Linear()).name == "linear held-out"
    with pytest.raises(ValueError, match="held out already"):
        HeldOut(HeldOut(KNN()))
    for inner in (HeldOut(KNN()), Transfer("b", "xsub", KNN())):
        with pytest.raises(ValueError, match=f"{inner.name} cannot be transferred: give what it evaluates by"):
            Transfer("a", "xsub", inner)
    for chooses in (Linear(selection="released"), Finetune(selection="released")):
        with pytest.raises(ValueError, match="chooses by the labels it is scored on"):
            HeldOut(chooses)
    with pytest.raises(ValueError, match="two evaluations are called 'knn held-out'"):
        replace(TRIAL, evaluations=(HeldOut(KNN()), HeldOut(KNN())))
    assert Ablation(replace(TRIAL, evaluations=(HeldOut(KNN()),)), [Arm("a")]).cells()
