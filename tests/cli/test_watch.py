"""`skelray watch` from another terminal."""

import contextlib
import re
import subprocess
import sys
import time

import pytest
from command_line import call
from result_rows import seeds
from small_study import ABLATION, TINY, study_file

from skelray.checks import UserError
from skelray.cli.watch import draw_now
from skelray.results import tables as results
from skelray.results.runs import RunningTrial, RunRecord, write_record


@pytest.fixture
def running(tmp_path):
    """A study under way: one arm done, another at its second epoch."""
    rows = [*seeds(0.7, arm="weak"), *seeds(None, arm="broken")]
    results.write_table("mine", [one | {"study": "mine"} for one in rows], [], tmp_path)
    now = time.time()
    run = RunRecord("mine", "skelray run mine.py", "node1", 7, now - 100, now, 3, 12, passed=6, trained=6)
    run.finished = {"done": 1, "failed": 1}
    run.going = {"x": RunningTrial("strong xsub seed 0", 4, now - 10, 2, 5.0, 0.31, [2.0, 1.0])}
    write_record(run, tmp_path)
    return tmp_path


def test_it_shows_the_table_so_far_what_runs_and_what_failed(running, monkeypatch, capsys):
    status, out, _ = call(monkeypatch, capsys, "watch", "mine", "--results", running)
    assert status == 0
    assert "mine: running for 1 min 40 s (process 7 on node1); 1 of 3 trials done, 1 failed, 6 of 12 epochs" in out
    assert "| strong xsub seed 0 | █▁     |   2/4 | 1.000 |     31.0 |          5 | 10 s |" in out
    assert "70.0" in out
    assert "diverged (1 trial)" in out


def test_it_keeps_a_page_that_reads_itself_again_while_the_run_goes(running, monkeypatch, capsys):
    import skelray.cli.watch as module

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = []

    def sleep(seconds):
        shown.append((running / "mine.html").read_text())
        run = RunRecord("mine", "c", "node1", 7, 0.0, time.time(), 3, 12, state="ended")
        write_record(run, running)

    monkeypatch.setattr(module.time, "sleep", sleep)
    status, out, _ = call(monkeypatch, capsys, "watch", "mine", "--results", running, "--html")
    assert status == 0
    assert "mine: ended" in out
    assert len(shown) == 1
    assert '<meta http-equiv="refresh" content="20">' in shown[0]
    assert 'http-equiv="refresh"' not in (running / "mine.html").read_text()  # it has ended


def test_a_study_that_nobody_knows_is_one_sentence(tmp_path, monkeypatch, capsys):
    status, _, err = call(monkeypatch, capsys, "watch", "mine", "--results", tmp_path)
    assert status != 0
    assert "has neither a table nor a run of 'mine'" in err


def test_before_the_first_number_it_says_so(tmp_path):
    now = time.time()
    write_record(RunRecord("mine", "c", "h", 1, now, now, 3, 12), tmp_path)
    assert "No trial has a number yet" in draw_now("mine", tmp_path)


@pytest.mark.slow
def test_it_shows_a_real_run_on_ray_from_beginning_to_end(tmp_path, synthetic_data):
    """Another process trains on a cluster of its own; what is seen here goes from trials under way to the whole table."""
    main_of = "from skelray.cli.main import main; main()"
    scale = ["--benchmark", "synthetic", "--protocol", "xview", "--epochs", "40"]
    scale += [word for name, value in TINY for word in ("--set", f"{name}={value}")]
    places = ["--data", synthetic_data, "--store", tmp_path / "store", "--results", tmp_path, "--device", "cpu"]
    path = study_file(tmp_path, ABLATION)
    words = [sys.executable, "-c", main_of, "run", path, *scale, *places]
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        shown = set()
        while run.poll() is None:
            with contextlib.suppress(UserError):  # until it has begun
                shown.add(draw_now("small_synthetic", tmp_path))
            time.sleep(0.5)
        assert run.returncode == 0, run.stderr.read().decode()
    lines = [line for text in shown for line in text.splitlines() if line.startswith(("| weak ", "| strong "))]
    assert any(re.match(r"\| (weak|strong) xview seed [01] +\| [▁-█]+ +\| +\d+/40 \| +\d", line) for line in lines)
    assert any(" of 4 trials done" in text and "left, CPU " in text for text in shown)
    last = draw_now("small_synthetic", tmp_path)
    assert "small_synthetic: ended" in last
    assert "4 of 4 trials done, 160 of 160 epochs" in last
    assert "Trials under way" not in last
    assert "xview linear" in last
