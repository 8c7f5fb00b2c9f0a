"""Stored scores of a row: per class, confused, by id, by its beginning, by row; one sentence for what there is not."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from stored_streams import ABLATION, STREAMS, evaluate, keep, scores
from tiny import dataset, splits

import skelray
from skelray.cli.main import main
from skelray.evaluation import KNN, Linear, Transfer, top_k_accuracy
from skelray.report.class_table import confusion_table, per_class_table
from skelray.results import rows as ledger
from skelray.results import tables as results
from skelray.results.scores import Scores
from skelray.store.store import Store

HAND = Scores(
    scores=np.array([[3, 2, 1], [1, 2, 0], [0, 1, 1], [0, 1, 5], [9, 0, 8], [0, 3, 4]]),
    labels=np.array([0, 0, 1, 2, 2, 2]),
    classes=("wave", "sit", "fall", "never"),
    samples=np.array(list("abcdef")),
)


def test_top_k_by_hand():
    assert HAND.best().ravel().tolist() == [0, 1, 1, 2, 0, 2]  # the tie of the third goes to the lower class number
    assert HAND.right().tolist() == [True, False, True, True, False, True]
    assert (HAND.top(), HAND.top(2), HAND.top(5)) == (4 / 6, 1.0, 1.0)
    with pytest.raises(ValueError, match="k 0: at least"):
        HAND.top(0)


def test_classes_by_hand():
    found = HAND.per_class()
    assert found["class"].tolist() == ["wave", "sit", "fall"]
    assert found["samples"].tolist() == [2, 1, 3]
    assert found["top1"].tolist() == [1 / 2, 1.0, 2 / 3]
    assert found["top5"].tolist() == [1.0, 1.0, 1.0]
    assert found["confused"].tolist() == ["sit", "", "wave"]
    assert found["share"].tolist() == [1 / 2, 0.0, 1 / 3]


def test_confusion_by_hand():
    found = HAND.confusion()
    assert found.loc["wave"].to_dict() == {"wave": 1, "sit": 1, "fall": 0, "never": 0}
    assert found.loc["fall"].to_dict() == {"wave": 1, "sit": 0, "fall": 2, "never": 0}
    assert found.to_numpy().sum() == 6
    assert HAND.confusion(2).loc["fall"].to_dict() == {"wave": 0, "sit": 0, "fall": 3, "never": 0}


def test_top_k_is_that_of_the_tables():
    arrays = scores(1)
    found = Scores(arrays["scores"], arrays["labels"], tuple("abcde"), arrays["rows"])
    given = torch.from_numpy(arrays["scores"]), torch.from_numpy(arrays["labels"])
    assert [found.top(k) for k in (1, 2, 5)] == [top_k_accuracy(*given, k) for k in (1, 2, 5)]
    assert found.confusion().to_numpy().trace() / 40 == found.top()


def test_tables_of_classes_read_well():
    lines = per_class_table(HAND).markdown().split("\n")
    assert lines[0] == "6 samples, top-1 66.7, top-5 100.0, in percent."
    assert lines[2].split("|")[1:4] == [" class ", " most often taken for ", " samples "]
    assert lines[4].split() == ["|", "wave", "|", "sit", "50.0", "|", "2", "|", "50.0", "|", "100.0", "|"]
    assert "2,fall,3,0.6666" in per_class_table(HAND).csv()
    made = confusion_table(HAND, 1)
    assert made.header == ["", "class", "0", "1", "2", "3"]
    assert made.rows[2] == ["2", "fall", "1", "", "2", ""]


@pytest.fixture
def stored(tmp_path, synthetic_data, monkeypatch):
    """A study's trials on the synthetic data with made-up scores, and its table; store, data and results in ./"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(synthetic_data)
    data = skelray.data.open_dataset(synthetic_data, "synthetic").fingerprint
    store = Store("store")
    study = replace(ABLATION, base=replace(ABLATION.base, benchmark="synthetic"), arms=[skelray.Arm("a")], seeds=(0,))
    for cell in study.cells():
        evaluate(store, cell, data=data)
    rows = [row for cell in study.cells() for row in ledger.cell_rows("s", cell, store, data)]
    rows += [row for one in study.fused() for row in ledger.fused_rows("s", one, store, data)]
    results.write_table("s", rows, [], tmp_path / "results")
    return study, store, data


def test_scores_of_a_row_are_its_figures(stored):
    frame = skelray.load("s")
    assert set(frame["stream"]) == {*STREAMS, "joint+bone+motion"}
    for _, row in frame.iterrows():  # trials and ensembles alike
        k = {"top1": 1, "top5": 5}[row["metric"]]
        assert skelray.scores(row).top(k) == row["value"]
        assert skelray.scores(row["trial"][:10], row["evaluation"]).top(k) == row["value"]
    found = skelray.scores(row)
    assert found.samples[0] == skelray.data.open_dataset("data", "synthetic").samples["name"][3]
    assert found.classes == skelray.data.open_dataset("data", "synthetic").classes
    assert skelray.scores(row, Linear(), epochs=4).top() != skelray.scores(row, KNN()).top()
    assert [skelray.scores(row, one, epochs=4).votes for one in (KNN(), Linear())] == [True, False]


def test_what_there_is_not_is_one_sentence(stored, tmp_path):
    study, store, data = stored
    trial = study.cells()[0].trial
    id = trial.id(data)

    def said(*given, **where):
        with pytest.raises(ValueError, match=r".") as caught:
            skelray.scores(*given, **where)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "has no trial 'nothing': `skelray scores STUDY` lists those of a study" in said("nothing", "knn")
    assert "trials whose ids begin with '': give more digits" in said("", "knn")
    assert f"trial {id} has no evaluation 'lin' in" in said(id, "lin")
    assert "it has knn after 4 epochs, linear after 4 epochs, linear held-out after 4 epochs" in said(id, "lin")
    assert "has no evaluation 'knn' after 5 epochs" in said(id, "knn", epochs=5)
    assert "name the evaluation whose scores are wanted, as 'linear'" in said(id)
    assert "synthetic is not prepared in" in said(id, "knn", data=tmp_path / "elsewhere")
    assert "has no trial" in said(id, "knn", store=tmp_path / "elsewhere")
    keep(store, replace(trial, epochs=9), KNN(), scores(0), data)
    assert "has 'knn' after 4, 9 epochs: say which with epochs" in said(id, "knn")
    keep(store, trial, Linear(lr=1.0), scores(0), data)
    assert "has 'linear' in 2 settings: give the evaluation itself" in said(id, "linear")
    for _, row in skelray.load("s").query("evaluation == 'linear' and metric == 'top1'").iterrows():
        assert skelray.scores(row).top() == row["value"]  # a row says which
    assert skelray.scores(id, Linear(lr=1.0)).labels.tolist() == scores(0)["labels"].tolist()
    store.write_json(f"{id}/spec.json", {"trial": {"benchmark": "synthetic"}, "data": "other"})
    assert "was evaluated on another synthetic than" in said(id, Linear())


def test_the_command_lists_ids_and_shows_classes(stored, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["skelray", *words])
        main()
        return capsys.readouterr().out

    listed = call("scores", "s")
    row = skelray.load("s").query("stream == 'joint+bone+motion'").iloc[0]
    assert row["trial"] in listed
    shown = call("scores", row["trial"][:9], "linear")
    assert shown.startswith("40 samples, top-1 ")
    assert "most often taken for" in shown
    assert call("scores", row["trial"], "linear", "--confusion", "1").count("\n") > 20
    assert call("scores", row["trial"], "linear", "--format", "csv").startswith("label,class,samples,top1,top5")


# Transfers


OTHER = replace(dataset(samples=48, classes=4), name="other", fingerprint="theirs")


def transferred(folder, data, told):
    """The table of three streams and their ensemble, evaluated on another benchmark, of fewer classes."""
    test, store, transfer = splits(OTHER).test, Store("store"), Transfer("other", "xview", KNN(), data="theirs")
    base = replace(ABLATION.base, benchmark="synthetic", evaluations=(transfer,))
    study = replace(ABLATION, base=base, arms=[skelray.Arm("a")], seeds=(0,), across={"stream": list(STREAMS)})
    for place, cell in enumerate(study.cells()):
        arrays = {**scores(place, len(test), 4), "labels": test.labels.copy(), "rows": test.rows}
        keep(store, cell.trial, transfer, arrays, data, {"benchmark": "other", "data": "theirs"} if told else None)
    rows = [row for cell in study.cells() for row in ledger.cell_rows("t", cell, store, data)]
    rows += [row for one in study.fused() for row in ledger.fused_rows("t", one, store, data)]
    results.write_table("t", rows, [], folder / "results")
    return test.samples["name"].tolist()


@pytest.mark.parametrize("told", [True, False], ids=["named", "stored before it was named"])
def test_scores_of_a_transfer_are_of_the_other_benchmark(tmp_path, synthetic_data, monkeypatch, told):
    monkeypatch.chdir(tmp_path)
    there = {"synthetic": skelray.data.open_dataset(synthetic_data, "synthetic"), "other": OTHER}
    monkeypatch.setattr("skelray.results.scores.open_dataset", lambda root, name: there[name])
    names = transferred(tmp_path, there["synthetic"].fingerprint, told)
    frame = skelray.load("t").query("metric == 'top1'")
    assert set(frame["stream"]) == {*STREAMS, "joint+bone+motion"}
    for _, row in frame.iterrows():
        found = skelray.scores(row)
        assert found.top() == row["value"]
        assert found.samples.tolist() == names
        assert found.confusion().shape == (4, 4)
    there["other"] = replace(dataset(samples=48, classes=3), name="other", fingerprint="new")
    with pytest.raises(ValueError, match="was evaluated on another other than data/other is"):
        skelray.scores(row)
