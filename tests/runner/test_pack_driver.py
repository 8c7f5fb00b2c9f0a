"""What the driver and a worker make of what befalls the jobs of a pack, without Ray."""

from types import SimpleNamespace

import pytest
from small_study import SWEEP, Heard, make_run, study_file
from test_cluster import node
from test_ray import Attempt, Ended, job

from skelray.runner.job import Job

pack_scheduler = pytest.importorskip("skelray.runner.pack_scheduler")

pytestmark = pytest.mark.ray


@pytest.fixture
def driven(tmp_path, monkeypatch):
    """Returns a driver with so many jobs that are all alike, in packs of up to four lanes; told keeps what workers hear."""
    from skelray.runner import pack_searcher
    from skelray.runner.nodes import Nodes

    monkeypatch.setattr(pack_searcher, "structure_of", lambda trial, data: "one")
    told = []

    def begin(count):
        run = Ended()
        run.name, run.work, run.alike = "small", SimpleNamespace(most_waiting=10), lambda structure: count
        run.context.fingerprint, run.should_continue = lambda trial: "data", lambda *given: True
        run.jobs = lambda: (job(tmp_path, number) for number in range(count))
        jobs, nodes = pack_searcher.PackSearcher(run, 4, 1), Nodes({"cpu": 1.0})
        scheduler = pack_scheduler.PackScheduler(run, jobs, Heard(), nodes)
        jobs.has_room = lambda: True
        return jobs, scheduler, told

    return begin


def pack(id, told, error_file=None):
    """What the driver sees of an attempt at a pack."""
    attempt = Attempt(id, error_file)
    attempt.update_resources = lambda asked: None
    attempt.temporary_state = SimpleNamespace(
        ray_actor=SimpleNamespace(hear=SimpleNamespace(remote=lambda *given: told.append(given)))
    )
    return attempt


def heard(vacant=0, reports=(), ended=(), **more):
    return {"reports": list(reports), "ended": list(ended), "vacant": vacant, "node": "a", "peak": 0.0, **more}


def numbers(jobs, id):
    """The jobs that are seated in an attempt."""
    return [job.number for job in jobs.seats[id].values()]


def test_a_pack_that_waits_for_a_node_that_is_lost_is_asked_for_anew(driven, monkeypatch):
    """Tune calls an attempt complete that is stopped before it has begun: that costs its job nothing."""
    there = [node("a", 4.0), node("b", 4.0)]
    monkeypatch.setattr("skelray.runner.nodes.alive_nodes", lambda: there)
    jobs, scheduler, told = driven(2)
    scheduler.nodes.asked = {"a"}
    jobs.suggest("x")
    scheduler.on_trial_add(None, pack("x", told))
    scheduler.nodes.asked = set()
    there.pop()
    controller = SimpleNamespace(stop_trial=lambda attempt: jobs.on_trial_complete(attempt.trial_id))
    scheduler._renew(controller)
    assert [job.number for job in jobs.again] == [0]
    assert scheduler.losses._counts == {}
    assert jobs.suggest("y")["number"] == 0


def test_a_busy_trial_is_offered_again_after_a_while_and_last(driven, monkeypatch):
    """Until then other trials are: it keeps no lane from them."""
    from skelray.runner import pack_searcher

    now = [1000.0]
    monkeypatch.setattr(pack_searcher, "time", SimpleNamespace(monotonic=lambda: now[0]))
    jobs, scheduler, told = driven(4)
    attempt = pack("x", told)
    jobs.suggest("x")
    scheduler.on_trial_result(None, attempt, heard(vacant=1))
    busy = told[-1][1][0]["seat"]
    scheduler.on_trial_result(None, attempt, heard(vacant=1, ended=[{"seat": busy, "busy": "another process"}]))
    assert numbers(jobs, "x") == [0, 2]
    now[0] += pack_searcher.BUSY
    scheduler.on_trial_result(None, attempt, heard(vacant=1))
    assert numbers(jobs, "x") == [0, 2, 3]
    scheduler.on_trial_result(None, attempt, heard(vacant=1))
    assert numbers(jobs, "x") == [0, 2, 3, 1]
    assert not jobs.is_over()


def test_a_worker_trains_beside_a_busy_trial_and_waits_for_none(monkeypatch):
    """Others of its driver may begin meanwhile, also where it has none under way."""
    from skelray.runner import active_jobs, pack_trainable
    from skelray.store.files import InUse

    def turns(trial, splits, stored, device, load, join, wait):
        if stored == "busy":
            assert not wait
            raise InUse("held by another process")
        while True:
            yield None

    def active(number, stored):
        trial = SimpleNamespace(benchmark="synthetic", protocol="xview")
        return active_jobs.ActiveJob(Job(number, "any", trial, stored), "one")

    monkeypatch.setattr(active_jobs, "in_turns", turns)
    trained = []
    packing = SimpleNamespace(lanes=2, open=lambda structure: None, train=trained.append)
    jobs = pack_trainable._LaneJobs(None, packing, lambda *place: None)
    monkeypatch.setattr(pack_trainable, "EVERY", 0.05)
    jobs.waiting = [active(0, "busy")]
    jobs.work(())
    assert [one["seat"] for one in jobs.ended] == [0]
    jobs.ended, jobs.waiting = [], [active(1, "free"), active(2, "busy"), active(3, "free")]
    jobs.work(())
    assert [one["seat"] for one in jobs.ended] == [2]
    assert [one.job.number for one in jobs.active] == [1, 3]
    assert trained


def test_one_that_kills_its_worker_is_given_up_alone(driven):
    """Its lane-mates, which were lost with it, go on together once each has got further by itself."""
    jobs, scheduler, told = driven(4)
    scheduler._is_there = lambda job: True
    packs, epochs = [], [0] * 4
    for id in map(str, range(100)):
        if (config := jobs.suggest(id)) is jobs.FINISHED:
            break
        attempt = pack(id, told)
        scheduler.on_trial_add(None, attempt)
        scheduler.on_trial_result(None, attempt, heard(vacant=config["most"] - 1))
        packs.append(numbers(jobs, id))
        if 2 in packs[-1]:
            scheduler.on_trial_error(None, attempt)
            jobs.on_trial_complete(id, error=True)
            continue
        told.clear()
        rows = {seat: job.number for seat, job in jobs.seats[id].items()}
        for number in rows.values():
            epochs[number] += 1
        reports = [reported(seat, epochs[number]) for seat, number in rows.items()]
        scheduler.on_trial_result(None, attempt, heard(reports=reports))
        if not told:
            scheduler.on_trial_result(None, attempt, heard(ended=[{"seat": seat} for seat in rows]))
        jobs.on_trial_complete(id)
    assert packs == [[0, 1, 2, 3], [0], [1], [2], [2], [2], [3], [0, 1, 3]]
    assert sorted(scheduler.run.ends) == [(0, "done"), (1, "done"), (2, "failed"), (3, "done")]
    assert epochs == [2, 2, 0, 2]


def reported(seat, epoch):
    return {"seat": seat, "epoch": epoch, "metrics": {"loss": 1.0}, "seconds": 0.0, "replayed": False}


def test_what_memory_a_pack_has_taken_is_none_of_its_trials(driven, tmp_path):
    """One that is ended for want of it in a worker of its own gets a node of its own."""
    jobs, scheduler, told = driven(2)
    error = tmp_path / "error.txt"
    error.write_text("the node was low on memory; memory used=8.00GB by its worker")
    first = pack("x", told, str(error))
    jobs.suggest("x")
    scheduler.on_trial_result(None, first, heard(vacant=1))
    reports = [reported(seat, 1) for seat in jobs.seats["x"]]
    scheduler.on_trial_result(None, first, heard(reports=reports) | {"peak": 8.0 * 2**30})
    scheduler.on_trial_error(None, first)
    jobs.on_trial_complete("x", error=True)
    assert not scheduler.losses.alone
    assert not any(scheduler.losses._peaks.values())
    alone = pack("y", told, str(error))
    assert jobs.suggest("y")["most"] == 1
    told.clear()
    scheduler.on_trial_result(None, alone, heard(reports=[reported(next(iter(jobs.seats["y"])), 2)]))
    assert not told  # it goes on there, and shares no worker again
    scheduler.on_trial_error(None, alone)
    assert scheduler.losses.alone == {id(jobs.given["y"])}


def test_what_a_trial_shares_a_pack_with_is_found_out_once(driven, monkeypatch):
    """However many wait that fit no pack yet."""
    from skelray.runner import pack_searcher

    asked = []

    def found(trial, data):
        asked.append(trial)
        return str(len(asked) % 2)

    monkeypatch.setattr(pack_searcher, "structure_of", found)
    jobs, _, _ = driven(12)
    jobs.suggest("x")
    for _ in range(3):
        jobs.fill("x", 1)
    assert numbers(jobs, "x") == [0, 2, 4, 6]
    assert jobs.suggest("y")["number"] == 1
    jobs.fill("y", 2)
    assert numbers(jobs, "y") == [1, 3, 5]
    assert len(asked) == 7


def test_samples_to_come_are_alike_where_the_space_is(tmp_path, synthetic_data, monkeypatch):
    """Else a sample that no other is like would be given a pack of lanes that stand empty."""
    from skelray.runner import run as runs

    asked, found = [], runs.structure_of
    monkeypatch.setattr(runs, "structure_of", lambda trial, data: asked.append(trial) or found(trial, data))
    numbers_alone = SWEEP.replace('arrangement=(BA, NA)[: trial.suggest_int("k", 1, 2)],', "").replace('"k": 2, ', "")
    for body, alike in ((numbers_alone, 5), (SWEEP, 0)):
        run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data)
        example = run.work.planned()[0].trial
        structure = found(example, run.context.fingerprint(example))
        assert run.alike(structure) == alike
        once = len(asked)
        assert run.alike(structure) == alike
        assert len(asked) == once
