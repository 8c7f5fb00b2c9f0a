"""Evaluations as parts of a study: plan, tables, pictures, published numbers of several, and other benchmarks."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_study import inline, make_run, study_file, table, write_tables
from tiny import BACKBONE, MOCO, TRIAL, same_state, splits

from skelray import papers
from skelray.augment import BA
from skelray.data import DataError
from skelray.evaluation import KNN, Finetune, HeldOut, Linear, Retrieval, SemiSupervised, Supervised, Transfer
from skelray.methods import AimCLR, HiCLR, SkeletonCLR
from skelray.report import text as report
from skelray.results.rows import cell_rows
from skelray.results.scores import RESULT
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan, notes_on_subjects
from skelray.runner.study_file import load_study
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.published import Figure, list_figures
from skelray.study.scale import DEMO, Scale
from skelray.training import Pretraining

STUDIES = Path(__file__).parent.parent.parent / "studies"
MORE = """
    from skelray import Clustering, Finetune, Retrieval, SemiSupervised, Supervised, Transfer
    evaluations = (KNN(), Linear(epochs=5), Retrieval(), Clustering(classes=4), Finetune(epochs=1),
                   Transfer("synthetic", "xsub", KNN()))
    study = Ablation(base=replace(base, evaluations=evaluations), arms=[
        Arm("weak", {"arrangement": (BA,)}), Arm("strong", {"arrangement": (BA, NA)})])
"""
FEW = MORE.replace("evaluations = (KNN(), Linear(epochs=5), ", "evaluations = (KNN(),) or (").replace(
    "evaluations=evaluations", "evaluations=(KNN(),)"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, synthetic_data):
    """A study that had one evaluation and then got all of them; the plan in between."""
    folder = tmp_path_factory.mktemp("study")
    inline(study_file(folder, FEW), folder, synthetic_data)
    run, _ = make_run(study_file(folder, MORE), folder, synthetic_data)
    between = make_plan(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretraining, "train_epoch", lambda self: pytest.fail("an encoder is trained again"))
        run_inline(run)
    return folder, run, between


def test_what_is_stored_says_which_scores_are_votes(finished):
    _, run, _ = finished
    store, voted = run.context.store, {}
    for trial in store.folders():
        for file in (name.removesuffix(".json") for name in store.names(trial) if RESULT.fullmatch(name)):
            result = store.trial(trial).result_by_name(file)
            voted[result["evaluation"]] = result.get("votes")
    assert voted == {
        "knn": True,
        "retrieval": True,
        "knn on synthetic xsub": True,
        "linear": False,
        "finetune": False,
        "clustering": None,  # it has no scores
    }


def test_the_plan_says_that_only_evaluations_remain(finished):
    _, run, between = finished
    assert (between.epochs, between.missing, between.evaluations) == (0, 2, 10)
    assert [row["state"] for row in between.rows] == ["evaluate", "evaluate"]
    missing = "linear, retrieval, clustering, finetune, knn on synthetic xsub"
    assert [row["evaluations"] for row in between.rows] == [missing] * 2
    assert "0 epochs; training on one device takes no time" in between.text()
    assert "10 evaluations to run" in between.text()
    assert "every encoder is there, so none is trained" in between.text()
    after = make_plan(run)
    assert (after.missing, after.evaluations) == (0, 0)
    assert "to run, roughly" not in after.text()


def test_the_plan_knows_roughly_what_evaluations_cost(finished, monkeypatch):
    """By the arithmetic of the encoders that they run, where the machine's speed is measured."""
    _, run, _ = finished
    alike = {"gflop_per_sample": 1.0, "samples_per_second": 50.0, "threads": 1}
    monkeypatch.setattr("skelray.runner.costs.Speeds.of", lambda self, trial: alike)
    monkeypatch.setattr("skelray.runner.costs.monitoring_gflop", lambda *given: 0.1)
    monkeypatch.setattr("skelray.runner.plan.complete", lambda *given: False)
    monkeypatch.setattr("skelray.store.store.StoredTrial.result", lambda *given: None)
    splits = run.context.splits(run.work.cells[0].trial)
    read = len(splits.train) + len(splits.test) * 7
    expected = 2 * (3 * len(splits.train) + read) * 0.1 / 50
    assert make_plan(run).evaluating == pytest.approx(expected)


def test_every_evaluation_has_its_column_and_measure(finished):
    folder, _, _ = finished
    frame = table(folder)
    assert set(frame["metric"]) == {"top1", "top5", "map", "nmi"}
    assert set(frame[frame["evaluation"] == "clustering"]["metric"]) == {"nmi"}
    shown = report.accuracy_table(frame)
    named = [name for name in shown.header if name.startswith("xview")]
    expected = ["knn", "linear", "retrieval", "retrieval map", "clustering nmi", "finetune", "knn on synthetic xsub"]
    assert sorted(named) == sorted(f"xview {name}" for name in expected)
    assert "Top-1, map, nmi in percent" in shown.caption


def test_pictures_lie_beside_the_tables(finished):
    folder, run, _ = finished
    found = sorted(path.name for path in (folder / "results" / "figures" / "small").iterdir())
    assert found == ["strong_xview_seed_0_clustering.png", "weak_xview_seed_0_clustering.png"]
    path = folder / "results" / "figures" / "small" / found[0]
    content = path.read_bytes()
    path.write_bytes(b"of another run")
    write_tables(run)
    assert path.read_bytes() == content
    assert "| strong" in report.report_text(table(folder))


def test_another_skeleton_or_a_missing_target_is_one_sentence(tmp_path, synthetic_data):
    body = MORE.replace('Transfer("synthetic", "xsub", KNN())', 'Transfer("nwucla", "xview", KNN())')
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data)
    with pytest.raises(DataError, match="nwucla is not prepared"):
        _ = run.work.cells


def test_the_plan_of_untrained_encoders_does_not_say_that_they_are_there(tmp_path, synthetic_data):
    body = FEW.replace("base=replace(base, ", "base=replace(base, epochs=0, ")
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, epochs=None)
    assert (make_plan(run).epochs, make_plan(run).untrained) == (0, 2)
    assert "2 evaluations to run, an unknown time of running encoders" in make_plan(run).text()
    assert "every encoder is there" not in make_plan(run).text()


# Published numbers of several evaluations


def published(arm, base=None, scale=None):
    base = replace(papers.HICLR, evaluations=(KNN(), *papers.HICLR_SEMI)) if base is None else base
    cell, _ = Ablation(base, [arm], {"protocol": ["xsub", "xview"]}, published_by="knn").cells(scale)
    return [cell.published.get(name) for name in ("knn", "semi 1%", "semi 10%", "linear")]


def test_an_arm_has_published_numbers_of_several_evaluations():
    arm = Arm("HiCLR", published={"xsub": 67.3, "semi 1%": {"xsub": 58.5, "xview": 58.3}, "semi 10%": {"xview": 84.0}})
    assert published(arm) == [pytest.approx(0.673), pytest.approx(0.585), None, None]
    assert published(arm, scale=Scale(epochs=3)) == [None] * 4


def test_published_numbers_are_of_streams_and_evaluations_nested_either_way():
    flat = [Figure(67.3, "xsub", "knn", "joint"), Figure(77.6, "xsub", "", "joint"), Figure(82.0, "xview", "", "bone")]
    one = {"knn": {"joint": {"xsub": 67.3}}, "joint": {"xsub": 77.6}, "bone": {"xview": 82.0}}
    other = {"joint": {"knn": {"xsub": 67.3}, "xsub": 77.6}, "bone": {"xview": 82.0}}
    assert list_figures(one) == list_figures(other) == flat
    study = Ablation(papers.HICLR, [Arm("a", {}, one)], {"protocol": ["xsub", "xview"], "stream": ["joint", "bone"]})
    found = {(cell.trial.stream, cell.trial.protocol): cell.published for cell in study.cells()}
    assert found["joint", "xsub"] == pytest.approx({"knn": 0.673, "linear": 0.776})
    assert found["bone", "xview"] == {"linear": 0.82}
    assert found["bone", "xsub"] == found["joint", "xview"] == {}
    assert list_figures({"joint+bone+motion": {"xsub": 80.4}}) == [Figure(80.4, "xsub", "", "joint+bone+motion")]


def test_published_numbers_are_of_evaluations_and_protocols_that_there_are():
    with pytest.raises(ValueError, match="published 'semi 5%' is none of the evaluations knn, semi 1%, semi 10%"):
        published(Arm("a", published={"semi 5%": {"xsub": 1.0}}))
    with pytest.raises(ValueError, match="published 'xset' is no protocol of ntu60"):
        published(Arm("a", published={"semi 1%": {"xset": 1.0}}))
    with pytest.raises(ValueError, match="published xsub 101: a percentage is needed"):
        Arm("a", published={"semi 1%": {"xsub": 101}})


def test_published_numbers_are_of_the_arms_own_evaluations():
    base = replace(papers.HICLR, evaluations=(Linear(),))
    own = {"evaluations": (KNN(), Retrieval()), "stream": "bone"}
    arms = [
        Arm("a", published={"xsub": 70.0}),
        Arm("b", own, {"bone": {"retrieval": {"xsub": 60.0}}, "knn": {"xview": 50.0}}),
    ]
    cells = Ablation(base, arms, {"protocol": ["xsub", "xview"]}, published_by="linear").cells()[:2]
    assert [cell.published for cell in cells] == [pytest.approx({"linear": 0.7}), pytest.approx({"retrieval": 0.6})]
    with pytest.raises(ValueError, match="'linear' is none of the evaluations knn, retrieval of arm 'b'"):
        Ablation(base, [Arm("b", own, {"xsub": 70.0})])
    with pytest.raises(ValueError, match="published names stream 'joint'; arm 'b' has bone"):
        Ablation(base, [Arm("b", own, {"joint": {"knn": {"xsub": 70.0}}})])


def test_published_numbers_reach_their_rows(finished):
    """Those of the table as well as those of its cells."""
    _, run, _ = finished
    figures = {"finetune": {"xsub": 50.0}, "retrieval": {"xsub": 10.0}, "xsub": 40.0}
    (cell, *_) = replace(run.study, arms=[replace(run.study.arms[0], published=figures)]).cells(run.scale)
    assert cell.published == {}  # at a scale that is not the published one
    rows = cell_rows(
        "s",
        replace(
            cell,
            trial=run.context.pin_targets(cell.trial),
            published={"finetune": 0.5, "linear": 0.4, "clustering nmi": 0.6668},
        ),
        run.context.store,
        run.context.fingerprint(cell.trial),
    )
    found = {(row["evaluation"], row["metric"]): row["published"] for row in rows if row["published"] is not None}
    assert found == {("finetune", "top1"): 0.5, ("linear", "top1"): 0.4, ("clustering", "nmi"): 0.6668}
    assert report.accuracy_table(pd.DataFrame(rows)).header.count("published") == 3


# Demonstrations


def test_a_demonstration_shortens_what_is_long():
    evaluations = (*papers.HICLR_SEMI, Finetune(), Transfer("nwucla", "xsub", Finetune()))
    base = replace(papers.HICLR, evaluations=evaluations)
    for study in (Ablation(base, [Arm("a")]), Ablation(papers.HICLR, [Arm("a", {"evaluations": evaluations})])):
        (cell,) = study.cells(DEMO)
        semi, _, tuned, transfer = cell.trial.evaluations
        assert (semi.labels, semi.epochs, tuned.epochs, transfer.evaluation.epochs) == (0.01, 8, 8, 8)
        assert transfer.benchmark == "synthetic"


def test_a_demonstration_transfers_once_however_many_targets_there_are():
    """There is generated data alone: of transfers that become the same, one is left."""
    evaluations = (
        Transfer("msr_action3d", "xsub", KNN()),
        Transfer("utkinect", "xsub", KNN()),
        Transfer("nwucla", "xview", Linear()),
    )
    base = replace(papers.HICLR, evaluations=evaluations)
    for study in (Ablation(base, [Arm("a")]), Ablation(papers.HICLR, [Arm("a", {"evaluations": evaluations})])):
        (cell,) = study.cells(DEMO)
        assert [e.name for e in cell.trial.evaluations] == ["knn on synthetic xview", "linear on synthetic xview"]
    twice = Ablation(papers.HICLR, [Arm("a", {"arrangement": (BA, BA)})]).cells(DEMO)
    assert len(twice[0].trial.method.arrangement) == 2


def test_a_demonstration_holds_out_what_it_evaluates():
    base = replace(papers.HICLR, evaluations=(HeldOut(Finetune()), Finetune(), HeldOut(KNN())))
    (cell,) = Ablation(base, [Arm("a")]).cells(DEMO)
    held_out, tuned, near = cell.trial.evaluations
    assert held_out == HeldOut(tuned)
    assert (held_out.trained(100), near.trained(100)) == (800, 0)


def test_shared_subjects_are_told_in_plan_and_table(finished):
    folder, _, _ = finished
    frame = table(folder)
    assert set(frame.loc[frame["target"].notna(), "evaluation"]) == {"knn on synthetic xsub"}
    assert set(frame["target_protocol"].dropna()) == {"xsub"}
    target = frame["target"].replace("synthetic", "pku2")
    told = "ntu60 and pku2 share subjects"
    assert told in report.accuracy_table(frame.assign(target=target, benchmark="ntu60")).caption
    assert told not in report.accuracy_table(frame).caption
    both = pd.concat([frame.assign(target=target, benchmark="ntu60"), frame])
    assert told in report.accuracy_table(both).caption
    assert "On synthetic, these are numbers of generated data" in report.accuracy_table(both).caption
    trial = replace(papers.HICLR, evaluations=(Transfer("pku2", "xsub", SemiSupervised()),))
    assert told in notes_on_subjects(trial)[0]


# The studies of the project


def test_supervised_encoders_are_trained_once_for_all_methods():
    _, study, _ = load_study(STUDIES / "aimclr_finetune.py")
    cells = study.cells()
    supervised = [cell for cell in cells if any(isinstance(e, Supervised) for e in cell.trial.evaluations)]
    assert (len(cells), len(supervised)) == (120, 36)
    assert {cell.trial.epochs for cell in supervised} == {0}


def test_a_fresh_encoder_is_the_same_for_every_method(monkeypatch):
    """So that one arm of supervised encoders stands for all."""
    weights = []
    for method in (SkeletonCLR(**MOCO), AimCLR(**MOCO, eadm=None), HiCLR(**MOCO)):
        trial = replace(TRIAL, method=method, backbone=BACKBONE)
        frozen = Pretraining(trial, splits(), torch.device("cpu")).frozen_encoder()
        weights.append(frozen.trainable(fresh=True)[0]["joint"].state_dict())
    assert same_state(weights[0], weights[1])
    assert same_state(weights[0], weights[2])
