"""`skelray studies`: the study files of a folder, what each asks, and how many trials it has."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from pathlib import Path

import click

from skelray.report.printable import make_printable


@dataclass(frozen=True)
class StudyFile:
    """A study file as its text tells it. trials: as its docstring counts them at full scale, None where it does not."""

    name: str
    kind: str
    question: str
    trials: int | None


def list_studies(folder: Path) -> list[StudyFile]:
    """Lists the studies of a folder by name, without running them: from docstrings and names in the syntax tree."""
    found = []
    for path in sorted(folder.glob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):  # `skelray run` says what is wrong with it, and in which line
            continue
        if kind := _kind(tree):
            text = ast.get_docstring(tree) or ""
            found.append(StudyFile(path.stem, kind.lower(), text.partition("\n")[0], count_stated_trials(text)))
    return found


def _kind(tree: ast.Module) -> str | None:
    """Returns the class that the line `study = Ablation(...)` builds; None for a file without such a line."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "study" in (ast.unparse(target) for target in node.targets):
            name = ast.unparse(node.value.func).rpartition(".")[2] if isinstance(node.value, ast.Call) else ""
            return name if name[:1].isupper() else "study"
    return None


def count_stated_trials(docstring: str) -> int | None:
    """Returns the trials that a docstring counts: "= 30 trials", "2 arms x 3 seeds", "64 samples", "18 encoders"."""
    for comment in re.findall(r"# (.*\d.*)", docstring):
        if total := re.search(r"(\d+) (?:trials|samples|encoders)", comment):
            return int(total[1])
        if factors := re.findall(r"(\d+) (?:arms|protocols|streams|seeds)", comment):
            return math.prod(map(int, factors))
    return None


@click.command("studies")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("studies"))
def studies_command(folder: Path) -> None:
    """List the studies in FOLDER (by default `studies`): name, kind, trials at full scale, and what each asks."""
    found = list_studies(folder)
    if not found:
        raise click.UsageError(f"{folder} holds no study: one is a Python file with a line `study = Ablation(...)`")
    width, kinds = max(len(one.name) for one in found), max(len(one.kind) for one in found)
    for one in found:
        line = f"{one.name:{width}}  {one.kind:{kinds}}  {one.trials or '-':>6}  {one.question}"
        click.echo(make_printable(line))
