"""The best setting as Python: executed, it is the trial that the search found."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from skelray import BA, DSTA, NA, SIMILARITIES, Ablation, AimCLR, AugmentationSet, HiCLR, Mask, papers
from skelray.augment import SkeleAdaIN
from skelray.checks import UserError
from skelray.cli.main import cli
from skelray.identity.canonical import canonical
from skelray.runner.study_file import load_study
from skelray.search.best import best_as_python, best_sample
from skelray.search.from_table import ReadSample, samples_from_rows
from skelray.study.changes import changed
from skelray.study.python import study_source
from skelray.study.scale import Scale

ROOT = Path(__file__).resolve().parent.parent.parent
SWEEPS = sorted(path.stem for path in (ROOT / "studies").glob("*.py") if "study = Sweep(" in path.read_text())


def evaluated(text):
    """What the text says: the ablation, and the trial of its last arm."""
    names = {}
    exec(compile(text, "best.py", "exec"), names)
    study = names["study"]
    assert isinstance(study, Ablation)
    return study, changed(study.base, study.arms[-1].changes)


def row(arm, value, epoch, trial, status="done", **params):
    facts = {"arm": arm, "trial": arm, "metric": "held_out_top1", "evaluation": "knn", "value": value, "epoch": epoch}
    facts |= {"epochs": 300, "seconds": 1.0, "started": datetime.now(UTC)}
    return {**facts, "status": status, "cell": json.dumps(params), "spec": json.dumps(canonical(trial))}


def rows_of(sweep, *told):
    """told: arm, value, status, parameters of each sample."""
    made = []
    for arm, value, status, params in told:
        trial = sweep.searched(optuna.trial.FixedTrial(params))
        made.append(row(arm, value, 25 if status == "stopped" else 300, trial, status, **params))
    return made


@pytest.mark.parametrize("name", SWEEPS)
def test_any_point_of_the_projects_sweeps_comes_back_from_its_python(name):
    _, sweep, _ = load_study(ROOT / "studies" / f"{name}.py")
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    started = sweep.space(optuna.trial.FixedTrial(dict(sweep.published)))
    for _ in range(6):
        trial = sweep.space(drawn.ask())
        study, again = evaluated(study_source(started, "published", trial, "best", "x"))
        assert canonical(again) == canonical(trial)
        assert canonical(study.base) == canonical(started)


@pytest.mark.parametrize(
    "trial",
    [
        papers.HICLR,
        replace(papers.HICLR_DSTA, method=AimCLR(), benchmark="nwucla", evaluations=()),
        replace(papers.HICLR, method=HiCLR(arrangement=(BA, NA + Mask), similarity=SIMILARITIES["l1"], weights=(0.5,))),
        replace(papers.HICO_GRU, optimizer=replace(papers.HICO_GRU.optimizer, nesterov=True), frames=32),
        replace(
            papers.HICLR,
            backbone=DSTA(),
            method=HiCLR(arrangement=(AugmentationSet('a "name"\\', (SkeleAdaIN(over="frame"),)),)),
        ),
    ],
    ids=["published", "other method", "merge", "optimizer", "own set"],
)
def test_a_trial_comes_back_from_its_python(trial):
    for base in (papers.HICLR, trial):
        _, again = evaluated(study_source(base, "base", trial, "best", "x"))
        assert canonical(again) == canonical(trial)


@dataclass(frozen=True)
class Hidden:
    def __call__(self, view):
        return view


def test_what_has_no_name_to_import_is_refused():
    inner = replace(papers.HICLR, method=HiCLR(arrangement=(AugmentationSet("own", (Hidden(),)),)))
    text = study_source(papers.HICLR, "base", inner, "best", "x")
    assert "from test_best import Hidden" in text  # as from a study file beside it

    @dataclass(frozen=True)
    class Local:
        def __call__(self, view):
            return view

    inner = replace(papers.HICLR, method=HiCLR(arrangement=(AugmentationSet("own", (Local(),)),)))
    with pytest.raises(UserError, match="cannot be imported"):
        study_source(papers.HICLR, "base", inner, "best", "x")


@pytest.fixture(scope="module")
def lambda_h():
    _, sweep, _ = load_study(ROOT / "studies" / "lambda_h_asha.py")
    return sweep


POINT = {"k": 4, "similarity": "cosine", "lambda_h_cosine": 6.5, "tau": 0.1}


def test_the_best_ran_to_its_end_and_reads_best_there(lambda_h):
    published = dict(lambda_h.published)
    rows = rows_of(
        lambda_h,
        ("published", 0.6, "done", published),
        ("sample 1", 0.9, "stopped", POINT),
        ("sample 10", 0.7, "done", POINT),
        ("sample 2", 0.7, "done", {**POINT, "tau": 0.2}),
    )
    assert best_sample(samples_from_rows(rows)).arm == "sample 2"  # the earlier of equals
    earlier = rows_of(lambda_h, ("sample 10", 0.95, "done", POINT))[0]
    assert (
        best_sample(samples_from_rows([*rows, {**earlier, "epoch": 25}])).arm == "sample 2"
    )  # a reading on the way is not its last
    with pytest.raises(UserError, match="no sample"):
        best_sample(samples_from_rows(rows[1:2]))


def test_the_best_is_an_arm_beside_the_published_one(lambda_h):
    rows = rows_of(lambda_h, ("published", 0.6, "done", dict(lambda_h.published)), ("sample 1", 0.7, "done", POINT))
    text = best_as_python("lambda_h_asha", lambda_h, Scale(), rows)
    study, trial = evaluated(text)
    assert canonical(trial) == canonical(lambda_h.space(optuna.trial.FixedTrial(POINT)))
    assert [arm.label for arm in study.arms] == ["published", "best of lambda_h_asha"]
    assert "base = papers.HICLR\n" in text
    assert "the best of 2 samples by held-out knn (70.0 %)" in text
    assert study.arms[1].changes["mining_branches"] == 1


def test_where_the_published_setting_is_best_there_is_one_arm(lambda_h):
    text = best_as_python("s", lambda_h, Scale(), rows_of(lambda_h, ("published", 0.6, "done", dict(lambda_h.published))))
    study, trial = evaluated(text)
    assert "No sample was better than the published setting" in text
    assert len(study.arms) == 1
    assert canonical(trial) == canonical(papers.HICLR)


def test_a_table_of_another_space_is_refused(lambda_h):
    rows = rows_of(lambda_h, ("sample 1", 0.7, "done", POINT))
    spec = json.loads(rows[0]["spec"])
    spec["method"]["tau"] = 0.2
    with pytest.raises(UserError, match="another method"):
        best_as_python("s", lambda_h, Scale(), [{**rows[0], "spec": json.dumps(spec)}])


def test_a_table_whose_parameters_the_space_does_not_ask_for_is_refused(lambda_h):
    rows = rows_of(lambda_h, ("sample 1", 0.7, "done", POINT))
    cell = json.loads(rows[0]["cell"])
    renamed = json.dumps({{"tau": "temperature"}.get(name, name): value for name, value in cell.items()})
    with pytest.raises(UserError, match=r"does not take the parameters of sample 1 of s .*'tau'.*run it again"):
        best_as_python("s", lambda_h, Scale(), [{**rows[0], "cell": renamed}])


def test_an_ablation_has_no_best(tmp_path):
    done = CliRunner().invoke(cli, ["best", str(ROOT / "studies/arrangement.py"), "--results", str(tmp_path)])
    assert isinstance(done.exception, UserError)
    assert "is no sweep" in str(done.exception)


def test_after_a_race_one_lucky_seed_is_not_the_best():
    raced, lucky = (
        ReadSample(arm, number, "done", {}, {}, {1: value}, 1, seeds, seeds, 0.0, datetime(2026, 1, 1, tzinfo=UTC), {})
        for arm, number, value, seeds in [("sample 1", 1, 0.5, 5), ("sample 2", 2, 0.6, 1)]
    )
    assert best_sample([lucky, raced]) == raced
