"""Clusters: one of the run's own whatever else there is, joining in a sentence or not at all, and nodes that are unfit."""

import os
import pickle
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray_nodes import ray_nodes
from small_study import ABLATION, assert_same, inline, make_run, study_file, table
from test_ray import command

from skelray.checks import UserError
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.runner.joining import _refusal, check_token, resolve_address
from skelray.runner.own_folder import folder_for_ray
from skelray.store.store import Store

pytest.importorskip("ray")


# Joining


def test_an_address_without_a_head_is_said_at_once(monkeypatch):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{one.getsockname()[1]}"
    with pytest.raises(UserError, match="no Ray head answers there"):
        resolve_address(dead)
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(UserError, match=f"^address 'auto' follows RAY_ADDRESS={dead}: no Ray head answers there"):
        resolve_address("auto")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UserError, match=r"^address 'auto' follows RAY_ADDRESS=ray://head:10001: give HOST:PORT of the head"):
        resolve_address("auto")
    for wrong in ("nonsense", "ray://head:10001", "head:99999999", ":6379"):
        with pytest.raises(UserError, match="give HOST:PORT of the head"):
            resolve_address(wrong)


@pytest.mark.parametrize(
    ("told", "mode", "said"),
    [
        ("AuthenticationError: ... but no authentication token was found. Ensure", "token", "there is none here: copy that"),
        ("Failed: Unauthenticated: RPC error: InvalidAuthToken", "token", "does not take the token from here"),
        ("Failed: Unauthenticated: RPC error: InvalidAuthToken", None, "set RAY_AUTH_MODE=token"),
        (
            "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.12.1\n"
            "This process on node 1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n",
            "token",
            "it has Ray 2.50.0 Python 3.12.1, here is Ray 2.60.0 Python 3.11.9; install the same on both",
        ),
        ("ConnectionError: Could not find any running Ray instance. Please", None, "no Ray runs on this machine"),
        (
            "[warn]\nConnectionError: Failed to connect to Ray cluster at x:1\n",
            None,
            "Failed to connect to Ray cluster at x:1",
        ),
    ],
)
def test_why_a_cluster_cannot_be_joined_is_one_sentence(monkeypatch, told, mode, said):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    found = _refusal("auto", told, 25.0)
    assert said in found
    assert "\n" not in found


def test_a_machine_that_answers_and_is_no_head_is_said_in_time(monkeypatch):
    """A listener that never says a word."""
    monkeypatch.setattr("skelray.runner.joining.PATIENCE", 3.0)
    monkeypatch.setattr("skelray.runner.joining.IMPORTS", 0.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(UserError, match=r"did not take this run .no answer in 3 s.*is its head alive"):
            resolve_address(f"127.0.0.1:{mute.getsockname()[1]}")


def test_a_file_of_a_token_that_is_not_there_is_said_before_ray_starts(tmp_path, monkeypatch):
    from skelray.runner.cluster import Cluster, join_or_start

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UserError, match="no token is there"):
        resolve_address("auto")
    with pytest.raises(UserError, match="no token is there"), join_or_start(Cluster(tmp=Path("/tmp"))):
        pass
    (tmp_path / "token").write_text("ab" * 32)
    check_token()


@pytest.mark.ray
def test_a_busy_machine_joins_a_healthy_cluster(cluster, monkeypatch):
    """One on which importing ray alone takes longer than the cluster is given."""
    monkeypatch.setattr("skelray.runner.joining.PATIENCE", 0.01)
    address = cluster.ray.get_runtime_context().gcs_address
    assert resolve_address(address) == address


# A folder for Ray's files


def test_the_folder_of_ray_is_gone_at_the_end_and_that_of_a_killed_run_too():
    short = Path("/tmp") / f"sr{os.getpid()}"
    try:
        with folder_for_ray(short) as folder:
            (folder / "session").mkdir()
            killed = short / "skelray-ray-99999999-abc"
            killed.mkdir()
            (killed / "held").touch()  # its lock went with its process
            elsewhere = folder.rename(short / "skelray-ray-99999998-abc")  # a number of another container's process
            with folder_for_ray(short) as other:
                assert other.is_dir()
                assert elsewhere.is_dir()
                assert not killed.exists()
            elsewhere.rename(folder)
        assert list(short.iterdir()) == []
    finally:
        shutil.rmtree(short, ignore_errors=True)


def test_a_folder_that_ray_cannot_use_is_one_sentence(tmp_path, monkeypatch):
    with (
        pytest.raises(UserError, match=r"too long a path for Ray's sockets.*--ray-tmp"),
        folder_for_ray(tmp_path / ("x" * 90)),
    ):
        pass
    with (
        pytest.raises(UserError, match=r"cannot keep its files in /dev/null/x.*--ray-tmp"),
        folder_for_ray(Path("/dev/null/x")),
    ):
        pass
    usage = shutil.disk_usage("/tmp")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(UserError, match=r"1 MiB are free.*--ray-tmp"), folder_for_ray(Path("/tmp")):
        pass


# Whole clusters


def run_joined(nodes, path, data, folder, *options, **env):
    """The study's run as a user starts it on the cluster; its exit status and standard error."""
    folder.mkdir(exist_ok=True)
    words = command(path, data, "--address", nodes.address, "--epochs", "2", "--seeds", "2", *options)
    done = subprocess.run(
        words, cwd=folder, env={**nodes.env, **env}, capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, done.stderr


needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="no mount namespaces of one's own here (unshare -m)",
)


@pytest.mark.slow
@needs_namespaces
@pytest.mark.parametrize("hidden", ["store", "data", "other data"])
def test_a_node_that_does_not_share_the_store_or_the_data_is_set_aside(tmp_path, synthetic_data, hidden):
    """Alone it is refused before anything trains; beside a sound node all trials go there."""
    data = tmp_path / "data"
    shutil.copytree(synthetic_data, data)
    folder = tmp_path / "on_ray"
    (folder / "store").mkdir(parents=True)
    path = study_file(tmp_path, ABLATION)
    place, instead = {"store": folder / "store"}.get(hidden, data), None
    if hidden == "other data":
        instead = tmp_path / "other"
        prepare(synthetic(subjects=3, replications=1), None, instead, Preprocessing("centred", 16))
    with ray_nodes() as nodes:
        nodes.add(hidden=place, instead=instead)
        status, said = run_joined(nodes, path, data, folder)
        assert status == 2, said
        assert "no node of the cluster may run a trial" in said
        why = {
            "store": "does not see the driver's store",
            "data": "cannot read the data",
            "other data": "is other data than",
        }
        assert why[hidden] in said
        nodes.add()
        status, said = run_joined(nodes, path, data, folder)
        assert status == 0, said
        assert "is set aside" in said
    assert_same(table(folder), inline(path, tmp_path / "inline", data, epochs=2, seeds=(0, 1)))


@pytest.mark.slow
def test_a_node_whose_skelray_is_another_is_set_aside(tmp_path, synthetic_data):
    root, path = Path(__file__).resolve().parents[2], study_file(tmp_path, ABLATION)
    shutil.copytree(root / "skelray", tmp_path / "edited" / "skelray", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "edited" / "skelray" / "methods" / "moco.py").open("a") as file:
        file.write("# edited\n")
    with ray_nodes() as nodes:
        nodes.add(env={"PYTHONPATH": str(tmp_path / "edited")})
        status, said = run_joined(nodes, path, synthetic_data, tmp_path / "on_ray")
        assert status == 2, said
        assert "is other code than the driver's: install the same on both" in said.splitlines()[-1]
        nodes.add()
        status, said = run_joined(nodes, path, synthetic_data, tmp_path / "on_ray")
        assert status == 0, said
        assert "is set aside" in said


@pytest.mark.slow
def test_a_token_is_asked_for_by_name(tmp_path, synthetic_data):
    path = study_file(tmp_path, ABLATION)
    with ray_nodes(cpus=1) as nodes:
        for env, said in (
            ({"RAY_AUTH_TOKEN": "ab" * 32}, "does not take the token from here: it is that of RAY_AUTH_TOKEN"),
            (
                {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none"), "RAY_AUTH_TOKEN": ""},
                "no token is there",
            ),
        ):
            status, told = run_joined(nodes, path, synthetic_data, tmp_path / "joined", **env)
            assert status == 2, told
            assert said in told.splitlines()[-1]


@pytest.mark.slow
def test_a_run_has_ray_of_its_own_whatever_runs_beside_it(tmp_path, synthetic_data):
    """RAY_ADDRESS names a dead head and HOME cannot be written to."""
    path = study_file(tmp_path, ABLATION)
    env = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    env |= {"RAY_ADDRESS": "127.0.0.1:1", "HOME": "/proc/nowhere"}
    short = Path(f"/tmp/o{os.getpid()}")
    words = command(path, synthetic_data, "--epochs", "1", "--ray-tmp", str(short))
    try:
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "RAY_ADDRESS=127.0.0.1:1 is not followed" in done.stderr
        assert list(short.iterdir()) == []
    finally:
        shutil.rmtree(short, ignore_errors=True)


@pytest.mark.slow
def test_nodes_that_are_lost_and_come_cost_no_row(tmp_path, synthetic_data):
    """Of three nodes two are killed at random moments, then all are gone for a while, and one joins."""
    path = study_file(tmp_path, ABLATION)
    folder = tmp_path / "on_ray"
    folder.mkdir()
    draw = random.Random(0)
    with ray_nodes() as nodes, open(folder / "errors.txt", "w+") as errors:
        there = [nodes.add() for _ in range(3)]
        words = command(path, synthetic_data, "--epochs", "80", "--seeds", "2", "--address", nodes.address)
        driver = subprocess.Popen(words, cwd=folder, env=nodes.env, stdout=errors, stderr=errors)

        def saved():
            return len(list(folder.glob("store/*/checkpoint.pt")))

        for node, event in zip(there, (lambda: saved() >= 1, lambda: saved() >= 2, lambda: True), strict=True):
            while not event() and driver.poll() is None:
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 3))
            assert driver.poll() is None, (folder / "errors.txt").read_text()
            nodes.lose(node)
        deadline = time.monotonic() + 120
        while "no node of the cluster can hold a trial now" not in (folder / "errors.txt").read_text():
            assert driver.poll() is None, (folder / "errors.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        nodes.add()
        status = driver.wait(timeout=600)
        said = (folder / "errors.txt").read_text()
    assert status == 0, said
    assert "a node has joined: trials go on" in said
    assert "Traceback" not in said
    whole = inline(path, tmp_path / "inline", synthetic_data, epochs=80, seeds=(0, 1))
    assert_same(table(folder).drop(columns="commit"), whole.drop(columns="commit"))


# A worker that says what is not so


def test_done_is_believed_only_where_the_store_has_it(tmp_path, synthetic_data):
    from test_ray import Attempt, reporting_on

    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=1)
    jobs, reporting = reporting_on(list(run.work.jobs))
    reporting.run.context = run.context
    jobs.suggest("x")
    jobs.suggest("y")
    reporting.on_trial_complete(None, Attempt("x"), {"done": True, "epoch": 1, "node": "abc"})
    assert list(reporting.statuses.values()) == ["failed"]
    reporting.end_job(jobs.given["y"], "stopped")  # by the run: Tune says so once more
    reporting.on_trial_complete(None, Attempt("y"), {"done": True, "epoch": 1, "node": "sound"})
    assert list(reporting.statuses.values()) == ["failed", "stopped"]
    assert list(reporting.nodes.excluded) == ["abc"]
    assert run.work.jobs[0].stored.failure(1)["cause"] == "store"


def test_a_worker_of_a_node_with_other_data_is_unfit_and_costs_the_trial_nothing(tmp_path, synthetic_data):
    from dataclasses import replace

    from ray.exceptions import RayTaskError
    from test_ray import Attempt, reporting_on

    from skelray.runner.fit import Unfit, check_fit, why_unfit, write_needs

    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=1)
    job = run.work.jobs[0]
    needs = write_needs(run.context, [job.trial])
    assert why_unfit(run.settings, needs) == ""
    check_fit(run.settings, needs, job.trial, "n")
    other = replace(needs, data=tuple((*one[:2], "0" * 16) for one in needs.data))
    changed = replace(needs, software={**needs.software, "numpy": "0.0"})
    with pytest.raises(Unfit, match=r"and the driver has numpy 0\.0"):
        check_fit(run.settings, changed, job.trial, "node7")
    with pytest.raises(Unfit, match="other data than the driver's") as found:
        check_fit(run.settings, other, job.trial, "node7")
    assert "does not see the driver's store" in why_unfit(replace(run.settings, store=str(tmp_path / "own")), needs)
    jobs, reporting = reporting_on([job])
    raised = RayTaskError("step", "its traceback", found.value, "StudyTrainable", 1, "10.0.0.7")
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(raised))
    for id in ("x", "y", "z", "w"):  # more often than a lost worker may be
        jobs.suggest(id)
        reporting.on_trial_error(None, Attempt(id, pickled=tmp_path / "error.pkl"))
        jobs.on_trial_complete(id, error=True)
    assert list(reporting.nodes.excluded) == ["node7"]
    assert reporting.statuses == {}


def test_damaged_data_is_found_before_anything_trains(tmp_path, synthetic_data):
    """By the driver before its first job, and by a node where it is damaged there alone."""
    from skelray.data import DataError
    from skelray.runner.fit import Unfit, check_fit, why_unfit, write_needs

    data = tmp_path / "data"
    shutil.copytree(synthetic_data, data)
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, data, epochs=1)
    needs = write_needs(run.context, [run.work.jobs[0].trial])
    with (data / "synthetic" / "sequences.npy").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 4]))
    with pytest.raises(DataError, match=r"is not what was prepared, but damaged or changed: prepare synthetic again"):
        next(run.jobs())
    assert why_unfit(run.settings, needs, "n").startswith("it cannot read the data: ")
    with pytest.raises(Unfit, match="it cannot read the data: "):  # a trial that begins there before it has answered
        check_fit(run.settings, needs, run.work.jobs[0].trial, "n")
    assert list((tmp_path / "store").glob("*/checkpoint.pt")) == []


@pytest.mark.ray
def test_a_node_that_joins_gets_no_trial_before_it_has_answered(cluster, tmp_path, synthetic_data):
    from dataclasses import replace

    from skelray.runner.asking import Asking
    from skelray.runner.fit import write_needs

    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=1)
    needs = write_needs(run.context, [run.work.jobs[0].trial])
    sound, own = str(tmp_path / "store"), str(tmp_path / "own")
    newer, edited = ({**needs.software, name: "0.0"} for name in ("torch", "code"))
    for store, software, unfit in (
        (sound, needs.software, ""),
        (own, needs.software, "does not see the driver's store"),
        (sound, newer, rf"it has torch {needs.software['torch']}, and the driver has torch 0.0: install the same on both"),
        (sound, edited, "is other code than the driver's: install the same on both"),
    ):
        nodes = cluster.Nodes({"cpu": 1.0})
        asked = Asking(nodes, run.context, replace(run.settings, store=store), replace(needs, software=software))
        assert nodes.slots() > 0
        asked.ask_new_nodes()
        (new,) = nodes.asked
        assert nodes.slots() == 0
        asked.ask_new_nodes(60.0)
        assert (nodes.slots() > 0, new in nodes.excluded, nodes.asked) == (not unfit, bool(unfit), set())
        assert unfit in nodes.excluded.get(new, "")


def test_where_no_node_holds_a_trial_it_is_said_once_and_when_one_does(caplog, monkeypatch):
    from test_ray import reporting_on

    monkeypatch.setattr("skelray.runner.reporting.LOOK", -1.0)
    _, reporting = reporting_on([])
    found = []
    for slots in (2, 0, 0, 1, 1):
        reporting.nodes.slots = lambda slots=slots: slots
        found.append(reporting.has_room())
    assert found == [True, False, False, True, True]
    assert [line.split(":")[0] for line in caplog.messages] == [
        "no node of the cluster can hold a trial now",
        "a node has joined",
    ]


# Asked to end


def test_sigterm_saves_and_ends_with_a_sentence_and_143(tmp_path, synthetic_data):
    """The training is too short for the next checkpoint to be due, and goes on where it was."""
    from test_ray import stopped_when

    rarely = "import skelray.runner.execute as execute\n    execute.CHECKPOINT_SHARE = 1e-9\n    study ="
    body = ABLATION.replace("study =", rarely)
    path = study_file(tmp_path, body)
    words = command(path, synthetic_data, "--inline", "--epochs", "200", "--seeds", "1")
    began = []

    def well_after_the_first_save():
        """Some epochs of 0.3 s later."""
        if list(tmp_path.glob("store/*/checkpoint.pt")):
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > 5

    status, said = stopped_when(well_after_the_first_save, signal.SIGTERM, words, tmp_path)
    assert (status, said.splitlines()[-1]) == (143, "skelray: asked to end, and saved; the same command goes on from here")
    (id,) = (place.parent.name for place in tmp_path.glob("store/*/checkpoint.pt"))
    assert Store(tmp_path / "store").trial(id).state()["epoch"] > 1


@pytest.mark.slow
def test_sigterm_on_ray_saves_and_ends_with_143(tmp_path, synthetic_data):
    from test_ray import stopped_when

    path = study_file(tmp_path, ABLATION)
    words = command(path, synthetic_data, "--epochs", "60", "--seeds", "1")
    status, said = stopped_when(lambda: list(tmp_path.glob("store/*/checkpoint.pt")), signal.SIGTERM, words, tmp_path)
    assert (status, said.splitlines()[-1]) == (143, "skelray: asked to end, and saved; the same command goes on from here")
    assert "Traceback" not in said


# Memory, and progress between losses


GIB = 2**30


def node(id, cpus, memory=8, **others):
    """As ray.nodes() has it."""
    return {"NodeID": id, "Alive": True, "Resources": {"CPU": cpus, "memory": memory * GIB, **others}}


def test_what_was_short_of_memory_is_tried_again_alone_and_said_to_be(tmp_path, synthetic_data, caplog, monkeypatch):
    from ray.exceptions import OutOfMemoryError
    from test_ray import Attempt, reporting_on

    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: [node("small", 4.0), node("large", 16.0, 64)])
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=1)
    (job, *_), asked = run.work.jobs, []
    jobs, reporting = reporting_on([job])
    said = "Task was killed due to the node running low on memory (pid=7, memory used=1.50GB)."
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(OutOfMemoryError(said)))
    (tmp_path / "error.txt").write_text(said)
    for id in "xyz":
        jobs.suggest(id)
        attempt = Attempt(id, tmp_path / "error.txt", tmp_path / "error.pkl")
        attempt.update_resources = asked.append
        reporting.on_trial_add(None, attempt)
        reporting.on_trial_error(None, attempt)
        jobs.on_trial_complete(id, error=True)
    told = [record.getMessage() for record in caplog.records if record.name == "skelray"]
    assert ["tried again alone" in line for line in told] == [True, True]
    assert [one.bundles for one in asked] == [[{"CPU": 1.0}], [{"CPU": 16.0}], [{"CPU": 16.0}]]
    kept = job.stored.failure(1)
    assert kept["cause"] == "out of memory"
    assert "also with the trial alone on it (1.50 GiB): give it a smaller batch" in kept["line"]


@pytest.mark.ray
def test_a_worker_that_the_memory_monitor_ends_is_a_lost_one_to_tune(tmp_path):
    """Not the end of all trials, as where an error of a task is no error of an actor."""
    from ray.air.execution._internal import TrackedActor
    from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError
    from ray.tune.execution import tune_controller

    from skelray.runner.actor_losses import ActorManager, tolerating_lost_actors

    for error in (OutOfMemoryError("the node running low on memory (memory used=1.50GB)"), NodeDiedError("gone")):
        heard = []
        actor = TrackedActor(1, on_error=lambda actor, error, heard=heard: heard.append(error))
        manager = ActorManager(resource_manager=SimpleNamespace(free_resources=lambda acquired_resource: None))
        manager._live_actors_to_ray_actors_resources[actor] = (None, None)
        manager._actor_task_failed(TrackedActorTask(actor), error)
        (found,) = heard
        assert isinstance(found, RayActorError)
        assert str(error) in str(pickle.loads(pickle.dumps(found)))
    with tolerating_lost_actors():
        assert tune_controller.RayActorManager is ActorManager
    assert tune_controller.RayActorManager is not ActorManager


GREEDY = """
    import time
    import numpy as np

    @dataclass(frozen=True)
    class Greedy:
        times: int
        marker: str
        def __call__(self, view):
            with open(self.marker, "a+") as file:
                file.seek(0)
                so_far = len(file.read())
                if view.draws.epoch == 2 and so_far < self.times and len(view.x) == BATCH:
                    file.write("x")
                    file.flush()
                    hold = np.ones(SIZE // 8)
                    time.sleep(20)
            return view

    def greedy(times):
        return Arm(f"{times} times", {"arrangement": (AugmentationSet("greedy", (Greedy(times, f"MARKER{times}"),)),)})

    study = Ablation(base=base, arms=[greedy(1), greedy(9)])
"""


@pytest.mark.slow
def test_what_the_memory_monitor_ends_is_told_as_memory_and_tried_alone(tmp_path, synthetic_data):
    """Ray's own monitor, on a node whose threshold lies 2 GiB above what this machine uses; a trial takes 4."""
    words = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    sizes = {name.rstrip(":"): int(size) * 1024 for name, size, *_ in words}
    if sizes["MemAvailable"] < 6 * GIB:
        pytest.skip("less than 6 GiB of memory are free")
    threshold = 1 - (sizes["MemAvailable"] - 2 * GIB) / sizes["MemTotal"]
    body = GREEDY.replace("MARKER", str(tmp_path / "marker")).replace("SIZE", str(4 * GIB)).replace("BATCH", "32")
    path = study_file(tmp_path, body)
    with ray_nodes() as nodes:
        nodes.add(env={"RAY_memory_usage_threshold": f"{threshold:.3f}"})
        status, said = run_joined(nodes, path, synthetic_data, tmp_path / "on_ray", "--seeds", "1", "--epochs", "3")
    assert status == 1, said
    assert "1 times xview seed 0 was ended for want of memory on its node; it is tried again alone on one" in said
    rows = table(tmp_path / "on_ray")
    fine = rows[rows["arm"] == "1 times"]
    assert set(fine["status"]) == {"done"}
    (error,) = set(rows.loc[rows["arm"] == "9 times", "error"])
    assert error.startswith("out of memory: its node ran out of memory, also with the trial alone on it (")
    assert float(error.partition("alone on it (")[2].split()[0]) > 0  # GiB, of the worker that was ended
    assert "give it a smaller batch or larger nodes" in error


def test_a_trial_that_is_to_be_alone_gets_its_node_while_others_keep_coming(tmp_path, monkeypatch):
    """One node is kept free for it, whose trials run out; what is given meanwhile goes elsewhere."""
    from test_ray import job, reporting_on

    there = [node("a", 2.0, 64), node("b", 2.0)]
    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: there)
    monkeypatch.setattr("skelray.runner.reporting.LOOK", -1.0)
    jobs, reporting = reporting_on([job(tmp_path, n) for n in range(9)])
    del reporting.nodes.slots
    assert [jobs.suggest(id) is not None for id in "uvwxy"] == [True, True, True, True, False]
    for id, place in zip("uvwx", "aabb", strict=True):
        reporting.places[id_of(jobs, id)] = place
    reporting.losses.alone.add(id_of(jobs, "u"))
    jobs.on_trial_complete("u", error=True)
    assert jobs.suggest("alone")["number"] == 0
    assert reporting.nodes.kept == "a"
    assert reporting.nodes.request(alone=True).bundles == [{"CPU": 2.0}]
    assert reporting.nodes.request()._kwargs["bundle_label_selector"] == [{"ray.io/node-id": "!in(a)"}]
    reporting.end_job(jobs.given["v"], "done")
    assert jobs.suggest("p") is None  # it would take the place that was just left
    reporting.end_job(jobs.given["w"], "done")
    assert jobs.suggest("q")["number"] == 4
    there.pop(0)  # the node that is kept is lost: another is
    assert jobs.suggest("r") is None
    assert reporting.nodes.kept == "b"
    reporting.end_job(jobs.given["alone"], "done")
    reporting.end_job(jobs.given["x"], "done")
    assert jobs.suggest("s") is not None
    assert reporting.nodes.kept == ""


def id_of(jobs, attempt):
    return id(jobs.given[attempt])


def test_a_trial_alone_asks_for_no_more_than_a_node_with_a_gpu_has(monkeypatch):
    """Ray would wait for ever for a node with the CPUs of one and the GPU of another."""
    from skelray.runner.nodes import Nodes

    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: [node("a", 64.0), node("b", 16.0, GPU=1.0)])
    nodes = Nodes({"cpu": 1.0, "gpu": 0.5})
    assert nodes.slots() == 2
    nodes.keep_free()
    assert nodes.request(alone=True).bundles == [{"CPU": 16.0, "GPU": 0.5}]


def test_a_trial_that_avoids_every_node_that_is_left_asks_anew(tmp_path, monkeypatch):
    """While it waited, the node that was still asked has answered, and the one that it waited for is lost."""
    from test_ray import Attempt, job, reporting_on

    there = [node("a", 4.0), node("b", 4.0)]
    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: there)
    jobs, reporting = reporting_on([job(tmp_path, 0)])
    jobs.suggest("x")
    attempt, stopped = Attempt("x"), []
    attempt.update_resources = lambda asked: None
    controller = SimpleNamespace(stop_trial=stopped.append)
    reporting.nodes.asked = {"a"}
    reporting.on_trial_add(None, attempt)
    reporting.nodes.asked = set()
    reporting._renew(controller)
    assert (stopped, jobs.again) == ([], [])
    there.pop()
    reporting._renew(controller)
    assert (stopped, jobs.again) == ([attempt], [jobs.given["x"]])


def test_a_trial_that_is_to_be_alone_asks_for_the_node_that_is_kept_for_it(monkeypatch):
    """On another one it would take the place of others, while its own stands empty."""
    from skelray.runner.nodes import Nodes

    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: [node("a", 4.0, 64), node("b", 8.0)])
    nodes = Nodes({"cpu": 1.0})
    nodes.keep_free()
    asked = nodes.request(alone=True)
    assert (asked.bundles, asked._kwargs["bundle_label_selector"]) == ([{"CPU": 4.0}], [{"ray.io/node-id": "in(a)"}])


def test_a_trial_that_waits_to_be_alone_on_a_node_that_is_lost_asks_anew(tmp_path, monkeypatch):
    """It waited for 16 CPUs, and the largest node that is left has 4."""
    from test_ray import Attempt, job, reporting_on

    there = [node("small", 4.0), node("large", 16.0, 64)]
    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: there)
    jobs, reporting = reporting_on([job(tmp_path, 0)])
    jobs.suggest("x")
    attempt, stopped = Attempt("x"), []
    reporting.losses.alone.add(id_of(jobs, "x"))
    attempt.placement_group_factory = reporting.nodes.request(alone=False)
    attempt.update_resources = lambda asked: setattr(attempt, "placement_group_factory", asked)
    reporting._look()
    reporting.on_trial_add(None, attempt)
    assert attempt.placement_group_factory.bundles == [{"CPU": 16.0}]
    controller = SimpleNamespace(get_trials=lambda: [attempt], stop_trial=stopped.append)
    reporting._renew(controller)
    assert (stopped, jobs.again) == ([], [])
    there.pop()
    reporting._renew(controller)
    assert (stopped, jobs.again) == ([attempt], [jobs.given["x"]])
    reporting._look()
    jobs.suggest("y")
    again = Attempt("y")
    again.update_resources = lambda asked: setattr(again, "placement_group_factory", asked)
    reporting.on_trial_add(None, again)
    assert again.placement_group_factory.bundles == [{"CPU": 4.0}]


def test_an_epoch_of_progress_forgets_the_losses_before_it(tmp_path, synthetic_data):
    """A trial that gets further between losses is never given up; one that comes to the same epoch each time is."""
    from test_ray import Attempt, reporting_on

    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=1)
    for step, ended in ((1, []), (0, ["failed"])):
        jobs, reporting = reporting_on([run.work.jobs[0]])
        reporting.run.should_continue, reporting.run.context = lambda *given: True, run.context
        for attempt, id in enumerate("abcdefg"):
            if jobs.suggest(id) is jobs.FINISHED:
                break
            result = {"epoch": 1 + step * attempt, "epoch_seconds": 0.0, "replayed": False, "metrics/loss": 1.0}
            reporting.on_trial_result(None, Attempt(id), result)
            jobs.on_trial_complete(id, error=True)
        assert list(reporting.statuses.values()) == ended
