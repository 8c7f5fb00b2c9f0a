"""Running a study on Ray: the same rows as inline, lost workers, failures, sweeps, and the Trainables by hand."""

import contextlib
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from small_study import ABLATION, FAILING, SWEEP, TINY, Heard, assert_same, inline, make_run, study_file, table
from test_restarts import ENDING, check_ending

from skelray.checks import UserError
from skelray.runner.job import Job
from skelray.store.store import Store

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
    assert set(ray_rows["device"]) == {"cpu, 1 thread"}
    assert_same(ray_rows, inline(path, tmp_path / "inline", synthetic_data))
    _, again = on_ray(cluster, path, tmp_path / "ray", synthetic_data)
    assert again.trained == []


LOST = """
    import logging

    @dataclass(frozen=True)
    class Deadly:
        marker: str
        def __call__(self, view):
            if view.draws.epoch == 2 and not Path(self.marker).exists():
                Path(self.marker).touch()
                logging.getLogger("skelray").warning("its last words")
                os.kill(os.getpid(), 9)
            return view

    study = Ablation(base=base, arms=[
        Arm("lost", {"arrangement": (AugmentationSet("lost", (Deadly("MARKER"),)),)}),
        Arm("sound", {"arrangement": (BA,)}),
    ])
"""


ALL = """
    study = Ablation(base=base, arms=[*study.arms, *failing.arms[:2], failing.arms[3], *ending.arms[:-1]])
"""


def test_a_lost_worker_costs_an_epoch_at_most(cluster, tmp_path, synthetic_data, caplog):
    """And whatever else may befall a trial costs it alone: one study of all, as each has workers to start."""
    lost = LOST.replace("MARKER", str(tmp_path / "marker"))
    kinds = [FAILING, "    failing = study", ENDING, "    ending = study", lost, ALL]
    rows, heard = on_ray(cluster, study_file(tmp_path, "\n".join(kinds)), tmp_path / "ray", synthetic_data)
    assert (tmp_path / "marker").exists()
    assert caplog.messages.count("its last words") == 1  # of a process that was killed before its next report
    check_ending(rows[~rows["arm"].isin(["raises", "nan", "memory", "lost"])])
    errors = rows[rows["status"] == "failed"].groupby("arm")["error"].first()
    assert errors["raises"].startswith("error: no such joint")
    assert errors["nan"].startswith("diverged")
    assert errors["memory"].startswith("out of memory")
    assert heard.statuses == {f"{arm} xview seed 0": "failed" if arm in errors else "done" for arm in set(rows["arm"])}
    spared = rows[rows["arm"].isin(["lost", "sound"])].drop(columns="spec")
    path = study_file(tmp_path, lost)
    assert_same(spared, inline(path, tmp_path / "inline", synthetic_data).drop(columns="spec"))


def test_a_trial_that_no_node_can_hold_is_said_at_once(cluster):
    with pytest.raises(ValueError, match="no node of the cluster can hold a trial"):
        cluster.Nodes({"cpu": 1000.0}).check_slots()


def config(data, **fields):
    return {"data": str(data), "benchmark": "synthetic", "protocol": "xview", "epochs": 2, **dict(TINY), **fields}


def test_the_trainable_by_hand_without_a_cluster(tmp_path, synthetic_data):
    from skelray.runner.trainables import HiCLRTrainable

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

    from skelray.runner.trainables import HiCLRTrainable

    space = config(synthetic_data, lambda_h=tune.loguniform(0.05, 5), seed=tune.choice([1]))
    found = tune.Tuner(
        HiCLRTrainable,
        param_space=space,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1)
        ),
    ).fit()
    assert not found.errors
    (result,) = found
    assert result.metrics["epoch"] == 2
    assert result.checkpoint is not None


def test_nothing_left_to_train_is_evaluated_and_not_trained(tmp_path, synthetic_data):
    from skelray.runner.trainables import HiCLRTrainable

    untrained = HiCLRTrainable(config(synthetic_data, epochs=0)).train()
    assert (untrained["epoch"], untrained["done"], "loss" in untrained) == (0, True, False)
    assert 0 <= untrained["knn_top1"] <= 1
    trainable = HiCLRTrainable(config(synthetic_data, epochs=1))
    last = trainable.train()
    kept = trainable.save(str(tmp_path))
    trainable.restore(kept)
    again = trainable.train()
    names = ("epoch", "done", "loss", "knn_top1", "linear_top1")
    assert [again[name] for name in names] == [last[name] for name in names]


def test_every_method_has_a_trainable(synthetic_data):
    """An epoch of a small configuration each, by the names of its fields."""
    from skelray import Linear
    from skelray.backbones import Hierarchical, Transformer
    from skelray.runner import trainables

    small = dict(TINY)
    backbone = Hierarchical(hidden_dim=8, granularity=2, s2s=Transformer(heads=2), frames=64)
    hico = {"batch_size": 16, "queue": 32, "dim": 8, "backbone": backbone}
    for name, fields in {"SkeletonCLR": small, "CrosSCLR": small, "AimCLR": small, "HiCLR": small, "HiCo": hico}.items():
        trainable = getattr(trainables, f"{name}Trainable")
        settings = {"data": str(synthetic_data), "benchmark": "synthetic", "protocol": "xview", "epochs": 1}
        result = trainable({**settings, **fields, "evaluations": (Linear(epochs=2),)}).train()
        assert result["done"], name
        assert result["loss"] > 0, name
        assert 0 <= result["linear_top1"] <= 1, name


# What Ray tells the driver, without Ray


class Ended:
    def __init__(self):
        self.ends, self.context = [], SimpleNamespace(tolerating_write_errors=lambda what: contextlib.nullcontext())

    def ended(self, job, status):
        self.ends.append((job.number, status))


def reporting_on(jobs):
    ray_runner = pytest.importorskip("skelray.runner.on_ray")
    given = ray_runner.JobSearcher(iter(jobs))
    nodes = ray_runner.Nodes({"cpu": 1.0})
    nodes.slots = lambda: 8
    return given, ray_runner.ReportingScheduler(Ended(), given, Heard(), nodes)


def job(folder, number, name="a"):
    from tiny import TRIAL

    return Job(number, name, TRIAL, Store(folder).trial(f"{number:016x}"))


def test_two_jobs_of_one_name_both_end(tmp_path):
    jobs, reporting = reporting_on([job(tmp_path, 0), job(tmp_path, 1)])
    first, second = (jobs.given[id] for id in "xy" if jobs.suggest(id))
    reporting.end_job(first, "done")
    assert jobs.suggest("z") is None  # what is under way may be lost, and come again
    assert not jobs.is_over()
    reporting.end_job(second, "failed")
    reporting.end_job(second, "done")
    assert reporting.run.ends == [(0, "done"), (1, "failed")]
    assert jobs.suggest("z") == jobs.FINISHED
    assert jobs.is_over()


def test_a_lost_worker_is_not_taken_for_an_earlier_failure(tmp_path):
    one = job(tmp_path, 0)
    one.stored.save_failure(one.trial.epochs, {"cause": "error", "line": "of last week", "traceback": ""})
    jobs, reporting = reporting_on([one])
    for attempt in "xyz":
        assert pickle.loads(jobs.suggest(attempt)["trial"]) == one.trial
        assert reporting.statuses == {}
        jobs.on_trial_complete(attempt, error=True)
    assert one.stored.failure(one.trial.epochs)["cause"] == "worker lost"


class Attempt:
    """What a scheduler sees of Tune's trial."""

    def __init__(self, id, error_file=None, pickled=None):
        self.pickled_error_file = pickled
        self.trial_id, self.error_file, self.status = id, error_file, "PENDING"


def test_what_lost_attempts_ended_in_is_in_the_row(tmp_path):
    one = job(tmp_path, 0)
    jobs, reporting = reporting_on([one])
    (tmp_path / "error.txt").write_text("ModuleNotFoundError: No module named 'skelray'")
    for attempt in "xyz":
        jobs.suggest(attempt)
        reporting.on_trial_error(None, Attempt(attempt, str(tmp_path / "error.txt")))
        jobs.on_trial_complete(attempt, error=True)
    kept = one.stored.failure(one.trial.epochs)
    assert "lost or did not start, 3 times" in kept["line"]
    assert "ModuleNotFoundError" in kept["traceback"]


def test_the_driver_keeps_a_failure_that_the_worker_could_not(tmp_path):
    one = job(tmp_path, 0)
    jobs, reporting = reporting_on([one])
    jobs.suggest("x")
    failed = {"failed/cause": "input or output", "failed/line": "no such bucket", "failed/traceback": ""}
    reporting.on_trial_complete(None, Attempt("x"), {"done": True, "epoch": 0, **failed})
    assert list(reporting.statuses.values()) == ["failed"]
    assert one.stored.failure(one.trial.epochs)["line"] == "no such bucket"


def test_tune_keeps_next_to_nothing_of_an_attempt_that_has_ended(tmp_path):
    """Else the driver would grow with every cell."""
    from ray.tune.experiment import Trial as TuneTrial

    jobs, reporting = reporting_on([job(tmp_path, 0)])
    attempt = TuneTrial("any", stub=True, trial_id="x", config=jobs.suggest("x"))
    attempt.update_last_result({"epoch": 1, "peak": 1.0, "training_iteration": 1})
    reporting.on_trial_complete(None, attempt, {"done": True, "failed/line": "any", "failed/cause": "any"})
    reporting.nodes.fit = set
    controller = SimpleNamespace(get_trials=list, get_live_trials=set)
    reporting.choose_trial_to_run(controller)
    assert attempt.metric_analysis["epoch"]["last"] == 1  # Tune is not done with it
    attempt.set_status("TERMINATED")
    reporting.choose_trial_to_run(controller)
    assert [attempt.metric_analysis, attempt.metric_n_steps, attempt.config] == [{}] * 3
    assert reporting._over == []


def test_tune_says_nothing_of_files_that_nobody_writes():
    ray_runner = pytest.importorskip("skelray.runner.on_ray")
    analysis = logging.getLogger("ray.tune.analysis.experiment_analysis")
    before = analysis.getEffectiveLevel()
    with ray_runner._quiet():
        assert not analysis.isEnabledFor(logging.WARNING)
    assert analysis.getEffectiveLevel() == before


def test_a_stopping_rule_that_fails_costs_its_sample(tmp_path):
    one = job(tmp_path, 0)
    jobs, reporting = reporting_on([one])
    jobs.suggest("x")

    def failing(job, report, source):
        raise UserError("study.py, line 3: the stopping rule fails")

    reporting.run.should_continue = failing
    result = {"epoch": 1, "epoch_seconds": 0.0, "replayed": False, "metrics/loss": 1.0, "source/device": "abacus"}
    assert reporting.on_trial_result(None, Attempt("x"), result) == reporting.STOP
    assert list(reporting.statuses.values()) == ["failed"]
    kept = one.stored.failure(one.trial.epochs)
    assert (kept["line"], kept["device"]) == ("study.py, line 3: the stopping rule fails", "abacus")


def test_a_worker_without_the_device_says_so(tmp_path, synthetic_data, monkeypatch):
    from skelray.runner.trainables import StudyTrainable
    from skelray.runner.worker_log import WarningCollector

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)

    class Here(StudyTrainable):
        def setup(self, config):
            super().setup(config, replace(run.settings, device="cuda"))

    one = next(run.jobs())
    worker = Here({"attempt": "x", "id": one.stored.id, "epochs": 3, "trial": pickle.dumps(one.trial)})
    result = worker.train()
    worker.stop()
    assert not [handler for handler in logging.getLogger("skelray").handlers if isinstance(handler, WarningCollector)]
    assert result["done"]
    assert "no CUDA device" in result["failed"]["line"]
    assert "no CUDA device" in one.stored.failure(3)["line"]


@pytest.mark.parametrize(
    ("name", "joined", "gpus", "expected"),
    [
        (None, True, 2, "cuda"),
        (None, True, 0, "cpu"),
        (None, False, 2, "cpu"),  # of this machine, and its torch knows no CUDA
        ("cuda", True, 2, "cuda"),
        ("cuda:0", True, 2, "cuda"),
        ("cpu", True, 2, "cpu"),
        ("cuda", True, 0, "no node of the cluster has a GPU"),
        ("cuda", False, 0, "this machine has no CUDA device"),
        ("cuda:1", True, 2, "Ray gives each trial a GPU of its own"),
        ("gpu", True, 2, "none of cpu, cuda"),
    ],
)
def test_the_cluster_decides_the_device(monkeypatch, name, joined, gpus, expected):
    ray_runner = pytest.importorskip("skelray.runner.on_ray")
    monkeypatch.setattr(ray_runner.ray, "cluster_resources", lambda: {"CPU": 2.0, **({"GPU": gpus} if gpus else {})})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if expected in ("cuda", "cpu"):
        assert ray_runner.device_of_trials(name, joined) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            ray_runner.device_of_trials(name, joined)


def test_workers_get_the_decided_device_and_a_share_of_a_gpu(tmp_path, synthetic_data, monkeypatch):
    ray_runner = pytest.importorskip("skelray.runner.on_ray")
    run, _ = make_run(study_file(tmp_path, SWEEP), tmp_path, synthetic_data)
    run.settings, given = replace(run.settings, device=None, threads=3), []
    monkeypatch.setattr(ray_runner.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_runner.ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": 1.0})
    monkeypatch.setattr(ray_runner, "_fit", lambda run, *given_: given.extend(given_))
    ray_runner.run_on_ray(run, None, Heard(), ray_runner.Cluster(per_gpu=4))
    ray_runner.run_on_ray(run, None, Heard(), ray_runner.Cluster(per_gpu=4, lanes=4))  # a pack has a GPU to itself
    settings, resources = given[::4], given[1::4]
    assert [one.device for one in settings] == ["cuda", "cuda"]
    assert [one.lanes for one in settings] == [1, 4]
    assert resources == [{"cpu": 3.0, "gpu": 0.25}, {"cpu": 3.0, "gpu": 1.0}]


# Killed drivers


def command(path, data, *options):
    """The study's run as a user starts it, at the scale of SCALE but for the options."""
    settings = [word for name, value in TINY for word in ("--set", f"{name}={value}")]
    scale = ["--benchmark", "synthetic", "--protocol", "xview", "--data", str(data), "--device", "cpu", "--name", "small"]
    return [sys.executable, "-c", "from skelray.cli.main import main; main()", "run", str(path), *settings, *scale, *options]


def stopped_when(event, how, command, folder):
    """Starts the command in the folder and sends the signal at the event; its exit status and standard error.

    SIGKILL goes to all of its process group, as when a machine goes down; SIGINT to the driver.
    """
    with open(folder / "errors.txt", "w+") as errors:
        # a shell's background job ignores SIGINT, and so would all that it starts
        heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        driver = subprocess.Popen(
            command, cwd=folder, stdout=errors, stderr=errors, start_new_session=True, preexec_fn=heeds
        )
        deadline = time.monotonic() + 900
        while not event() and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if how == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself: its status and errors say why
                os.killpg(driver.pid, how)
        else:
            driver.send_signal(how)
        status = driver.wait(timeout=300)
        errors.seek(0)
        return status, errors.read()


def files(folder, *patterns):
    return sorted(path for pattern in patterns for path in folder.glob(f"store/{pattern}"))


def more(folder, pattern, number=1):
    """An event: so many more such files in the store than there are now."""
    before = len(files(folder, pattern))
    return lambda: len(files(folder, pattern)) >= before + number


CHECKPOINT, RESULT, ENCODER = "*/checkpoint.pt", "*/*-*.npz", "*/encoder-*.pt"


class Kept:
    """What a kill left of finished work: encoders and results as they are, epochs with the seconds they took."""

    def __init__(self, folder):
        self.folder = folder
        work = files(folder, ENCODER, RESULT, "*/[0-9]*-*.json", "*/spec.json")
        self.work = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in work}
        self.histories = {path.parent.name: self.history(path.parent.name) for path in files(folder, CHECKPOINT)}

    def history(self, id):
        return (Store(self.folder / "store").trial(id).state() or {"history": []})["history"]

    def check(self):
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in self.work} == self.work
        for id, history in self.histories.items():
            assert self.history(id)[: len(history)] == history


@pytest.mark.parametrize(
    "events",
    [
        [(CHECKPOINT, 3)],  # the third trial has begun, and so one of the two before it has ended
        pytest.param([("*/spec.json", 1), (CHECKPOINT, 2), (ENCODER, 1), (RESULT, 1), (RESULT, 1)], marks=pytest.mark.slow),
    ],
    ids=lambda events: f"{len(events)} kills",
)
def test_a_killed_driver_loses_nothing(cluster, tmp_path, synthetic_data, events):
    path, kept = study_file(tmp_path, ABLATION), []
    words = command(path, synthetic_data, "--epochs", "3", "--seeds", "2")
    for pattern, number in events:
        status, errors = stopped_when(more(tmp_path, pattern, number), signal.SIGKILL, words, tmp_path)
        assert status == -signal.SIGKILL, errors
        kept.append(Kept(tmp_path))
    assert any(left.histories for left in kept)  # a kill at the first spec.json leaves none
    assert kept[-1].work
    rows, _ = on_ray(cluster, path, tmp_path, synthetic_data, seeds=(0, 1))
    for left in kept:
        left.check()
    whole = inline(path, tmp_path / "inline", synthetic_data, seeds=(0, 1))
    assert_same(rows.drop(columns="commit"), whole.drop(columns="commit"))  # a checkout may move on meanwhile


def ledger(folder):
    """The recorded samples by number."""
    entries = [json.loads(path.read_text()) for path in files(folder, "sweeps/*/*.json")]
    return {entry["number"]: entry for entry in entries}


def ended(folder, number):
    """An event: so many samples have ended."""
    return lambda: sum(entry["status"] != "running" for entry in ledger(folder).values()) >= number


@pytest.mark.parametrize(
    "signals",
    [[(1, signal.SIGINT)], pytest.param([(1, signal.SIGINT), (3, signal.SIGKILL)], marks=pytest.mark.slow)],
    ids=["interrupted", "interrupted and killed"],
)
def test_a_sweep_loses_nothing(cluster, tmp_path, synthetic_data, signals):
    path, left = study_file(tmp_path, SWEEP), []
    words = command(path, synthetic_data, "--epochs", "3", "--samples", "6")
    for number, how in signals:
        status, errors = stopped_when(ended(tmp_path, number), how, words, tmp_path)
        if how == signal.SIGINT:
            assert (status, "interrupted; the same command goes on" in errors) == (130, True), errors
            assert not files(tmp_path, RESULT)  # nothing is evaluated on the test split before the search is over
        else:
            assert status == -how, errors
        left.append((ledger(tmp_path), Kept(tmp_path)))
    same = {"samples": 6, "seeds": None, "changes": tuple((name, str(value)) for name, value in TINY)}  # as in the command
    rows, _ = on_ray(cluster, path, tmp_path, synthetic_data, **same)
    last = ledger(tmp_path)
    assert sorted(last) == list(range(6))
    assert {entry["status"] for entry in last.values()} <= {"done", "stopped"}
    for entries, kept in left:
        kept.check()
        for number, entry in entries.items():
            if entry["status"] != "running":
                assert last[number] == entry
            assert all(last[number]["readings"][seed].items() >= own.items() for seed, own in entry["readings"].items())
            assert all(last[number][name] == entry[name] for name in ("params", "distributions", "started"))
    searched = rows[rows["metric"] == "held_out_top1"]
    assert searched["arm"].nunique() == 6
    assert set(searched["status"]) <= {"done", "stopped"}
    assert searched["value"].between(0, 1).all()
    assert "published (test)" in set(rows["arm"])


# What is read in the end

SIDE_BY_SIDE = """
    from skelray import Clustering, Ensemble
    base = replace(base, evaluations=(KNN(), Clustering(classes=3, keep=True)))
    study = Ablation(base=base, across={"stream": ["joint", "bone"]}, ensemble=Ensemble({"joint": 1.0, "bone": 1.0}),
                     published_by="clustering", arms=[Arm("apart", {"arrangement": (BA,)})])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fusion", "clustering"])
def test_what_is_read_in_the_end_is_read_by_workers(cluster, tmp_path, synthetic_data, monkeypatch, kind):
    """And the driver, which has no use for a model, ends with the rows of a run inline."""
    from test_work import FUSION

    path = study_file(tmp_path, {"fusion": FUSION, "clustering": SIDE_BY_SIDE}[kind])
    with monkeypatch.context() as patch:
        patch.setattr("skelray.training.Pretraining.__init__", None)
        patch.setattr("skelray.evaluation.clustering.Clustering.fused", lambda *given: pytest.fail("in the driver"))
        rows, heard = on_ray(cluster, path, tmp_path / "ray", synthetic_data, epochs=1, samples=5)
    assert sum(job.final for job in heard.jobs) == {"fusion": 2, "clustering": 1}[kind]
    assert set(rows["status"]) == {"done"}
    assert_same(rows, inline(path, tmp_path / "inline", synthetic_data, epochs=1, samples=5))
    _, again = on_ray(cluster, path, tmp_path / "ray", synthetic_data, epochs=1, samples=5)
    assert again.jobs == []
