"""`skelray studies`: what it lists is what the studies are."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from skelray import Sweep
from skelray.cli.main import cli
from skelray.cli.studies import count_stated_trials, list_studies
from skelray.runner.study_file import load_study
from skelray.study.study import Grows

STUDIES = Path(__file__).parent.parent.parent / "studies"
LISTED = {one.name: one for one in list_studies(STUDIES)}


def test_every_study_is_listed_with_its_question():
    assert list(LISTED) == sorted(path.stem for path in STUDIES.glob("*.py"))
    lines = CliRunner().invoke(cli, ["studies", str(STUDIES)], catch_exceptions=False).output.splitlines()
    assert len(lines) == len(LISTED)
    assert all(one.name in line and one.question in line for one, line in zip(LISTED.values(), lines, strict=True))


@pytest.mark.parametrize("name", LISTED)
def test_kind_and_number_of_trials_are_those_of_the_study(name):
    _, study, _ = load_study(STUDIES / f"{name}.py")
    assert LISTED[name].kind == type(study).__name__.lower()
    cells = [] if isinstance(study, Sweep) else study.cells()
    trials = len({(cell.trial.id(""), cell.trial.epochs) for cell in cells}) or study.samples
    trials += len(study.to_come()) if isinstance(study, Grows) else 0
    assert LISTED[name].trials == trials


def test_trials_are_counted_as_a_docstring_says_them():
    assert count_stated_trials("x\n  run a  # 5 arms x 2 protocols x 3 seeds = 30 trials\n") == 30
    assert count_stated_trials("x\n  run a  # 21 arms x 3 seeds\n  run b # 7 arms") == 63
    assert count_stated_trials("x\n  run a\n  report a # 1-NN, measured") is None


def test_a_file_that_is_no_study_is_left_out_and_none_is_said(tmp_path):
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("study = (\n")
    found = CliRunner().invoke(cli, ["studies", str(tmp_path)])
    assert found.exit_code == 2
    assert "holds no study" in found.output
    (tmp_path / "mine.py").write_text('"""Mine?"""\nstudy = make()\n')
    assert list_studies(tmp_path)[0].question == "Mine?"
