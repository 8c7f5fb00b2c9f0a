"""Demonstrations: the first command's numbers are small, and yet of something learned; no study has a row that fails."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skelray import Hierarchical, load, papers
from skelray.runner.context import Settings
from skelray.runner.plan import make_plan
from skelray.runner.run import Run
from skelray.runner.study_file import load_study
from skelray.study.scale import DEMO, Scale

ROOT = Path(__file__).resolve().parent.parent.parent
CHANCE = 1 / 20
STUDIES = sorted((ROOT / "studies").glob("*.py"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_step_of_every_trial_of_a_demonstration_can_be_made(path, tmp_path, synthetic_data):
    name, study, _ = load_study(path)
    made = make_plan(Run(name, study, DEMO, Settings(synthetic_data, str(tmp_path / "store"), tmp_path / "results", "cpu")))
    assert [note for note in made.notes if "fails" in note] == []
    assert {row["state"] for row in made.rows} <= {"run", "evaluate"}


def test_a_backbone_reads_as_many_persons_as_the_benchmark_of_the_scale_has():
    one, two = (hico_for(persons) for persons in (1, 2))
    assert [Scale(benchmark=name)(two).backbone.persons for name in ("nwucla", "synthetic", "ntu60", "my_own")] == [
        1,
        2,
        2,
        2,
    ]
    assert DEMO(one).backbone.persons == 2
    brought = {"backbone": one.backbone}
    assert DEMO(papers.HICLR, brought).backbone.persons == 2
    assert DEMO(papers.HICLR, brought, {(Hierarchical, "persons")}).backbone.persons == 1  # what a study compares
    assert Scale(benchmark="synthetic", changes=(("persons", 3),))(one).backbone.persons == 3
    assert Scale()(one) == one


def hico_for(persons):
    return replace(papers.HICO_GRU, backbone=replace(papers.HICO_GRU.backbone, persons=persons))


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_no_row_of_a_demonstration_fails(path, tmp_path):
    command = "from skelray.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    words = [sys.executable, "-c", command, "run", str(path), "--demo", "--inline", "--name", "shown"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(load("shown", tmp_path / "results")["status"]) <= {"done", "stopped"}


@pytest.mark.slow
def test_every_figure_of_the_demonstration_is_well_above_chance(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from skelray.cli.main import main; main()",
        "run",
        str(ROOT / "studies/arrangement.py"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [*command, "--demo", "--inline"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "These are numbers of generated data" in done.stdout
    frame = load("arrangement_demo", tmp_path / "results")
    frame = frame[frame["metric"] == "top1"]
    assert len(frame) == 5 * 2 * 2  # arms, protocols, evaluations
    assert set(frame["benchmark"]) == {"synthetic"}
    assert frame["published"].isna().all()
    assert (frame["value"] > 3 * CHANCE).all()
