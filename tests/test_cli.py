"""The command line as its user meets it: help, a run, its table, and one sentence for every mistake."""

import re
import sys

import pytest
from small_study import ABLATION, TINY, study_file

from skelray import results
from skelray.cli import cli, main


def call(monkeypatch, capsys, *words):
    """(exit status, standard output, standard error) of a command."""
    monkeypatch.setattr(sys, "argv", ["skelray", *map(str, words)])
    try:
        main()
        status = 0
    except SystemExit as exit:
        status = exit.code or 0
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.fixture
def words(tmp_path, synthetic_data, monkeypatch):
    """Of a small study's command; it runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    settings = [word for name, value in TINY for word in ("--set", f"{name}={value}")]
    path = study_file(tmp_path, ABLATION)
    scale = ["--benchmark", "synthetic", "--protocol", "xview", "--epochs", "1", "--seeds", "1", "--device", "cpu"]
    return [path, *scale, *settings, "--data", synthetic_data]


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_explains_itself(monkeypatch, capsys, verb):
    status, out, _ = call(monkeypatch, capsys, verb, "--help")
    assert status == 0
    assert out.startswith(f"Usage: skelray {verb}")
    assert cli.commands[verb].help


def test_plan_run_report(monkeypatch, capsys, words, tmp_path):
    status, out, _ = call(monkeypatch, capsys, "plan", *words)
    assert status == 0
    assert "2 trials, 0 done, 2 to run, 2 epochs" in out
    assert not list(tmp_path.glob("results/*"))
    status, out, _ = call(monkeypatch, capsys, "run", "--inline", *words)
    assert status == 0
    assert "| strong" in out
    assert "generated data" in out
    _, out, _ = call(monkeypatch, capsys, "plan", *words)
    assert "2 trials, 2 done, 0 to run" in out
    for form, sign in (("csv", "mean,sd,n"), ("latex", r"\toprule"), ("markdown", "| arm")):
        status, out, _ = call(monkeypatch, capsys, "report", "small", "--format", form)
        assert status == 0
        assert sign in out
    assert set(results.load("small", tmp_path / "results")["metric"]) == {"top1", "top5"}


def test_a_failed_trial_makes_the_exit_status_1(monkeypatch, capsys, words):
    words[0].write_text(words[0].read_text().replace('"arrangement": (BA,)', '"lr": 1e30'))
    status, out, err = call(monkeypatch, capsys, "run", "--inline", *words)
    assert status == 1
    assert "failed" in out
    assert "diverged" in err


MISTAKES = {
    "no such file": (["run", "nowhere.py"], "there is no study file nowhere.py"),
    "no data": (["run", "STUDY"], "ntu60 is not prepared in data: `skelray prepare ntu60 PATH`"),
    "protocol": (["plan", "WORDS", "--protocol", "xset"], "no protocol 'xset'; it has xsub, xview"),
    "field": (["plan", "WORDS", "--set", "lamda=1"], "no field 'lamda' in this trial; it has"),
    "value": (["plan", "WORDS", "--set", "queue=many"], "queue"),
    "no result": (["report", "nothing"], "no results of a study 'nothing'"),
    "source": (["prepare", "nwucla"], "skelray prepare nwucla PATH"),
    "device": (["run", "--inline", "WORDS", "--device", "abacus"], "device 'abacus'"),
    "method": (["bench", "--method", "supervised"], "is none of skeletonclr, hiclr"),
}


@pytest.mark.parametrize(("given", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_sentence(monkeypatch, capsys, words, given, sentence):
    given = [w for word in given for w in ([words[0]] if word == "STUDY" else words if word == "WORDS" else [word])]
    status, out, err = call(monkeypatch, capsys, *given)
    assert status == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


BROKEN = {
    "syntax": ("study = (", r"broken.py, line \d+"),
    "name": ("study = Ablatoin()", r"broken.py, line \d+: NameError: name 'Ablatoin' is not defined"),
    "no study": ("x = 1", "names no study"),
    "unknown field": ('study = Ablation(base, [Arm("a", {"lamda_h": 1})])', r"broken.py, line \d+: no field 'lamda_h'"),
}


@pytest.mark.parametrize(("body", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_bad_study_file_gets_one_sentence_with_its_line(monkeypatch, capsys, tmp_path, body, sentence):
    path = study_file(tmp_path, body, "broken")
    status, _, err = call(monkeypatch, capsys, "run", path)
    assert status == 2
    assert re.search(sentence, err)
    assert err.count("\n") == 1
