"""What ends a run from outside, each in one sentence: Ctrl-C and SIGTERM at any moment, and a cluster whose head is lost."""

import random
import signal
import socket
import subprocess
import threading
import time

import pytest
from ray_nodes import ray_nodes
from small_study import ABLATION, study_file
from test_ray import command, files, stopped_when

from skelray.runner import ending, head

pytest.importorskip("ray")

ENDS = {
    signal.SIGINT: (130, "skelray: interrupted; the same command goes on from here"),
    signal.SIGTERM: (143, "skelray: asked to end, and saved; the same command goes on from here"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("how", "moments"), [(signal.SIGINT, 10), (signal.SIGTERM, 5)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_at_any_moment_ends_in_one_sentence(tmp_path, synthetic_data, how, moments):
    """From the first imports to the training, on Ray of the run's own; no crash on the way out."""
    path, draw = study_file(tmp_path, ABLATION), random.Random(0)
    words = command(path, synthetic_data, "--epochs", "500", "--seeds", "2")
    clock = time.monotonic()

    def trains():
        return bool(files(tmp_path, "*/checkpoint.pt"))

    ended = [stopped_when(trains, how, words, tmp_path)]
    took = time.monotonic() - clock
    for part in range(1, moments):
        moment = time.monotonic() + took * draw.uniform(part - 0.5, part + 0.5) / moments
        ended.append(stopped_when(lambda moment=moment: time.monotonic() > moment, how, words, tmp_path))
    status, sentence = ENDS[how]
    for found, said in ended:
        if (found, said) == (-how, ""):  # before the command was read
            continue
        assert (found, said.splitlines()[-1]) == (status, sentence), said
        assert not any(sign in said for sign in ("Traceback", "Segmentation", "SIGABRT", "Fatal", "***")), said


@pytest.mark.slow
def test_a_cluster_that_loses_its_head_ends_the_run_in_one_sentence(tmp_path, synthetic_data):
    path = study_file(tmp_path, ABLATION)
    with ray_nodes() as nodes, open(tmp_path / "said.txt", "w+") as said:
        nodes.add(cpus=1)
        words = command(path, synthetic_data, "--epochs", "500", "--seeds", "1", "--address", nodes.address)
        driver = subprocess.Popen(words, cwd=tmp_path, env=nodes.env, stdout=said, stderr=said)
        while not files(tmp_path, "*/checkpoint.pt") and driver.poll() is None:
            time.sleep(0.1)
        nodes.lose(nodes.nodes[0])
        status = driver.wait(timeout=90)
        said.seek(0)
        last = said.read().splitlines()[-1]
    assert status == ending.LOST
    assert last.startswith("skelray: the head of the cluster at ")
    assert last.endswith(f" is lost; {head.ONCE}")


def test_a_head_that_does_not_answer_is_lost_and_one_that_does_again_is_not(monkeypatch):
    said, over = [], threading.Event()
    monkeypatch.setattr(head, "EVERY", 0.02)
    monkeypatch.setattr(head, "SILENT", 0.1)
    answers = iter([True, False, False, True, *[False] * 50])
    monkeypatch.setattr(head, "answers", lambda address: next(answers))
    monkeypatch.setattr(ending, "end_as_lost", lambda why: said.append(why) or over.set() or True)
    head._watch("10.0.0.1:6379", over)
    assert said == [f"the head of the cluster at 10.0.0.1:6379 is lost; {head.ONCE}"]
    assert len(list(answers)) <= 45  # not after the two in between
    monkeypatch.undo()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        assert head.answers(address)
    assert not head.answers(address)


def test_what_is_lost_is_raised_where_the_run_waits_and_asks_nobody_else():
    assert not ending.end_as_lost("nobody runs")

    @ending.heeding_sigterm()
    def run():
        threading.Timer(0.1, ending.end_as_lost, ["gone"]).start()
        time.sleep(30)

    with pytest.raises(ending.Lost, match="gone"):
        run()
    assert not ending.is_lost()
