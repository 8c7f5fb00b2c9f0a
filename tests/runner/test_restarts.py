"""What must not be lost or told wrong: shared encoders, lengths of one trial, user code that ends things, damaged files."""

import logging
import subprocess
import sys
from dataclasses import replace

import pytest
from small_study import ABLATION, SWEEP, Heard, assert_same, inline, make_run, study_file, table, write_tables

from skelray.results import book
from skelray.results import tables as results
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan
from skelray.store.store import Store, StoreError
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.scale import Scale

# Arms that share an encoder

SHARED = """
    study = Ablation(base=replace(base, method=replace(base.method, mining_from=None), evaluations=(),
                                  optimizer=replace(base.optimizer, milestones=())), arms=[
        Arm("a", {"evaluations": (KNN(),)}),
        Arm("b", {"evaluations": (Linear(epochs=5),)}),
        Arm("c", {"evaluations": (KNN(), Linear(epochs=5), Linear(lr=0.5, epochs=5))}),
    ])
"""


def test_arms_of_one_encoder_are_one_job_with_all_their_evaluations(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, SHARED), tmp_path, synthetic_data, epochs=1)
    assert run.work.size() == (1, 1, 0)
    assert (make_plan(run).missing, make_plan(run).evaluations, len(make_plan(run).rows)) == (1, 3, 1)
    heard = Heard()
    run_inline(run, heard)
    assert len(heard.trained) == 1
    rows = table(tmp_path).query("metric == 'top1'")
    found = {arm: set(some["evaluation"]) for arm, some in rows.groupby("arm")}
    assert found == {"a": {"knn"}, "b": {"linear"}, "c": {"knn", "linear lr=3", "linear lr=0.5"}}
    assert set(rows["status"]) == {"done"}
    assert run.work.size() == (1, 0, 1)
    again = Heard()
    run_inline(make_run(study_file(tmp_path, SHARED), tmp_path, synthetic_data, epochs=1)[0], again)
    assert again.statuses == {}


def test_a_published_number_is_of_one_of_two_evaluations_of_a_name(tmp_path):
    from tiny import TRIAL

    from skelray.evaluation import Linear

    base = replace(TRIAL, benchmark="ntu60", evaluations=(Linear(), Linear(lr=0.5)))
    arm = Arm("a", published={"linear lr=0.5": {"xsub": 70.0}})
    (cell,) = Ablation(base, [arm], published_by="linear lr=3").cells()
    assert cell.published == {"linear lr=0.5": 0.7}
    (cell,) = Ablation(base, [Arm("a", published={"xsub": 60.0})], published_by="linear lr=3").cells()
    assert cell.published == {"linear lr=3": 0.6}
    with pytest.raises(ValueError, match=r"'linear' is none of the evaluations linear lr=3, linear lr=0\.5"):
        Ablation(base, [Arm("a", published={"xsub": 60.0})])


def test_names_of_evaluations():
    from skelray.evaluation import KNN, Finetune, HeldOut, Linear, Transfer, distinct_names

    assert distinct_names([KNN(), Linear()]) == ["knn", "linear"]
    assert distinct_names([Linear(), Linear(lr=0.5, epochs=7)]) == ["linear lr=3 epochs=100", "linear lr=0.5 epochs=7"]
    assert distinct_names([HeldOut(Linear()), HeldOut(Linear(lr=1.0))]) == ["linear held-out lr=3", "linear held-out lr=1"]
    same = [Transfer("pku2", "xsub", Finetune(frozen=())), Transfer("pku2", "xsub", Finetune(frozen=("a", "b")))]
    assert distinct_names(same) == ["finetune on pku2 xsub frozen=none", "finetune on pku2 xsub frozen=a+b"]
    with pytest.raises(ValueError, match="two evaluations are called 'linear'"):
        distinct_names([Linear(), Linear()])


def test_the_scores_of_one_of_two_evaluations_are_found_by_its_name(tmp_path, synthetic_data):
    from skelray.results.scores import scores

    inline(study_file(tmp_path, SHARED), tmp_path, synthetic_data, epochs=1)
    frame = results.load("small", tmp_path / "results").query("arm == 'c' and metric == 'top1'")
    where = {"store": tmp_path / "store", "data": synthetic_data}
    for row in frame.to_dict("records"):
        assert scores(row, **where).top() == row["value"]
        assert scores(row["trial"], row["evaluation"], **where).top() == row["value"] or row["evaluation"] == "linear"


# Lengths of one trial

LENGTHS = """
    fixed = replace(base, method=replace(base.method, mining_from=None), evaluations=(KNN(),),
                    optimizer=replace(base.optimizer, milestones=()))
    study = Ablation(base=fixed, arms=[Arm("long", {"epochs": 300}), Arm("other", {"lambda_h": 0.1}),
                                       Arm("short", {"epochs": 100})])
"""


def test_the_shorter_of_one_trial_comes_first_and_none_beside_the_other(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, LENGTHS), tmp_path, synthetic_data, epochs=3)
    jobs = run.jobs()
    first, second, third = next(jobs), next(jobs), next(jobs)
    assert [first.name.split()[0], second.name.split()[0], third] == ["short", "other", None]
    run.running.discard(first.stored.id)
    assert next(jobs).name.startswith("long")
    assert next(jobs, "over") == "over"


def test_a_longer_arm_goes_on_from_the_shorter(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, LENGTHS), tmp_path, synthetic_data, epochs=3)
    heard = Heard()
    run_inline(run, heard)
    assert len(heard.trained) == 3 + 3  # of "long" and "short" together, and of "other"
    assert set(table(tmp_path)["status"]) == {"done"}


# User code that ends a loop or the program

ENDING = """
    @dataclass(frozen=True)
    class Ends:
        how: str
        def __call__(self, view):
            if view.draws.epoch == 2:
                raise {"stop": StopIteration(), "exit": SystemExit(0), "generator": GeneratorExit(), "base": Odd("odd"),
                       "deep": RecursionError("too deep")}[self.how]
            return view

    class Odd(BaseException):
        pass

    def odd(a, b):
        raise StopIteration

    @dataclass(frozen=True)
    class Bad:
        name: str = "bad"
        def __call__(self, encoder, train, test):
            sys.exit(0)

    import sys
    study = Ablation(base=base, arms=[
        *(Arm(how, {"arrangement": (AugmentationSet(how, (Ends(how),)),)})
          for how in ("stop", "exit", "generator", "base", "deep")),
        Arm("similarity", {"arrangement": (BA, NA), "similarity": odd}),
        Arm("evaluation", {"evaluations": (KNN(), Bad())}),
        Arm("sound", {"arrangement": (BA,)}),
    ])
"""


def check_ending(rows):
    frame = rows.query("metric == 'top1'")
    errors = frame[frame["status"] == "failed"].groupby("arm")["error"].first().str.split("\n").str[0]
    assert errors["stop"].startswith("user code: StopIteration was raised in")
    assert errors["exit"].startswith("user code: SystemExit (0) was raised in")
    assert errors["generator"].startswith("user code: GeneratorExit was raised in")
    assert errors["base"].startswith("user code: Odd (odd) was raised in")
    assert errors["deep"].startswith("error: too deep")
    assert errors["similarity"].startswith("user code: StopIteration was raised in")
    assert errors["evaluation"].startswith("user code: SystemExit (0) was raised in")
    assert all("small.py, line" in error for arm, error in errors.items() if arm != "deep")
    assert set(frame[frame["status"] == "done"]["arm"]) == {"sound", "evaluation"}


def test_user_code_that_ends_a_loop_or_the_program_is_a_failed_row(tmp_path, synthetic_data):
    check_ending(inline(study_file(tmp_path, ENDING), tmp_path, synthetic_data, epochs=2))


def test_an_interrupt_stays_one(tmp_path, synthetic_data):
    body = ENDING.replace('"stop": StopIteration()', '"stop": KeyboardInterrupt()')
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        run_inline(run)


# Where it failed


def test_a_failed_row_says_where_and_how_long_it_failed(tmp_path, synthetic_data, monkeypatch):
    path = study_file(tmp_path, ENDING)
    told = {"device": "a machine far away", "version": "skelray 0", "commit": "abc"}
    with monkeypatch.context() as patch:
        patch.setattr("skelray.runner.execute.provenance", lambda device: told)
        run, _ = make_run(path, tmp_path, synthetic_data, epochs=2)
        run_inline(run)
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=2)
    write_tables(run)  # elsewhere, later
    rows = results.load("small", tmp_path / "results").query("status == 'failed'")
    assert [set(rows[name]) for name in told] == [{value} for value in told.values()]
    assert (rows["seconds"] > 0).all()
    for job in run.work.jobs:
        if (failure := job.stored.failure(job.trial.epochs)) is not None:  # as one of an older version
            bare = {name: failure[name] for name in ("cause", "line", "traceback", "transient")}
            job.stored.save_failure(job.trial.epochs, bare)
    write_tables(run)
    rows = table(tmp_path).query("status == 'failed'")
    assert set(rows["device"]) == set(rows["version"]) == set(rows["commit"]) == {""}


# Damaged files

CELLS = """
    study = Ablation(base=base, arms=[Arm("weak", {"arrangement": (BA,)}), Arm("strong", {"arrangement": (BA, NA)})])
"""
RUBBISH = [b"", b'{"metr', b"\x00\xff" * 50, b"[1, 2]", b'{"metrics": {"top1": "high"}}', b'"text"', None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, synthetic_data):
    """The tables of an ablation and a sweep that nothing disturbed, and their study files."""
    made = {}
    for name, body in (("ablation", CELLS), ("sweep", SWEEP)):
        folder = tmp_path_factory.mktemp(name)
        path = study_file(folder, body)
        made[name] = (path, folder, inline(path, folder, synthetic_data, epochs=2))
    return made


TURNS = [0, 3, *(pytest.param(turn, marks=pytest.mark.slow) for turn in (1, 2, 4, 5, 6))]


@pytest.mark.parametrize("kind", ["ablation", "sweep"])
@pytest.mark.parametrize("turn", TURNS)
def test_a_damaged_file_of_any_kind_stops_nothing(whole, tmp_path, synthetic_data, caplog, kind, turn):
    """Every file of the store at once, each in another way; None: a folder in its place. All is made again, and as it was.

    In all turns together each file is damaged in each way.
    """
    path, folder, expected = whole[kind]
    store = tmp_path / "store"
    subprocess.run(["cp", "-r", str(folder / "store"), str(store)], check=True)
    files = sorted(file for file in store.rglob("*") if file.is_file() and not file.name.startswith(".lock"))
    for number, file in enumerate(files):
        content = RUBBISH[(number + turn) % len(RUBBISH)]
        if content is None:
            file.unlink()
            file.mkdir()
        else:
            file.write_bytes(content)
    caplog.set_level(logging.WARNING, "skelray")
    assert_same(inline(path, tmp_path, synthetic_data, epochs=2), expected)
    said = [line for line in caplog.messages if "is damaged" in line]
    assert len(said) == len(set(said)) > 4
    assert all("\n" not in line for line in said)


@pytest.mark.parametrize("lost", ["000003.json", "0000*.json"])
def test_a_lost_line_of_a_ledger_trains_nothing_again(whole, tmp_path, synthetic_data, lost):
    path, folder, expected = whole["sweep"]
    subprocess.run(["cp", "-r", str(folder / "store"), str(tmp_path / "store")], check=True)
    for file in (tmp_path / "store").glob(f"sweeps/*/{lost}"):
        file.write_bytes(b'{"number": 3, "par')
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=2)
    heard = Heard()
    run_inline(run, heard)
    assert heard.trained == []
    assert_same(table(tmp_path), expected)


def test_the_plan_of_a_finished_sweep_has_nothing_to_run(whole, synthetic_data):
    path, folder, _ = whole["sweep"]
    run, _ = make_run(path, folder, synthetic_data, epochs=2)
    found = make_plan(run)
    assert (found.missing, found.epochs) == (0, 0)
    assert {row["state"] for row in found.rows} <= {"done", "stopped"}
    assert "0 to run" in found.text()


# Tables and the store that cannot be written


def test_a_table_that_cannot_be_written_on_the_way_costs_no_trial(tmp_path, synthetic_data, monkeypatch, caplog):
    run, _ = make_run(study_file(tmp_path, CELLS), tmp_path, synthetic_data, epochs=1)
    write, calls = book.write_table, []

    def once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise OSError("the disk is full")
        return write(*given)

    monkeypatch.setattr(book, "write_table", once)
    heard = Heard()
    run_inline(run, heard)
    assert set(heard.statuses.values()) == {"done"}
    assert "the tables could not be brought up to date: the disk is full; the run goes on" in caplog.messages
    assert set(table(tmp_path)["status"]) == {"done"}


def test_a_trial_whose_record_cannot_be_written_is_done(tmp_path, synthetic_data, monkeypatch):
    path, write_json = study_file(tmp_path, ABLATION), Store.write_json

    def failing(store, name, content, lasts=False):
        if "/record-" in name:
            raise StoreError("the disk is full")
        write_json(store, name, content, lasts)

    heard = Heard()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_json", failing)
        run_inline(make_run(path, tmp_path, synthetic_data, epochs=1)[0], heard)
    assert set(heard.statuses.values()) == {"done"}
    assert set(table(tmp_path)["status"]) == {"done"}
    assert not list((tmp_path / "store").glob("*/record-*"))
    again = Heard()
    run_inline(make_run(path, tmp_path, synthetic_data, epochs=1)[0], again)
    assert again.statuses == {}


def test_a_ledger_that_cannot_be_written_for_a_while_costs_no_sample(whole, tmp_path, synthetic_data, monkeypatch):
    path, _, expected = whole["sweep"]
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=2)
    write_json = Store.write_json

    def failing(store, name, content, lasts=False):
        if name.startswith("sweeps/") and content.get("readings") and content["status"] == "running":
            raise OSError("the disk is full")
        write_json(store, name, content, lasts)

    monkeypatch.setattr(Store, "write_json", failing)
    run_inline(run)
    assert_same(table(tmp_path), expected)


# Locks


HOLDER = """
import sys
from skelray.store.store import Store
store = Store(sys.argv[1])
with store.trial(sys.argv[2]).claim(2) if len(sys.argv) > 2 else store.claim("t"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_says_for_what_and_for_whom_at_once(tmp_path, caplog):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"

        def said():
            (line,) = caplog.messages
            assert line.startswith(f"trial t waits for process {holder.pid} on ")
            assert str(tmp_path / "t") in line
            assert " since 20" in line
            holder.stdin.close()
            return False

        with Store(tmp_path).claim("t", free=said):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_shorter_trial_waits_for_no_longer_one_that_has_passed_it(tmp_path):
    store = Store(tmp_path)
    trial = store.trial("t")
    store.write_json("t/checkpoint.json", [[3, {"loss": 1.0}, 0.1]])
    with store.claim("t"), trial.claim(2):
        assert trial.holder(2) is not None
    assert trial.holder(2) is None


# Ordered sweeps


@pytest.mark.ray
def test_an_ordered_sweep_on_ray_is_the_same_as_inline(cluster, tmp_path, synthetic_data, monkeypatch):
    """Its finals, too, which workers evaluate: the driver has no use for a model."""
    from test_ray import on_ray

    monkeypatch.setattr("skelray.training.Pretraining.__init__", None)

    path = study_file(tmp_path, SWEEP)
    scale = {"epochs": 3, "samples": 7, "ordered": 3}
    rows, _ = on_ray(cluster, path, tmp_path / "ray", synthetic_data, **scale)
    monkeypatch.undo()
    whole = inline(path, tmp_path / "inline", synthetic_data, **scale)
    assert_same(rows.drop(columns="commit"), whole.drop(columns="commit"))  # a checkout may move on meanwhile
    assert {"done", "stopped"} <= set(rows["status"])


def test_ordered_is_an_option_of_the_command(tmp_path, synthetic_data, monkeypatch):
    from skelray.cli.options import scale_from

    options = dict.fromkeys(("benchmark", "epochs", "seeds", "samples", "precision", "demo"))
    options |= {"changes": (), "protocols": ()}
    assert scale_from({**options, "ordered": False}) == Scale()
    assert scale_from({**options, "ordered": True}).ordered == 4
