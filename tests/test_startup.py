"""What a command imports before it answers: nothing heavy where nothing is trained."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "ray", "optuna", "sklearn", "matplotlib", "pandas", "pyarrow", "scipy.stats"}
ASKED = """
import contextlib, io, sys
with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    {code}
print(len(said.getvalue()) > 0, *sorted({heavy} & sys.modules.keys()))
"""
COMMAND = "from skelray.cli.main import main; sys.argv = ['skelray', *{arguments}]; main()"


def imported(code):
    """Whether it said anything, and which of HEAVY are loaded after it, in an interpreter of its own."""
    program = ASKED.format(code=code, heavy=HEAVY)
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    said, *modules = found.stdout.split()
    return said == "True", set(modules), found.stderr


@pytest.mark.parametrize("command", [[], ["plan"], ["run"], ["report"], ["import-weights"]], ids=" ".join)
def test_help_imports_nothing_heavy(command):
    said, modules, _ = imported(COMMAND.format(arguments=[*command, "--help"]))
    assert said
    assert modules == set()


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_mistyped_study_is_said_before_anything_heavy_is_imported(command):
    said, modules, error = imported(COMMAND.format(arguments=[command, "studies/arangement.py", "--demo"]))
    assert not said
    assert error == "skelray: there is no study file studies/arangement.py\n"
    assert modules == set()


def test_tables_need_pandas_and_no_torch():
    assert imported(COMMAND.format(arguments=["report", "nwucla"])) == (True, {"pandas", "pyarrow"}, "")
    assert imported(COMMAND.format(arguments=["report", "nwucal"]))[1] <= {"pandas", "pyarrow"}
    assert imported("import skelray; print(skelray.load('nwucla').shape)") == (True, {"pandas", "pyarrow"}, "")


def test_a_page_needs_no_torch_and_its_verdicts_no_statistics_that_take_a_second_to_import():
    seeds = "rows.groupby(['arm', 'evaluation', 'metric']).cumcount()"
    judged = f"rows.assign(seed={seeds}, trial={seeds}.astype(str) + rows['arm'])"
    program = "import skelray; from skelray.report.html import page; rows = skelray.load('nwucla')"
    program += "; rows = rows.loc[rows.index.repeat(3)].reset_index(drop=True)"  # nine seeds
    said, modules, _ = imported(f"{program}; print(page.verdicts.verdict_table({judged}).rows[0])")
    assert said
    assert modules == {"pandas", "pyarrow"}


@pytest.mark.parametrize("name", ["data.load_splits", "search.study", "testing.check_rule"])
def test_what_pages_call_by_its_module_needs_no_import_of_its_own(name):
    assert imported(f"import skelray; print(skelray.{name})")[0]
