"""Running a study in one process: tables, kills at any moment, failures, and what is not run twice."""

import json
import os
import signal
import threading
from contextlib import ExitStack

import pytest
from small_study import (
    ABLATION,
    FAILING,
    SWEEP,
    Heard,
    assert_same,
    curves,
    inline,
    make_run,
    study_file,
    table,
    write_tables,
)

from skelray.report import text as report
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.run import Run
from skelray.store.store import Store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, synthetic_data):
    """Folder and study file of an ablation and a sweep that ran through, by name."""
    made = {}
    for name, body in (("ablation", ABLATION), ("sweep", SWEEP)):
        folder = tmp_path_factory.mktemp(name)
        path = study_file(folder, body)
        inline(path, folder, synthetic_data)
        made[name] = (folder, path)
    return made


def test_every_cell_has_a_row_for_each_figure(undisturbed):
    rows = table(undisturbed["ablation"][0])
    assert len(rows) == 2 * 2 * 2  # arms, evaluations, top-1 and top-5; the scale has one seed
    assert set(rows["status"]) == {"done"}
    assert rows["value"].between(0, 1).all()
    assert rows["published"].isna().all()
    assert set(rows["epoch"]) == {3}


def test_a_second_run_trains_nothing(undisturbed, synthetic_data):
    folder, path = undisturbed["ablation"]
    before = table(folder)
    run, _ = make_run(path, folder, synthetic_data)
    heard = Heard()
    run_inline(run, heard)
    assert heard.trained == []
    assert_same(table(folder), before)


def test_added_seeds_and_epochs_run_only_what_is_new(undisturbed, synthetic_data):
    folder, path = undisturbed["ablation"]
    run, _ = make_run(path, folder, synthetic_data, seeds=(0, 1))
    heard = Heard()
    run_inline(run, heard)
    assert {name.split("seed ")[1] for name, _ in heard.trained} == {"1"}


def test_a_longer_trial_goes_on_from_the_shorter(tmp_path, synthetic_data):
    fixed = ABLATION.replace('"weak", {', '"weak", {"milestones": (), "mining_from": None, ')
    path = study_file(tmp_path, fixed.replace('Arm("strong", {"arrangement": (BA, NA)}),', ""))
    inline(path, tmp_path, synthetic_data, epochs=2)
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=4)
    heard = Heard()
    run_inline(run, heard)
    assert [epoch for _, epoch in heard.trained] == [3, 4]


def test_two_studies_share_a_cell(undisturbed, tmp_path, synthetic_data):
    folder, _ = undisturbed["ablation"]
    run, _ = make_run(study_file(tmp_path, ABLATION, "other"), folder, synthetic_data)
    heard = Heard()
    run_inline(run, heard)
    assert heard.trained == []
    own = table(folder)
    assert table(folder, "other")["value"].tolist() == own.loc[own["seed"] == 0, "value"].tolist()


def test_trials_that_another_process_has_come_after_the_others(undisturbed, tmp_path, synthetic_data, caplog):
    """So two runs of one study share its trials, inline too; what is with the other is waited for in the end."""
    path, order = undisturbed["ablation"][1], []
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=1, seeds=(0, 1))
    jobs = list(run.work.jobs)
    with ExitStack() as other:
        for job in jobs[:2]:
            other.enter_context(job.stored.claim(job.trial.epochs))
        late = threading.Timer(60.0, other.close)
        late.start()
        other.callback(late.cancel)

        class Releasing(Listener):
            def ended(self, job, status):
                order.append(job.name)
                if len(order) == 2:
                    other.close()

        run_inline(run, Releasing())
    first, second, *others = (job.name for job in jobs)
    assert order == [*others, first, second]
    assert set(table(tmp_path)["trial"]) == {job.stored.id for job in jobs}
    later = [line for line in caplog.messages if "comes later: it waits for process" in line]
    assert len(later) == 2


def kill_at_write(number, run, after):
    """In a fork: runs the study and kills itself with SIGKILL at the store's n-th write, before or after the move."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)
    try:
        write, count = Store.write, [0]

        def counted(store, name, content):
            count[0] += 1
            if count[0] == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            write(store, name, content)
            if count[0] == number and after:
                os.kill(os.getpid(), signal.SIGKILL)

        Store.write = counted
        run_inline(run)
    finally:
        os._exit(0)


@pytest.mark.parametrize("kind", ["ablation", "sweep"])
@pytest.mark.parametrize("after", [False, True], ids=["before the move", "after the move"])
def test_killed_anywhere_it_ends_with_the_same_table(undisturbed, tmp_path, synthetic_data, kind, after):
    folder, path = undisturbed[kind]
    kills = 0
    step = 3 if kind == "ablation" else 7
    for number in range(1, 60, step):  # each run goes on where the one before was killed
        run, _ = make_run(path, tmp_path, synthetic_data)
        if not kill_at_write(1 + number % 5, run, after):
            break
        kills += 1
    inline(path, tmp_path, synthetic_data)
    assert kills >= 4
    columns = ["study", "trial", "arm", "evaluation", "metric", "epoch", "value", "status"]
    expected = table(folder)
    expected = expected[expected["seed"] == 0]
    assert_same(table(tmp_path)[columns], expected[columns])
    trials = set(expected["trial"])
    whole = curves(folder)
    assert_same(curves(tmp_path), whole[whole["trial"].isin(trials)])


def test_a_failure_costs_itself_alone_and_says_why(tmp_path, synthetic_data):
    path = study_file(tmp_path, FAILING)
    run, _ = make_run(path, tmp_path, synthetic_data)
    heard = Heard()
    run_inline(run, heard)
    assert sorted(heard.statuses.values()) == ["done", "failed", "failed", "failed"]
    rows = table(tmp_path).groupby("arm").first()
    assert rows.loc["sound", "status"] == "done"
    assert rows.loc["raises", "error"].startswith("error: no such joint")
    assert "small.py" in rows.loc["raises", "error"]
    assert rows.loc["nan", "error"].startswith("diverged: the loss is nan in epoch 1")
    assert rows.loc["memory", "error"].startswith("out of memory")
    assert rows.loc["nan", "value"] != rows.loc["nan", "value"]


def test_a_sweep_reports_its_best_on_the_test_split_once(undisturbed):
    rows = table(undisturbed["sweep"][0])
    readings = rows[rows["metric"] == "held_out_top1"]
    searched = readings.drop_duplicates("arm", keep="last")
    assert len(searched) == 5
    assert searched["arm"].iloc[0] == "published"
    done = searched[searched["status"] == "done"]
    best = done.loc[done["value"].idxmax()]  # the first of equals
    tested = rows[rows["metric"] == "top1"]
    assert set(tested["arm"]) == {"published (test)", f"best: {best['arm']} (test)"}


def test_a_row_for_each_reading_says_whether_the_sample_went_on(undisturbed):
    rows = table(undisturbed["sweep"][0])
    rows = rows[rows["metric"] == "held_out_top1"]
    watched = curves(undisturbed["sweep"][0])
    read = watched[watched["metric"] == "held_out_top1"].set_index(["trial", "epoch"])["value"]
    assert len(rows) > 5
    for arm, own in rows.groupby("arm"):
        assert own["value"].tolist() == [read[row.trial, row.epoch] for row in own.itertuples()]
        *before, last = own["status"]
        assert set(before) <= {"done"}, arm
        assert last == ("done" if own["epoch"].max() == own["epochs"].max() else "stopped")
        assert json.loads(own["spec"].iloc[0])["search"]["distributions"].keys() == json.loads(own["cell"].iloc[0]).keys()


def test_missing_data_is_one_sentence(tmp_path):
    path = study_file(tmp_path, ABLATION)
    run, _ = make_run(path, tmp_path, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="skelray prepare synthetic"):
        run.work.size()


def test_an_unknown_protocol_is_named_with_those_there_are(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, protocols=("xset",))
    with pytest.raises(ValueError, match="no protocol 'xset'; it has xsub, xview"):
        run.work.size()


def test_an_arm_that_is_longer_fails_for_itself_alone(tmp_path, synthetic_data):
    """Two arms of one id, told apart by their epochs: the shorter one's success does not hide the failure."""
    body = """
    @dataclass(frozen=True)
    class Fails:
        def __call__(self, view):
            if view.draws.epoch == 2:
                raise RuntimeError("late failure")
            return view
    arrangement = (BA + AugmentationSet("F", (Fails(),)),)
    study = Ablation(base=replace(base, optimizer=replace(base.optimizer, milestones=())), arms=[
        Arm("long", {"arrangement": arrangement, "mining_from": None, "epochs": 300}),
        Arm("short", {"arrangement": arrangement, "mining_from": None, "epochs": 100}),
    ])
    """
    path = study_file(tmp_path, body)
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=3)
    assert run.work.size() == (2, 4, 0)
    run_inline(run)
    found = table(tmp_path).groupby("arm")["status"].unique().map(list).to_dict()
    assert found == {"long": ["failed"], "short": ["done"]}


def test_a_name_that_is_no_files_is_refused_before_anything_runs(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)
    with pytest.raises(ValueError, match="named by letters"):
        Run("a/b", run.study, run.scale, run.settings)


def test_tables_that_cannot_be_written_are_told_before_anything_runs(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)
    (tmp_path / "results").write_text("a file where the folder should be")
    heard = Heard()
    with pytest.raises(OSError, match="tables cannot be written"):
        run_inline(run, heard)
    assert heard.trained == []


def test_finals_that_fail_are_failed_rows(tmp_path, synthetic_data):
    body = SWEEP.replace(
        "return replace(base, method=method)", "return replace(base, method=method, evaluations=(Linear(lr=1e38),))"
    )
    path = study_file(tmp_path, body)
    run, _ = make_run(path, tmp_path, synthetic_data, samples=1)
    run_inline(run)
    found = table(tmp_path)
    finals = found[found["arm"].str.contains("test")]
    assert set(finals["status"]) == {"failed"}
    assert finals["error"].str.startswith("diverged").all()


def test_a_final_whose_failure_cannot_be_stored_aborts_no_other(tmp_path, synthetic_data, monkeypatch):
    body = SWEEP.replace("return replace(base, method=method)", "return replace(base, method=method, evaluations=(KNN(),))")
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, samples=1)
    closed, close = [], run.work.close

    from skelray.runner import active_jobs as module

    in_turns = module.in_turns

    def broken(trial, *given, **named):
        if trial.evaluations:  # no sample has one
            raise RuntimeError("no such final")
        return in_turns(trial, *given, **named)

    def full(*given):
        raise OSError("no space left")

    monkeypatch.setattr(module, "in_turns", broken)
    monkeypatch.setattr("skelray.store.store.StoredTrial.save_failure", full)
    monkeypatch.setattr(run.work, "close", lambda book: closed.append(1) or close(book))
    run_inline(run)
    assert closed == [1]
    assert set(table(tmp_path)["arm"]) == {"published"}


def test_a_failed_sample_without_a_record_is_a_failed_row(tmp_path, synthetic_data):
    """It has a reading, which is none of a failed row, and its failure was lost."""
    path = study_file(tmp_path, SWEEP)
    run, _ = make_run(path, tmp_path, synthetic_data, samples=1)
    run_inline(run)
    search = run.work.search
    search.end_sample(search.samples[0], "failed")
    write_tables(make_run(path, tmp_path, synthetic_data, samples=1)[0])
    (row,) = table(tmp_path).query("status == 'failed'").to_dict("records")
    assert row["status"] == "failed"
    assert row["error"].startswith("error: no record of why")


FAILING_EVALUATION = """
    from skelray import Clustering, Ensemble, Finetune, Transfer
    evaluations = (KNN(), Finetune(epochs=1, frozen=("conv",)), Linear(epochs=5), Clustering(classes=4))
    study = Ablation(base=replace(base, evaluations=evaluations), arms=[Arm("a")],
                     across={"stream": ["joint", "bone"]}, ensemble=Ensemble({"joint": 0.5, "bone": 0.5}))
"""


def test_an_evaluation_that_fails_costs_itself_alone(tmp_path, synthetic_data):
    path = study_file(tmp_path, FAILING_EVALUATION)
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=1)
    for _ in range(2):  # the second run trains nothing and says the same
        heard = Heard()
        run_inline(run, heard)
        assert set(heard.statuses.values()) == {"failed"}
        found = table(tmp_path).query("metric != 'top5'")
        statuses = {name: set(rows["status"]) for name, rows in found.groupby("evaluation")}
        assert statuses == {"knn": {"done"}, "finetune": {"failed"}, "linear": {"done"}, "clustering": {"done"}}
        (error,) = set(found.query("status == 'failed' and stream == 'bone'")["error"].str.split("\n").str[0])
        assert error.startswith("error: frozen 'conv' is no part of the encoder")
        assert set(found.query("stream == 'joint+bone'")["evaluation"]) == {"knn", "finetune", "linear"}
    assert heard.trained == []


def test_a_clustering_that_fails_leaves_no_column_of_top_1(tmp_path, synthetic_data):
    """Whether it is the trial that failed or the evaluation alone; and an ensemble has none."""
    body = FAILING_EVALUATION.replace("evaluations = (", "evaluations = (Transfer('synthetic', 'xsub', Clustering()), ")
    body = body.replace("base=replace(base, ", "base=replace(base, optimizer=replace(base.optimizer, lr=1e30), ")
    found = inline(study_file(tmp_path, body), tmp_path, synthetic_data, epochs=1)
    assert set(found["status"]) == {"failed"}
    clustering = found[found["evaluation"].str.startswith("clustering")]
    assert set(clustering["evaluation"]) == {"clustering", "clustering on synthetic xsub"}
    assert (set(clustering["metric"]), set(clustering["stream"])) == ({"nmi"}, {"joint", "bone"})
    assert set(found[~found["evaluation"].str.startswith("clustering")]["metric"]) == {"top1"}
    columns = [name for name in report.accuracy_table(found).header if "clustering" in name]
    assert sorted(columns) == ["xview clustering nmi", "xview clustering on synthetic xsub nmi"]


RULED = SWEEP.replace("stopping=ASHA(grace=100, reduction=2)", "stopping=Rule()")
RULE = """
    @dataclass(frozen=True)
    class Rule:
        grace: int = 100
        def verdict(self, readings, sample, epoch):
            BODY
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [("raise ValueError('odd')", "ValueError: odd"), ("raise SystemExit(0)", "SystemExit"), ("pass", "returns None")],
)
def test_a_stopping_rule_that_fails_costs_its_sample_and_says_where(tmp_path, synthetic_data, body, said):
    path = study_file(tmp_path, RULE.replace("BODY", body) + RULED)
    run, _ = make_run(path, tmp_path, synthetic_data, samples=2)
    heard = Heard()
    run_inline(run, heard)
    assert heard.statuses == {"published": "done", "sample 1": "failed"}
    (error,) = table(tmp_path).query("arm == 'sample 1'")["error"]
    assert "line" in error.split("\n")[0]
    assert "the stopping rule fails for sample 1" in error.split("\n")[0]
    assert said in error.split("\n")[0]


def test_what_happens_once_a_trial_reads_no_other_trial(tmp_path, synthetic_data, monkeypatch):
    """Reads of the store for 3 seeds and for 6: as many a trial, and what a run reads once."""
    path, counts = study_file(tmp_path, ABLATION.replace('Arm("strong", {"arrangement": (BA, NA)}),', "")), []
    reads, read, names = [], Store.read, Store.names
    monkeypatch.setattr(Store, "read", lambda store, name: reads.append(name) or read(store, name))
    monkeypatch.setattr(Store, "names", lambda store, folder: reads.append(folder) or names(store, folder))
    for seeds in (3, 6):
        reads.clear()
        run, _ = make_run(path, tmp_path / str(seeds), synthetic_data, epochs=1, seeds=tuple(range(seeds)))
        run_inline(run)
        counts.append(len(reads))
    assert counts[1] <= 2 * counts[0]


def test_a_final_that_fails_in_passing_is_tried_again(tmp_path, synthetic_data, monkeypatch):
    body = SWEEP.replace("return replace(base, method=method)", "return replace(base, method=method, evaluations=(KNN(),))")
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, samples=1, epochs=1)
    from skelray.runner import active_jobs as module

    in_turns, calls = module.in_turns, []

    def once(trial, *given, **named):
        if trial.evaluations:  # no sample has one
            calls.append(trial)
            if len(calls) == 1:
                raise OSError("the connection was lost")
        return in_turns(trial, *given, **named)

    monkeypatch.setattr(module, "in_turns", once)
    run_inline(run)
    finals = table(tmp_path).query("metric == 'top1'")
    assert set(finals["status"]) == {"done"}
    assert len(calls) > 1


def test_what_another_run_finishes_meanwhile_is_in_this_runs_table(tmp_path, synthetic_data):
    """Both have begun with an empty store; this one finds nothing left to train."""
    path = study_file(tmp_path, ABLATION)
    run, _ = make_run(path, tmp_path, synthetic_data, epochs=1)
    with run.session():
        other, _ = make_run(path, tmp_path, synthetic_data, epochs=1)
        run_inline(other)
        whole = table(tmp_path)
        assert list(run.jobs()) == []
    assert len(whole) == 8
    assert_same(table(tmp_path), whole)
