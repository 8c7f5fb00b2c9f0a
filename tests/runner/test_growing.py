"""Studies that grow: a path goes on by held-out accuracy, ends the same after a kill, and reads the test split last."""

import itertools
from dataclasses import replace

import pytest
from small_study import ABLATION, Heard, assert_same, inline, make_run, study_file, table
from tiny import TRIAL

from skelray.checks import UserError
from skelray.results import tables
from skelray.results.costs import costs
from skelray.results.rows import complete
from skelray.results.verdicts import verdicts_of_frame
from skelray.runner.deciding import shared_seeds
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan
from skelray.runner.study_file import load_study
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.extended import Added, Extended
from skelray.study.notes import Notes
from skelray.study.path import AblationPath
from skelray.study.scale import Scale

PATH = """
    from skelray import AblationPath
    study = AblationPath(
        default=replace(base, evaluations=(KNN(),), method=HiCLR(arrangement=(BA,), mining_from=None)),
        best={"NA": {"arrangement": (BA, NA)}, "warm": {"tau": 0.2}, "fast": {"lr": 0.3}},
        choose=KNN(), seeds=range(2), start="start")
"""


HEARD = Heard()  # of the run whose folder ``ran`` is


@pytest.fixture(scope="module")
def ran(tmp_path_factory, synthetic_data):
    folder = tmp_path_factory.mktemp("path")
    run, _ = make_run(study_file(folder, PATH), folder, synthetic_data, epochs=1, seeds=(0,))
    run_inline(run, HEARD)
    return folder


def test_the_best_next_change_comes_first(ran):
    frame = table(ran)
    held = frame[(frame["evaluation"] == "knn held-out") & (frame["metric"] == "top1")].groupby("arm")["value"].mean()
    notes = Notes.of(tables.load("small", ran / "results").attrs["notes"])
    path = ["start", *(one.arm for one in notes.contrasts)]
    assert [arm.count("+") for arm in path] == [0, 0, 1, 2]
    for before, after in itertools.pairwise(path):
        prefix = "" if before == "start" else f"{before} + "
        names = [name for name in ("NA", "warm", "fast") if name not in before.split(" + ")]
        assert held[after] == max(held[prefix + name] for name in names)
    assert len(held) == 1 + 3 + 2 + 1
    judged = verdicts_of_frame(tables.load("small", ran / "results"))
    assert set(judged["evaluation"]) == {"knn"}  # on held-out subjects the best of several is better by construction
    assert judged["arm"].tolist() == path[1:]


def test_the_test_split_is_read_along_the_path_alone(ran):
    frame = table(ran)
    path = {"start", *(one.arm for one in Notes.of(tables.load("small", ran / "results").attrs["notes"]).contrasts)}
    assert set(frame.loc[frame["evaluation"] == "knn", "arm"]) == path
    assert len(path) == 4


def test_a_candidate_that_is_measured_once_more_counts_once(ran):
    counted = [job.key for job in HEARD.jobs if not job.final]
    assert len(counted) == len(set(counted)) == 1 + 3 + 2 + 1  # as the plan has it
    assert {job.key for job in HEARD.jobs if job.final} <= set(counted)
    assert len(HEARD.jobs) == 7 + 3  # the start and three changes are on the path


@pytest.mark.slow
def test_killed_it_ends_with_the_same_path(ran, tmp_path, synthetic_data):
    path = study_file(tmp_path, PATH)

    class Killed(BaseException):
        pass

    for jobs in (2, 1):
        run, _ = make_run(path, tmp_path, synthetic_data, epochs=1, seeds=(0,))
        ended = iter(range(jobs))
        own = run.ended

        def stop(job, status, own=own, ended=ended):
            own(job, status)
            if next(ended, None) is None:
                raise Killed

        run.ended = stop
        with pytest.raises(Killed):
            run_inline(run)
    inline(path, tmp_path, synthetic_data, epochs=1, seeds=(0,))
    assert_same(table(tmp_path), table(ran))


def test_a_plan_counts_what_is_to_come(ran, tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, PATH), tmp_path, synthetic_data, epochs=1, seeds=(0,))
    made = make_plan(run)
    assert (made.trials, made.missing, made.epochs) == (7, 7, 7)
    assert sum("candidate" in row["what"] for row in made.rows) == 3
    again, _ = make_run(study_file(ran, PATH), ran, synthetic_data, epochs=1, seeds=(0,))
    assert all(complete(job.trial, job.stored) for job in again.work.jobs)
    assert (make_plan(again).missing, again.work.size().done) == (0, 7)


def test_several_protocols_are_refused(tmp_path):
    _, study, _ = load_study(study_file(tmp_path, PATH))
    with pytest.raises(UserError, match="decided under one protocol"):
        study.refuse(Scale(protocols=("xsub", "xview")))


def test_a_path_between_two_trials_changes_one_field_at_a_time():
    best = replace(TRIAL, method=replace(TRIAL.method, tau=0.2), optimizer=replace(TRIAL.optimizer, lr=0.3), batch_size=4)
    study = AblationPath(TRIAL, best)
    assert set(study.changes) == {"batch_size", "tau", "lr"}
    step = study.grown(study.cells(), lambda cell: {"lr": 0.9}.get(cell.arm, 0.5))
    assert step.chosen == ("lr",)
    assert {cell.arm for cell in step.cells()[4:]} == {"lr + batch_size", "lr + tau"}
    last = AblationPath(TRIAL, best, chosen=("lr", "tau", "batch_size"))
    assert last.grown(last.cells(), lambda cell: 0.5) is None
    assert last.cells()[-1].trial.id("") == replace(best, evaluations=()).id("")
    assert study.grown(study.cells(), lambda cell: None) is None  # every candidate has failed


DECIDING = """
    study = Ablation(base=replace(base, epochs=0, evaluations=(KNN(), Linear(epochs=5))), seeds=range(2), published_by="knn",
        arms=[Arm("narrow", {"hidden_dim": 2}), Arm("wide", {"hidden_dim": 32})])
"""


def deciding(folder, data, budget=None):
    run, _ = make_run(study_file(folder, DECIDING), folder, data, epochs=None, changes=(("batch_size", 16), ("frames", 8)))
    run = type(run)(run.name, run.study, replace(run.scale, seeds=(0, 1)), run.settings)
    run.add_seeds_until_decided(budget)
    heard = Heard()
    run_inline(run, heard)
    return tables.load("small", folder / "results"), heard


@pytest.mark.slow
def test_seeds_are_added_until_a_contrast_is_decided(tmp_path, synthetic_data):
    frame, _ = deciding(tmp_path, synthetic_data)
    notes = Notes.of(frame.attrs["notes"])
    assert notes.looks[:2] == (7, 11)
    assert notes.stopped == "every contrast is decided"
    seeds = frame.groupby("arm")["seed"].nunique()
    assert seeds["narrow"] == seeds["wide"]
    assert seeds["wide"] in notes.looks
    found = verdicts_of_frame(frame)
    assert found.loc[found["evaluation"] == "knn", "word"].tolist()[0] in ("helps", "hurts", "equivalent")
    again, trained = deciding(tmp_path, synthetic_data)
    assert trained.statuses == {}
    assert_same(again, frame)
    spent = deciding(tmp_path, synthetic_data, budget=1e-9)[0]
    assert "budget of 1e-09 s is spent" in Notes.of(spent.attrs["notes"]).stopped


def test_a_contrast_takes_the_seeds_that_its_baseline_has_already():
    arms = [Arm("base"), Arm("x", {"tau": 0.2}), Arm("y", {"tau": 0.3})]
    study = Ablation(base=TRIAL, arms=arms, seeds=range(2))
    cells = Extended(study, tuple(Added(seed, frozenset({"base", "x"})) for seed in (2, 3))).cells()
    assert shared_seeds(Added(0, frozenset({"x", "base"})), cells) == {0, 1, 2, 3}
    assert shared_seeds(Added(0, frozenset({"y", "base"})), cells) == {0, 1}


def test_a_pair_costs_what_its_arms_lack_at_the_rate_of_the_run(tmp_path, synthetic_data, monkeypatch):
    body = """
        study = Ablation(base=base, arms=[Arm("base"), Arm("x", {"tau": 0.2}), Arm("y", {"tau": 0.3})], seeds=range(2),
                         across={"stream": ["joint", "bone"]})
    """
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, seeds=None)
    run.add_seeds_until_decided()
    work = run.work
    work.settle()
    took = {"base": 10.0, "x": 30.0, "y": 100.0}
    monkeypatch.setattr(work, "_seconds", lambda number: took[work.cells[number].arm])
    row = {"arm": "x", "other": "base", "baseline": "base", "stream": "joint", "n": 2}
    assert work._cost(row, (7,)) == 40
    assert work._cost({**row, "baseline": "base, bone"}, (7,)) == 80  # of another setting: at both places
    work._study = Extended(work._study.study, tuple(Added(seed, frozenset({"base", "y"})) for seed in range(2, 7)))
    work.__dict__.pop("cells")
    assert work._cost(row, (7,)) == 30  # the first arm has these seeds already


def test_trials_side_by_side_cost_a_run_less_than_their_seconds(tmp_path, synthetic_data, monkeypatch):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data)
    run.add_seeds_until_decided()
    work = run.work
    assert work._rate() == 1.0  # none has ended
    took = 0.0
    monkeypatch.setattr(work, "_trained", lambda: took)
    work.settle()
    monkeypatch.setattr("skelray.runner.deciding.time.monotonic", lambda: work._began + 50.0)
    took = 200.0
    assert work._rate() == 4.0


def test_a_plain_run_does_not_drop_added_seeds(tmp_path, synthetic_data):
    path = study_file(tmp_path, ABLATION.replace("seeds=range(2)", "seeds=range(1)"))
    before = inline(path, tmp_path, synthetic_data, epochs=1)
    rows, lines = (read("small", tmp_path / "results").to_dict("records") for read in (tables.load, tables.curves))
    tables.write_table("small", rows, lines, tmp_path / "results", Notes(looks=(7, 11)))
    with pytest.raises(UserError, match="run it with --until-decided"):
        inline(path, tmp_path, synthetic_data, epochs=1)
    assert_same(table(tmp_path), before)


def test_a_study_without_contrasts_cannot_be_decided(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, PATH), tmp_path, synthetic_data)
    with pytest.raises(UserError, match="plans no contrasts"):
        run.add_seeds_until_decided()


def test_a_plan_counts_what_arms_share(tmp_path, synthetic_data):
    body = """
        study = Ablation(base=replace(base, evaluations=(KNN(),)), arms=[Arm("a"), Arm("as a"), Arm("b", {"tau": 0.2})])
    """
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, epochs=3, seeds=(0,))
    made = make_plan(run)
    assert (made.trials, made.epochs, made.shared, made.so_far) == (2, 6, 3, "")
    assert "3 epochs saved by trials that arms share" in made.text()
    run_inline(run)
    frame, curves = (read("small", tmp_path / "results") for read in (tables.load, tables.curves))
    found, after = costs(frame, curves), make_plan(run)
    assert (found.shared, found.stopped) == (made.shared, made.stopped) == (3, 0)
    assert f"So far: {found.sentence()}" in after.text()


def test_a_plan_and_a_report_count_a_longer_trial_once(tmp_path, synthetic_data):
    body = """
        study = Ablation(base=replace(base, evaluations=(KNN(),)), arms=[Arm("a"), Arm("b", {"tau": 0.2})],
                         across={"epochs": [300, 600]})
    """
    run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, epochs=1, seeds=(0,))
    made = make_plan(run)
    assert (made.trials, made.epochs, made.shared) == (4, 4, 0)
    run_inline(run)
    found = costs(*(read("small", tmp_path / "results") for read in (tables.load, tables.curves)))
    assert found.arms.set_index("arm")["epochs"].to_dict() == {"a": 2, "b": 2}
    assert found.arms["training"].sum() == pytest.approx(found.training)
