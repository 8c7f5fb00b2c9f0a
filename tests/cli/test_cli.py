"""The command line as its user meets it: help, a run, its table, and one sentence for every mistake."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
import torch
from command_line import call
from small_study import ABLATION, SWEEP, TINY, make_run, study_file

from skelray import BA, DEMO, NA, Scale
from skelray.bench import bench
from skelray.bench.estimate import training_cost
from skelray.cli.main import cli
from skelray.cli.options import notice_of_synthetic, table_name
from skelray.results import tables as results
from skelray.runner.ablation import AblationWork
from skelray.runner.plan import make_plan
from skelray.runner.run import Run
from skelray.runner.study_file import load_study


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


@pytest.mark.parametrize("words", [(), ("data",)], ids=["no command", "a group alone"])
def test_nothing_more_than_a_group_shows_its_commands_in_lines(monkeypatch, capsys, words):
    status, _, err = call(monkeypatch, capsys, *words)
    assert status == 2
    assert "\nCommands:\n" in err


@pytest.mark.parametrize("words", [("bo\x1b[31mgus",), ("run", "--epochs", "a\x1bb", "study.py")])
def test_a_wrong_command_line_is_told_without_what_steers_a_terminal(monkeypatch, capsys, words):
    status, _, err = call(monkeypatch, capsys, *words)
    assert status == 2
    assert "\x1b" not in err
    assert r"\x1b" in err
    assert err.startswith("Usage: skelray")


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
    assert not (tmp_path / "results" / "small.parquet").exists()  # on other data than the study's own
    for form, sign in (("csv", "mean,sd,n"), ("latex", r"\toprule"), ("markdown", "| arm")):
        status, out, _ = call(monkeypatch, capsys, "report", "small_synthetic", "--format", form)
        assert status == 0
        assert sign in out
    assert set(results.load("small_synthetic", tmp_path / "results")["metric"]) == {"top1", "top5"}


def test_a_failed_trial_makes_the_exit_status_1(monkeypatch, capsys, words):
    words[0].write_text(words[0].read_text().replace('"arrangement": (BA,)', '"lr": 1e30'))
    status, out, err = call(monkeypatch, capsys, "run", "--inline", *words)
    assert status == 1
    assert "failed" in out
    assert re.search(r"^diverged \(1 trial\)\n  \w+  weak  xview  seed 0  the loss is nan", err, re.MULTILINE)


def test_a_failed_trial_without_a_row_makes_the_exit_status_1(monkeypatch, capsys, words):
    body = words[0].read_text().replace("evaluations=(KNN(), Linear(epochs=5))", "evaluations=()")
    words[0].write_text(body.replace('"arrangement": (BA,)', '"lr": 1e30'))
    status, _, err = call(monkeypatch, capsys, "run", "--inline", *words)
    assert status == 1
    assert "weak xview seed 0 failed: diverged" in err
    assert "the table of small_synthetic is empty" in err


def test_a_table_is_named_by_what_it_ran_on(tmp_path):
    _, study, _ = load_study(study_file(tmp_path, ABLATION))
    names = {
        (benchmark, demo): table_name("small", study, Scale(benchmark=benchmark), demo)
        for benchmark, demo in ((None, False), ("ntu60", False), ("nwucla", False), ("my.own", False), ("synthetic", True))
    }
    assert list(names.values()) == ["small", "small", "small_nwucla", "small_my_own", "small_demo"]
    assert table_name("small", study, Scale(benchmark="nwucla"), True) == "small_demo_nwucla"
    _, sweep, _ = load_study(study_file(tmp_path, SWEEP))
    assert table_name("small", sweep, Scale(benchmark="ntu60"), False) == "small"
    assert table_name("small", sweep, Scale(benchmark="nwucla"), False) == "small_nwucla"


def test_a_protocol_given_twice_is_one(monkeypatch, capsys, words):
    status, out, _ = call(monkeypatch, capsys, "plan", *words, "--protocol", "xview")
    assert status == 0
    assert "2 trials, 0 done" in out


def test_the_notice_of_generated_data_says_what_was_changed():
    assert notice_of_synthetic(Scale()).startswith("generated data: the numbers")
    assert notice_of_synthetic(DEMO).startswith("generated data, 2 epochs, small models: the numbers")
    assert notice_of_synthetic(Scale(changes=(("queue", 8),))).startswith("generated data, queue 8: the numbers")


def test_a_run_without_evaluations_says_that_there_is_no_table(monkeypatch, capsys, words):
    words[0].write_text(words[0].read_text().replace("evaluations=(KNN(), Linear(epochs=5))", "evaluations=()"))
    status, out, err = call(monkeypatch, capsys, "run", "--inline", *words)
    assert (status, out) == (0, "")
    assert "the table of small_synthetic is empty" in err


@pytest.mark.parametrize(("name", "hint"), [("ray", "pip install 'ray[tune]'`, or --inline"), ("optuna", "pip install")])
def test_what_is_not_installed_is_one_sentence(words, name, hint):
    program = f"import sys; sys.modules[{name!r}] = None; from skelray.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "run", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"skelray: {name} is not installed: `" in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


MISTAKES = {
    "no such file": (["run", "nowhere.py"], "there is no study file nowhere.py"),
    "no data": (["run", "STUDY"], "ntu60 is not prepared in data: `skelray prepare ntu60 PATH`"),
    "unknown data": (
        ["run", "STUDY", "--benchmark", "nwulca"],
        "nwulca is not prepared in data, which holds nothing; `skel",
    ),
    "protocol": (["plan", "WORDS", "--protocol", "xset"], "no protocol 'xset'; it has xsub, xview"),
    "field": (["plan", "WORDS", "--set", "lamda=1"], "no field 'lamda' in this trial; it has"),
    "value": (["plan", "WORDS", "--set", "queue=many"], "queue"),
    "no value": (["plan", "WORDS", "--set", "queue"], "--set 'queue': it reads FIELD=VALUE"),
    "samples": (["plan", "WORDS", "--samples", "3"], "--samples 3: "),
    "name": (["plan", "WORDS", "--name", "a.b"], "not 'a.b': give it another --name"),
    "cluster": (["run", "--inline", "--address", "auto", "WORDS"], "--inline uses no cluster"),
    "no result": (["report", "nothing"], "no results of a study 'nothing'"),
    "source": (["prepare", "nwucla"], "skelray prepare nwucla PATH"),
    "device": (["run", "--inline", "WORDS", "--device", "abacus"], "device 'abacus'"),
    "too many seeds": (["plan", "WORDS", "--seeds", "100000000"], "100000000 is not in the range 1<=x<=1000"),
    "too many epochs": (["plan", "WORDS", "--epochs", str(10**30)], "is not in the range 1<=x<=10000000"),
    "too many samples": (["plan", "WORDS", "--samples", str(10**30)], "is not in the range 1<=x<=10000000"),
    "more threads than there are": (["run", "--inline", "WORDS", "--threads", "1000"], "--threads 1000: this process may"),
    "threads that crash": (["run", "WORDS", "--threads", "100000"], "100000 is not in the range 1<=x<=1024"),
    "threads that crash a plan": (["plan", "WORDS", "--threads", "100000"], "100000 is not in the range 1<=x<=1024"),
    "threads of a bench": (["bench", "--threads", "1000"], "--threads 1000: this process may use"),
    "no trial's number": (["plan", "WORDS", "--set", f"queue={10**30}"], "a whole number, at most 10000000, is needed"),
    "method": (["bench", "--method", "supervised"], "is none of skeletonclr, crossclr, aimclr, hiclr, hiclr_dsta, hico_gru"),
}


@pytest.mark.parametrize(("given", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_sentence(monkeypatch, capsys, words, given, sentence):
    given = [w for word in given for w in ([words[0]] if word == "STUDY" else words if word == "WORDS" else [word])]
    status, out, err = call(monkeypatch, capsys, *given)
    assert status == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--protocol", "xsub", "--protocol", "xview"], "--protocol xsub and xview: this study is a sweep"),
    ],
)
def test_a_sweep_refuses_what_it_would_ignore(monkeypatch, capsys, tmp_path, given, sentence):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path, SWEEP, "sweep")
    status, out, err = call(monkeypatch, capsys, "plan", "sweep.py", *given)
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


BROKEN = {
    "syntax": ("study = (", r"broken.py, line \d+: '\(' was never closed"),
    "syntax elsewhere": (
        "Path('crooked.py').write_text('x = (')\nimport crooked",
        r"broken.py, line \d+: SyntaxError: .*crook",
    ),
    "name": ("study = Ablatoin()", r"broken.py, line \d+: NameError: name 'Ablatoin' is not defined"),
    "no study": ("x = 1", "names no study"),
    "unknown field": ('study = Ablation(base, [Arm("a", {"lamda_h": 1})])', r"broken.py, line \d+: no field 'lamda_h'"),
    "no seeds": ('study = Ablation(base, [Arm("a")], seeds=())', r"broken.py, line 8: a study needs at least one seed"),
    "no protocol": (
        'study = Ablation(base, [Arm("a")], across={"protocol": []})',
        r"broken.py, line 8: .* a value of every field",
    ),
    "the end": ("import sys\nsys.exit(3)", r"broken.py, line 9: a study file does not end the program.*\(status 3\)"),
    "no source": (
        "exec('def f(a, b): return a.z.mean()')\nstudy = Ablation(base, [Arm('a', {'similarity': f})])",
        "broken.py, line 9: f cannot be part of a trial: it is a function whose source",
    ),
    "space": (
        "def space(trial):\n    return replace(base, metod=1)\nstudy = Sweep(space=space, samples=2)",
        r"broken.py, line 9: TypeError: .*metod",
    ),
    "space without return": (
        "def space(trial):\n    replace(base)\nstudy = Sweep(space=space, samples=2)",
        r"broken.py, line 8: space\(\) returns None, not a Trial; is its `return` missing\?",
    ),
    "a value in space": (
        "def space(trial):\n    return replace(base, epochs=-1)\nstudy = Sweep(space=space, samples=2)",
        r"broken.py, line 9: epochs -1: ",
    ),
    "a part without source in space": (
        "exec('def f(a, b): return a.z.mean()')\ndef space(trial):\n"
        "    return replace(base, method=replace(base.method, similarity=f))\nstudy = Sweep(space=space, samples=2)",
        r"broken.py: a trial of space\(\) has no id: f cannot be part of a trial: it is a function whose source",
    ),
    "no samples": (
        "def space(trial):\n    return base\nstudy = Sweep(space=space, samples=0)",
        r"broken.py, line 10: samples 0: a whole number, at least 1, is needed",
    ),
}


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize(("body", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_bad_study_file_gets_one_sentence_with_its_line(monkeypatch, capsys, tmp_path, verb, body, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    study_file(tmp_path, body, "broken")
    status, _, err = call(monkeypatch, capsys, verb, "broken.py")  # a relative path, as everybody gives it
    assert status == 2
    assert re.search(sentence, err)
    assert err.count("\n") == 1


def test_a_study_file_may_make_classes_by_a_call(tmp_path):
    body = """
        from collections import namedtuple
        Pair = namedtuple("Pair", "low high")
        pair = Pair(BA, NA)
        study = Ablation(base, [Arm("a", {"arrangement": (pair.low, pair.high)})])
    """
    _, study, _ = load_study(study_file(tmp_path, body))
    assert study.cells()[0].trial.method.arrangement == (BA, NA)


def test_a_plan_knows_time_and_limits(tmp_path, synthetic_data, monkeypatch):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)
    unknown = make_plan(run)
    assert "takes an unknown time" in unknown.text()
    trial = run.work.cells[1].trial
    data = run.context.splits(trial).train
    found = training_cost(trial, data.skeleton, 8, 2)
    one = bench.measure_speed(bench_trial(trial), torch.device("cpu"), 1, 1.0)
    bench.keep_speeds(
        [replace(one, gflop_per_sample=2 * found.gflop, samples_per_second=5.0, threads=1)], run.settings.results
    )
    known = make_plan(run)
    arms = [training_cost(cell.trial, data.skeleton, 8, 2).gflop for cell in run.work.cells]
    assert known.seconds == pytest.approx(sum(3 * len(data) * gflop / (2 * found.gflop) / 5.0 for gflop in arms))
    assert "takes at least" in known.text()  # the arm of one branch has less than half of what was measured
    monkeypatch.setattr("skelray.runner.plan.machine_memory", lambda device: found.memory - 1)
    small = make_plan(run)
    assert [row["state"] for row in small.rows] == ["run", "too large"]
    assert "strong xview seed 0 keeps more than the 0.0 GiB of memory there are here" in small.text()
    many = make_plan(Run("small", run.study, run.scale, replace(run.settings, threads=4096, device="abacus")))
    assert "a trial of 4096 threads finds no node here" in many.text()
    assert "no trial can run here: device 'abacus'" in many.text()


def test_a_plan_counts_the_cpus_that_a_run_may_use(tmp_path, synthetic_data, monkeypatch):
    monkeypatch.setattr("skelray.machine.cpus", lambda: 0)
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)
    assert "a trial of 1 threads finds no node here: this process may use 0 CPUs" in make_plan(run).text()


def bench_trial(trial):
    return replace(trial, batch_size=2)


def test_a_part_that_fails_does_not_stop_the_plan(tmp_path, synthetic_data):
    body = """
        def broken(weak, strong):
            return weak.nothing
        study = Ablation(base, [Arm("fine"), Arm("broken", {"similarity": broken})])
    """
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data)
    made = make_plan(run)
    assert [row["state"] for row in made.rows] == ["run", "fails"]
    assert "broken xview seed 0 fails at a step of two samples: AttributeError" in made.text()


# Errors that nobody expected


def kept(err):
    """The file that an error names, read and removed."""
    path = Path(re.search(r"[^ ]*skelray-[^ ]*\.traceback", err).group())
    text = path.read_text()
    path.unlink()
    return text


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, RecursionError])
def test_a_bug_is_said_to_be_one_and_its_traceback_is_kept_or_shown(monkeypatch, capsys, words, error, shown):
    def broken(run):
        raise error("not for users\nat all")

    monkeypatch.setattr(AblationWork, "size", broken)
    status, out, err = call(monkeypatch, capsys, *(["--traceback"] if shown else []), "plan", *words)
    assert (status, out) == (70, "")
    assert "not for users" in err
    assert "Traceback" in (err if shown else kept(err))
    assert ("Traceback" in err) is shown
    if not shown:
        assert re.search(rf"skelray: .*{error.__name__}: .*not for users at all", err.replace("\\n", " "))
        assert err.count("\n") == 1


@pytest.mark.parametrize("shown", [False, True])
def test_what_an_error_quotes_is_made_visible_in_its_traceback(monkeypatch, capsys, words, shown):
    def broken(run):
        raise RuntimeError("rings \x07, hides \x9b2J and is no text \udcff")

    monkeypatch.setattr(AblationWork, "size", broken)
    status, _, err = call(monkeypatch, capsys, *(["--traceback"] if shown else []), "plan", *words)
    told = err + ("" if shown else kept(err))
    assert status == 70
    assert r"RuntimeError: rings \x07, hides \x9b2J and is no text \udcff" in told.replace(err.splitlines()[-1], "")
    assert not {"\x07", "\x9b", "\udcff"} & set(told)


def test_a_bug_of_our_own_names_our_line(monkeypatch, capsys, words):
    monkeypatch.setattr(AblationWork, "jobs", property(lambda work: 1 + None))
    monkeypatch.setattr("skelray.cli.faults.owner", lambda file: "skelray" if "skelray" in file else "library")
    status, _, err = call(monkeypatch, capsys, "plan", *words)
    assert status == 70
    assert re.search(
        r"TypeError: .*skelray/runner/\w+\.py, line \d+\): a bug of skelray, not of what you gave it; please report", err
    )
    assert "in size" in kept(err)


def test_an_error_in_a_studys_own_code_names_its_line_and_keeps_the_traceback(monkeypatch, capsys, words):
    """Not one of its definition, which is a sentence alone."""
    text = words[0].read_text()
    words[0].write_text(text + "\nraise ValueError('of my own')\n")
    line = len(text.splitlines()) + 2
    status, _, err = call(monkeypatch, capsys, "plan", *words)
    assert status == 2
    assert f"small.py, line {line}: ValueError: of my own (the traceback is in " in err
    assert err.count("\n") == 1
    assert "raise ValueError('of my own')" in kept(err)
    status, _, err = call(monkeypatch, capsys, "plan", *words, "--traceback")
    assert (status, "raise ValueError('of my own')" in err) == (2, True)
    assert "small.py, line" in err.splitlines()[-1]
    monkeypatch.setattr("tempfile.mkstemp", lambda **given: (_ for _ in ()).throw(OSError("No space left on device")))
    status, _, err = call(monkeypatch, capsys, "plan", *words)
    assert (status, "ValueError: of my own (--traceback shows the traceback)" in err) == (2, True)


def test_what_a_user_causes_keeps_no_traceback_and_shows_it_where_it_is_asked_for(monkeypatch, capsys, words):
    _, _, err = call(monkeypatch, capsys, "plan", *words, "--set", "lamda=1")
    assert "traceback" not in err
    status, _, err = call(monkeypatch, capsys, "plan", "--traceback", *words, "--set", "lamda=1")
    assert (status, "Traceback" in err) == (2, True)
    assert "no field 'lamda'" in err.splitlines()[-1]


def test_an_option_of_the_whole_command_is_told_of(monkeypatch, capsys):
    assert "--traceback" in call(monkeypatch, capsys, "--help")[1]


@pytest.mark.parametrize("given", [["--store", "nonsense://x"], ["--store", "s3://"]])
def test_a_place_that_cannot_be_is_no_bug(monkeypatch, capsys, words, given):
    status, _, err = call(monkeypatch, capsys, "plan", *words, *given)
    assert status == 2
    assert given[1] in err


def test_set_reaches_the_frames_of_a_hierarchical_encoder(monkeypatch, capsys, words):
    """Which the error tells to set."""
    text = words[0].read_text().replace("papers.HICLR,", "papers.HICO_TRANSFORMER,")
    words[0].write_text(text[: text.index("study =")] + "study = Ablation(base=base, arms=[Arm('a')])\n")
    words = [w for i, w in enumerate(words) if not {"hidden_channels=2"} & set(map(str, words[i : i + 2]))]
    words += ["--set", "hidden_dim=32", "--set", "precision=float32"]
    for field, value in (("backbone.frames", 50), ("persons", 1)):
        _, out, _ = call(monkeypatch, capsys, "plan", *words, "--set", f"{field}={value}")
        told = re.search(r"--set (backbone\.\w+=\d+), or Hierarchical", out)
        assert "fails at a step" in out
        status, out, _ = call(monkeypatch, capsys, "plan", *words, "--set", f"{field}={value}", "--set", told.group(1))
        assert (status, "fails" in out) == (0, False)


def test_a_number_of_trials_or_auto_shares_a_gpu():
    from skelray.cli.per_gpu import PerGpu, lanes_of

    assert [lanes_of(PerGpu().convert(value, None, None)) for value in ("auto", "8", 3)] == [64, 8, 3]
    for wrong in ("0", "many", "1001"):
        with pytest.raises(click.BadParameter, match=r"a number of 1\.\.1000 or auto"):
            PerGpu().convert(wrong, None, None)
