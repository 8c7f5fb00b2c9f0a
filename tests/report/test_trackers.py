"""A study in the tracker of a lab, read back by the tracker itself; nothing leaves the machine."""

import json
import sys

import pytest
from result_rows import row, seeds

from skelray.cli.export import TRACKERS, exported
from skelray.report.trackers.tracked import flat, tracked
from skelray.results import tables as results

SPEC = json.dumps({"method": {"tau": 0.07, "weights": None, "arrangement": ["BA", "NA"]}, "epochs": 3, "type": "Trial"})


@pytest.fixture
def folder(tmp_path):
    """Two trials, one of them with curves and a failed evaluation."""
    rows = [
        *seeds(0.75, 0.5, arm="weak: [BA]", spec=SPEC),
        row(trial="weak: [BA]/xsub//0", arm="weak: [BA]", spec=SPEC, metric="nmi", evaluation="clustering", value=0.25),
        row(trial="weak: [BA]/xsub//1", arm="weak: [BA]", spec=SPEC, seed=1, evaluation="knn", status="failed"),
    ]
    names = {"weak: [BA]/xsub//0": "00000000000000aa", "weak: [BA]/xsub//1": "00000000000000bb"}
    rows = [one | {"study": "mine", "trial": names[one["trial"]]} for one in rows]
    curves = [
        {"trial": "00000000000000aa", "epoch": epoch, "metric": metric, "value": 1 / epoch, "seconds": 1.0}
        for epoch in (1, 2, 4)
        for metric in ("loss", "infonce")
    ]
    results.write("mine", rows, curves, tmp_path / "results")
    return tmp_path


def test_what_a_tracker_is_told(folder):
    one, other = tracked(results.load("mine", folder / "results"), results.curves("mine", folder / "results"))
    assert one.settings == {
        "arm": "weak: [BA]",
        "method.tau": 0.07,
        "method.arrangement": '["BA", "NA"]',
        "epochs": 3,
        "type": "Trial",
    }
    assert one.curves["loss"] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert one.figures == {"linear": 0.75, "clustering nmi": 0.25}
    assert other.curves == {}
    assert other.figures == {"linear": 0.5}  # what failed has none
    assert flat({}) == {}


def test_tensorboard_reads_the_curves_back(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told = exported("mine", folder / "results", "tensorboard", str(folder / "runs"))
    assert told.startswith("2 of 2 trials are new to tensorboard")
    assert exported("mine", folder / "results", "tensorboard", str(folder / "runs")).startswith("0 of 2")
    (first,) = (folder / "runs" / "mine").glob("weak_BA_xsub_seed_0-*")
    read = accumulator.EventAccumulator(str(first)).Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert [event.value for event in read.Scalars("figure/linear")] == [0.75]
    assert "_hparams_/session_start_info" in read.summary_metadata
    assert b"method.tau" in read.summary_metadata["_hparams_/session_start_info"].plugin_data.content


@pytest.mark.filterwarnings("ignore:The ``noload`` loader")  # MLflow's own
def test_mlflow_reads_the_runs_back(folder):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'skelray[mlflow]'")
    to = folder / "lab"
    assert exported("mine", folder / "results", "mlflow", str(to)).startswith("2 of 2")
    assert exported("mine", folder / "results", "mlflow", str(to)).startswith("0 of 2")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{to / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    (first,) = [run for run in runs if run.data.tags["skelray.trial"] == "00000000000000aa"]
    assert first.info.run_name == "weak: [BA] xsub seed 0"
    assert first.data.params["method.tau"] == "0.07"
    assert [(one.step, one.value) for one in client.get_metric_history(first.info.run_id, "loss")] == [
        (1, 1.0),
        (2, 0.5),
        (4, 0.25),
    ]
    assert first.data.metrics["figure clustering nmi"] == 0.25


def test_what_mlflow_refuses_is_one_sentence(folder, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'skelray[mlflow]'")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(ValueError, match="--log mlflow: The filesystem tracking backend"):
        exported("mine", folder / "results", "mlflow", (folder / "plain").as_uri())


def test_wandb_keeps_runs_offline(folder, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'skelray[wandb]'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert exported("mine", folder / "results", "wandb", str(folder)).startswith("2 of 2")
    assert exported("mine", folder / "results", "wandb", str(folder)).startswith("0 of 2")
    (first,) = (folder / "wandb").glob("offline-run-*-00000000000000aa")
    (kept,) = first.glob("*.wandb")
    content = kept.read_bytes()
    assert b"infonce" in content
    assert b"0.07" in content
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(ValueError, match="--log wandb: "):
        exported("mine", folder / "results", "wandb", str(folder / "online"))


@pytest.mark.parametrize("tracker", TRACKERS)
def test_one_that_is_not_installed_is_one_sentence(folder, tracker, monkeypatch):
    monkeypatch.setitem(sys.modules, TRACKERS[tracker], None)
    with pytest.raises(ValueError, match=rf"is not installed; pip install 'skelray\[{tracker}\]'"):
        exported("mine", folder / "results", tracker, None)
