"""Running a study on Ray: the same rows as inline, lost workers, failures, sweeps, and the Trainables by hand."""

import os
import signal

import pytest
from small_study import ABLATION, SWEEP, TINY, assert_same, inline, make_run, study_file, table
from test_runner import FAILING, Heard

pytestmark = pytest.mark.ray


def on_ray(cluster, path, folder, data, **scale):
    run, module = make_run(path, folder, data, **scale)
    heard = Heard()
    cluster.run_on_ray(run, module, heard, cluster.Cluster())
    return table(folder, run.name), heard


def test_the_same_rows_as_inline_to_the_last_digit(cluster, tmp_path, synthetic_data):
    path = study_file(tmp_path, ABLATION)
    ray_rows, heard = on_ray(cluster, path, tmp_path / "ray", synthetic_data)
    assert set(heard.statuses.values()) == {"done"}
    assert len(heard.trained) == 2 * 3  # arms, epochs: the driver hears every one
    assert_same(ray_rows, inline(path, tmp_path / "inline", synthetic_data))
    _, again = on_ray(cluster, path, tmp_path / "ray", synthetic_data)
    assert again.trained == []


LOST = """
    @dataclass(frozen=True)
    class Deadly:
        marker: str
        def __call__(self, view):
            if view.draws.epoch == 2 and not Path(self.marker).exists():
                Path(self.marker).touch()
                os.kill(os.getpid(), 9)
            return view

    study = Ablation(base=base, arms=[
        Arm("lost", {"arrangement": (AugmentationSet("lost", (Deadly("MARKER"),)),)}),
        Arm("sound", {"arrangement": (BA,)}),
    ])
"""


def test_a_lost_worker_costs_an_epoch_at_most(cluster, tmp_path, synthetic_data):
    path = study_file(tmp_path, LOST.replace("MARKER", str(tmp_path / "marker")))
    rows, heard = on_ray(cluster, path, tmp_path / "ray", synthetic_data)
    assert (tmp_path / "marker").exists()
    assert set(heard.statuses.values()) == {"done"}
    assert_same(rows, inline(path, tmp_path / "inline", synthetic_data))


def test_a_failure_costs_itself_alone(cluster, tmp_path, synthetic_data):
    rows, heard = on_ray(cluster, study_file(tmp_path, FAILING), tmp_path, synthetic_data)
    assert sorted(heard.statuses.values()) == ["done", "failed", "failed", "failed"]
    errors = rows[rows["status"] == "failed"].groupby("arm")["error"].first()
    assert errors["raises"].startswith("error: no such joint")
    assert errors["nan"].startswith("diverged")
    assert errors["memory"].startswith("out of memory")


def test_a_sweep_ends_every_sample_and_keeps_every_reading(cluster, tmp_path, synthetic_data):
    rows, heard = on_ray(cluster, study_file(tmp_path, SWEEP), tmp_path, synthetic_data)
    searched = rows[rows["metric"] == "held_out_top1"]
    assert len(searched) == 5
    assert set(searched["status"]) <= {"done", "stopped"}
    assert searched["value"].between(0, 1).all()
    assert set(heard.statuses) == {"published", *(f"sample {n}" for n in range(1, 5))}


def test_a_trial_that_no_node_can_hold_is_said_at_once(cluster):
    with pytest.raises(ValueError, match="no node of the cluster can hold a trial"):
        cluster.slots({"cpu": 1000.0})


def config(data, **fields):
    return {"data": str(data), "benchmark": "synthetic", "protocol": "xview", "epochs": 2, **dict(TINY), **fields}


def test_the_trainable_by_hand_without_a_cluster(tmp_path, synthetic_data):
    from skelray.trainables import HiCLRTrainable

    trainable = HiCLRTrainable(config(synthetic_data, lambda_h=0.7))
    first = trainable.train()
    assert first["epoch"] == 1
    kept = trainable.save(str(tmp_path))
    last = trainable.train()
    assert last["done"]
    assert 0 <= last["knn_top1"] <= 1
    trainable.restore(kept)
    again = trainable.train()
    assert again["loss"] == last["loss"]
    assert again["linear_top1"] == last["linear_top1"]
    assert trainable.reset_config(config(synthetic_data, lambda_h=0.7))
    assert trainable.step()["loss"] == first["loss"]
    with pytest.raises(ValueError, match="no field 'lambda'"):
        HiCLRTrainable(config(synthetic_data, **{"lambda": 1}))


def test_the_trainable_in_a_tuner(cluster, tmp_path, synthetic_data):
    from ray import tune

    from skelray.trainables import HiCLRTrainable

    space = config(synthetic_data, lambda_h=tune.loguniform(0.05, 5), seed=tune.grid_search([0, 1]))
    found = tune.Tuner(
        HiCLRTrainable,
        param_space=space,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1)
        ),
    ).fit()
    assert not found.errors
    assert {result.metrics["epoch"] for result in found} == {2}
    assert all(result.checkpoint is not None for result in found)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, 12, 16])
def test_a_killed_driver_loses_nothing(tmp_path, synthetic_data, seconds):
    import subprocess
    import sys
    import time

    path = study_file(tmp_path, ABLATION)
    settings = [word for name, value in TINY for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-c", "from skelray.cli import main; main()", "run", str(path), *settings]
    command += ["--benchmark", "synthetic", "--protocol", "xview", "--epochs", "6", "--seeds", "2"]
    command += ["--data", str(synthetic_data), "--device", "cpu"]
    started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scale = {"epochs": 6, "seeds": (0, 1)}
    assert_same(table(tmp_path), inline(path, tmp_path / "inline", synthetic_data, **scale))
