"""A run tells how it goes; whoever watches reads that alone."""

import json
import math
import os
import threading
import time
from types import SimpleNamespace

import pytest

from skelray.names import HELD_OUT
from skelray.report import going
from skelray.results.runs import SILENT, RunningTrial, RunRecord, read_records, write_record
from skelray.runner import board
from skelray.runner.board import Board, Load
from skelray.runner.job import Listener
from skelray.training import Report


def job(name="weak", epochs=4):
    trial, stored = SimpleNamespace(epochs=epochs), SimpleNamespace(id=f"id-{name}")
    return SimpleNamespace(name=name, trial=trial, stored=stored, final=False)


def report(epoch, loss, replayed=False, **metrics):
    return Report(epoch, {"loss": loss, **metrics}, 2.0, replayed)


class Told(Listener):
    def __init__(self):
        self.said = []

    def started(self, job):
        self.said.append("started")

    def reported(self, job, report):
        self.said.append(report.epoch)

    def ended(self, job, status):
        self.said.append(status)


def test_a_board_passes_on_what_it_hears_and_keeps_it_in_a_file(tmp_path):
    told, one, other = Told(), job(), job("strong")
    with Board.of("mine", "skelray run mine.py", (2, 8, 0), tmp_path, told) as made:
        made.started(one)
        made.reported(one, report(1, 3.0, replayed=True))
        made.reported(one, report(2, 2.0, **{HELD_OUT: 0.25}))
        made._write()
        (seen,) = read_records("mine", tmp_path)
        assert seen.is_alive(time.time())
        assert (seen.passed, seen.trained, seen.process, seen.command) == (2, 1, os.getpid(), "skelray run mine.py")
        assert list(seen.going.values()) == [
            RunningTrial("weak", 4, pytest.approx(time.time(), abs=60), 2, 2.0, 0.25, [3.0, 2.0])
        ]
        made.ended(one, "done")
        made.started(other)
        made.ended(other, "failed")
    (seen,) = read_records("mine", tmp_path)
    assert (seen.state, seen.passed, seen.going) == ("ended", 8, {})
    assert seen.finished == {"done": 1, "failed": 1}
    assert told.said == ["started", 1, 2, "done", "started", "failed"]
    assert threading.active_count() == 1 or not any(t is made._beat for t in threading.enumerate())


def test_it_gives_signs_of_life_between_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "EVERY", 0.01)
    with Board.of("mine", "c", (1, 4, 0), tmp_path, Listener()) as made:
        before = made.record.seen
        while made.record.seen == before:
            time.sleep(0.01)


def test_an_interrupted_run_says_so_and_the_next_one_forgets_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), Board.of("mine", "c", (1, 4, 0), tmp_path, Listener()):
        raise KeyboardInterrupt
    (dead,) = read_records("mine", tmp_path)
    assert dead.state == "interrupted"
    dead.process += 1
    write_record(dead, tmp_path)
    living = RunRecord("mine", "other", "elsewhere", 7, time.time(), time.time(), 1, 4)
    write_record(living, tmp_path)
    with Board.of("mine", "c", (1, 4, 0), tmp_path, Listener()):
        pass
    assert {run.process for run in read_records("mine", tmp_path)} == {os.getpid(), 7}


def test_a_full_disk_stops_no_run(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    with Board.of("mine", "c", (1, 4, 0), tmp_path, Listener()) as made:
        made.started(job())


def test_a_damaged_file_is_left_out(tmp_path):
    path = write_record(RunRecord("mine", "c", "h", 1, 0.0, 0.0, 1, 1), tmp_path)
    assert len(read_records("mine", tmp_path)) == 1
    for content in ("{", "[]", json.dumps({"going": {}}), path.read_text().replace('"seen": 0.0', '"seen": "x"')):
        path.write_text(content)
        assert read_records("mine", tmp_path) == []


def test_how_a_run_goes_in_words():
    run = RunRecord("mine", "c", "h", 1, 1000.0, 1100.0, 4, 40, passed=20, trained=10, load="CPU 50 % of 2")
    run.finished = {"done": 1, "failed": 2}
    assert going.headline(run, 1101.0) == (
        "mine: running for 1 min 41 s (process 1 on h); 1 of 4 trials done, 2 failed, 20 of 40 epochs, 3 min 20 s left, "
        "CPU 50 % of 2"
    )
    assert "no sign of it for 1 min 40 s" in going.headline(run, 1200.0)
    assert not run.is_alive(run.seen + SILENT)
    assert math.isnan(RunRecord("mine", "c", "h", 1, 0.0, 9.0, 4, 40).seconds_left())


def test_a_sparkline_goes_from_the_smallest_to_the_largest():
    assert going.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert going.sparkline([5.0, float("nan"), 5.0]) == "▁ ▁"
    assert going.sparkline([float("inf")]) == ""
    assert going.trials_under_way([RunningTrial("a|b", 4, 0.0, 2, 1.5, 0.5, [2.0, 1.0])]).rows == [
        ["a|b", "█▁", "2/4", "1.000", "50.0", "1.5", "3 s"]
    ]


def test_the_load_of_this_machine_is_told_where_the_system_tells_it(monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    monkeypatch.setattr(board, "STAT", stat)
    stat.write_text("cpu 10 0 10 80 0 0 0 0\n")
    load = Load()
    load._smi = None
    stat.write_text("cpu 40 0 10 150 0 0 0 0\n")
    assert load.now() == f"CPU 30 % of {os.cpu_count()}"
    stat.unlink()
    assert load.now() == ""
