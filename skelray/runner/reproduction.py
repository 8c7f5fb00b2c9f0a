"""The tables of a paper: which studies have them, what data each needs, and where that lies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from skelray.checks import UserError
from skelray.data import Preprocessing, open_dataset, prepare
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.dataset import NotPrepared
from skelray.evaluation import Transfer
from skelray.papers import CENTRED, preprocessing_of
from skelray.runner.kinds import trials_of
from skelray.study.study import Expands, Study

PAPERS = {"aimclr": "AimCLR", "hiclr": "HiCLR", "hico": "HiCo"}
HEADING = r"\b{paper}, ((?:Tables?|Figures?|slides?) [^:]*?)(?:, (?:and )?[A-Z][A-Za-z]*CLR\b|, with|:)"


@dataclass(frozen=True)
class PaperStudy:
    """A study that shows something of a paper, as its first line says: "HiCLR, Table 2: which ...?"."""

    path: Path
    heading: str
    question: str

    @property
    def table_numbers(self) -> set[str]:
        """Returns the numbers of its tables: {"3", "4"} of "Tables 3 and 4"."""
        listed = re.match(r"Tables? (\d+(?:(?:, | and )\d+)*)", self.heading)
        return set(re.findall(r"\d+", listed[1])) if listed else set()


def find_paper_studies(paper: str, folder: Path, table: str = "all") -> list[PaperStudy]:
    """Finds the studies in a folder that make a paper's tables. table: all, a number, or a study's name.

    Raises UserError where there is none.
    """
    found = []
    for path in sorted(folder.glob("*.py")):
        try:
            line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        except (SyntaxError, ValueError):  # `skelray run` says what is wrong with it, and in which line
            continue
        if heading := re.search(HEADING.format(paper=PAPERS[paper]), line):
            found.append(PaperStudy(path, heading[1], line.partition(":")[2].strip()))
    wanted = re.sub(r"(?i)^t(able)?\s*(?=\d)", "", table)
    some = [one for one in found if wanted in ("all", one.path.stem, *one.table_numbers)]
    if not some:
        known = ", ".join(f"{one.path.stem} ({one.heading})" for one in found) or "none"
        raise UserError(f"no study in {folder} has {table} of {PAPERS[paper]}; those of it are {known}")
    return some


def required_preprocessing(study: Study) -> dict[str, Preprocessing]:
    """Returns the benchmarks that a study reads, and how each is prepared for its published numbers."""
    trials = trials_of(study)
    said = study.prepared if isinstance(study, Expands) else None
    found: dict[str, Preprocessing] = {}
    for trial in trials:
        for benchmark in (trial.benchmark, *(e.benchmark for e in trial.evaluations if isinstance(e, Transfer))):
            found.setdefault(benchmark, said or preprocessing_of(replace(trial, benchmark=benchmark)) or CENTRED)
    return found


def data_root(data: Path, wanted: Iterable[Preprocessing]) -> Path:
    """Returns the folder of data prepared so: ``data`` itself for the usual 50 frames, else one beside it, as ``data300``.

    HiCo's NTU RGB+D of 300 frames and its PKU-MMD of 50 lie together.
    """
    other = next((one for one in wanted if one != CENTRED), None)
    return data if other is None else data.with_name(f"{data.name}{other.frames}")


def prepare_missing(study: Study, data: Path, sources: Mapping[str, Path]) -> Path:
    """Prepares what the study needs and is not there, and returns its root. Raises NotPrepared where no source is given."""
    wanted = required_preprocessing(study)
    root = data_root(data, wanted.values())
    for name in sorted(wanted):
        try:
            open_dataset(root, name)
        except NotPrepared:
            if name not in sources:
                raise NotPrepared(f"{name} is not prepared in {root}: give its raw files as --source {name}=PATH") from None
            prepare(BENCHMARKS[name], sources[name], root, wanted[name])
    return root
