"""Workers that hang are found and ended, and their trials go on; those that are busy are left alone."""

import logging
import os
from types import SimpleNamespace

import pytest
from small_study import assert_same, inline, study_file
from test_ray import job, on_ray

pytest.importorskip("ray")

from skelray.names import HELD_OUT
from skelray.runner import hanging, worker_log
from skelray.runner.hanging import Watch

pytestmark = pytest.mark.ray


class Clock:
    def __init__(self, monkeypatch):
        self.now, self.beats, self.killed = 1000.0, {}, []
        monkeypatch.setattr(hanging, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(hanging.internal_kv, "_internal_kv_get", lambda key, namespace: self.beats.get(key))
        monkeypatch.setattr(hanging.ray, "kill", self.killed.append)

    def passes(self, watch, seconds, beating):
        """Looks every 5 s."""
        for _ in range(int(seconds / 5)):
            self.now += 5
            if beating:
                self.beats["x"] = str(self.now).encode()
            watch.end_hanging_workers()


def attempt(tmp_path):
    return job(tmp_path, 0), SimpleNamespace(trial_id="x", temporary_state=SimpleNamespace(ray_actor="its actor"))


def test_a_fork_of_a_worker_tells_ray_nothing(tmp_path, monkeypatch):
    """Ray's threads are not in it, so that it would wait for them for ever."""
    heard = tmp_path / "heard"
    monkeypatch.setattr(worker_log.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(worker_log.internal_kv, "_internal_kv_put", lambda key, *given, **named: heard.write_text(key))
    collector = worker_log.WarningCollector()
    try:
        collector.begin("x")
        if not (child := os.fork()):
            logging.getLogger("skelray").warning("odd")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert not heard.exists()
        logging.getLogger("skelray").warning("odd")
        assert heard.read_text() == "x said"
    finally:
        logging.getLogger("skelray").removeHandler(collector)


def test_a_process_that_does_not_stir_is_ended(tmp_path, monkeypatch, caplog):
    clock, watch = Clock(monkeypatch), Watch()
    watch.started(*attempt(tmp_path))
    clock.passes(watch, 2 * hanging.SILENT, beating=False)  # it has not begun to beat: it starts
    clock.passes(watch, 10 * hanging.SILENT, beating=True)
    clock.passes(watch, hanging.SILENT - 5, beating=False)
    assert clock.killed == []
    clock.passes(watch, 15, beating=False)
    assert clock.killed == ["its actor"]
    assert "the worker of a is ended, since its process has not stirred for 305 s" in caplog.messages


def test_an_epoch_that_does_not_end_is_ended_and_an_evaluation_is_not(tmp_path, monkeypatch, caplog):
    clock, watch = Clock(monkeypatch), Watch()
    one, trial = attempt(tmp_path)
    watch.started(one, trial)
    clock.passes(watch, 10_000, beating=True)  # it waits for another process, or opens the data
    for epoch in (1, 2, 3):
        watch.reported("x", epoch, {}, replayed=False)
        clock.passes(watch, 100, beating=True)
    clock.passes(watch, 1890, beating=True)
    assert clock.killed == []
    clock.passes(watch, 20, beating=True)
    assert clock.killed == ["its actor"]
    assert "its epoch has taken 2005 s, and the longest before 100 s" in caplog.text
    watch.started(one, trial)
    for epoch in (3, 4):
        watch.reported("x", epoch, {}, replayed=False)
        clock.passes(watch, 5, beating=True)
    clock.passes(watch, 50_000, beating=True)  # the last of its epochs has ended
    assert clock.killed == ["its actor"]


def test_how_long_an_epoch_takes_is_not_known_before_one_had_a_reading(tmp_path, monkeypatch):
    clock, watch = Clock(monkeypatch), Watch()
    one, trial = attempt(tmp_path)
    one.trial = SimpleNamespace(monitor="any", epochs=9)
    watch.started(one, trial)
    for epoch in (1, 2):
        watch.reported("x", epoch, {}, replayed=False)
        clock.passes(watch, 10, beating=True)
    clock.passes(watch, 5000, beating=True)
    assert clock.killed == []
    watch.reported("x", 3, {HELD_OUT: 0.5}, replayed=False)
    clock.passes(watch, 20 * 5010, beating=True)
    assert clock.killed == []
    clock.passes(watch, 20, beating=True)
    assert clock.killed == ["its actor"]


def test_a_driver_that_did_not_stir_blames_no_worker(tmp_path, monkeypatch):
    clock, watch = Clock(monkeypatch), Watch()
    watch.started(*attempt(tmp_path))
    clock.passes(watch, 10, beating=True)
    clock.now += 10 * hanging.SILENT
    watch.end_hanging_workers()
    clock.passes(watch, 10, beating=False)
    assert clock.killed == []


STOPS = """
    @dataclass(frozen=True)
    class Stops:
        marker: str
        def __call__(self, view):
            if view.draws.epoch == 2 and not Path(self.marker).exists():
                Path(self.marker).touch()
                os.kill(os.getpid(), 19)
            return view

    study = Ablation(base=base, arms=[Arm("stops", {"arrangement": (AugmentationSet("stops", (Stops("MARKER"),)),)})])
"""


@pytest.mark.slow
def test_a_stopped_worker_costs_an_epoch_and_no_row(cluster, tmp_path, synthetic_data, monkeypatch, caplog):
    """By SIGSTOP: Ray waits for such a process for ever."""
    monkeypatch.setattr(hanging, "SILENT", 12.0)
    path = study_file(tmp_path, STOPS.replace("MARKER", str(tmp_path / "marker")))
    rows, heard = on_ray(cluster, path, tmp_path / "ray", synthetic_data)
    assert "its process has not stirred for" in caplog.text
    assert set(heard.statuses.values()) == {"done"}
    assert_same(rows, inline(path, tmp_path / "inline", synthetic_data))
