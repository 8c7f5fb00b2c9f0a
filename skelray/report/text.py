"""What a study found: the paper's table, the samples of a sweep, and what failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skelray.checks import UserError
from skelray.names import HELD_OUT, PUBLISHED, SUFFIX, column_name, shared_subjects
from skelray.report import fusion_table
from skelray.report.effects_table import effects_table
from skelray.report.parameters import parameter_columns
from skelray.report.places import (
    GROUPS,
    PLACE,
    cells_by_place,
    evaluated_places,
    leading_cells,
    place_cells,
    varying_columns,
)
from skelray.report.printable import make_printable
from skelray.report.table import NOTHING, Table, cell_text, percent_text
from skelray.report.verdict_table import verdict_table
from skelray.results import statistics

GENERATED = "these are numbers of generated data, not of a published benchmark."
PACKAGE = Path(__file__).parent.parent
FRAME = re.compile(r'^\s+File "(.+)", line (\d+)')
FOREIGN = re.compile(r"/(site|dist)-packages/|/lib/python3[.\d]*/|^<")  # files of libraries and of Python itself


def report_text(frame: pd.DataFrame, form: str = "markdown", margin: float | None = None) -> str:
    """Returns all tables of a study in one form; in Markdown also what its arms differ by, and what that says.

    margin: differences within it count as equivalent, a fraction; None for the study's own.
    """
    searched = frame["metric"] == HELD_OUT
    tables: list[Table | None] = [sweep_table(frame[searched])] if searched.any() else []
    if form == "markdown" and searched.any():
        from skelray.report.sweep_tables import samples_of_sweep, summary_tables  # brings Optuna

        tables += summary_tables(samples_of_sweep(frame[searched]))
    if (~searched).any():
        tables.append(accuracy_table(frame[~searched]))
        tables.append(effects_table(frame[~searched], margin) if form == "markdown" else None)
        judged = form == "markdown" and not searched.any()
        tables.append(verdict_table(frame[~searched], margin, bca=True) if judged else None)
        tables.append(fusion_table.fusion_table(frame[~searched]))
    return "\n\n".join(one.render(form) for one in tables if one is not None)


def accuracy_table(frame: pd.DataFrame) -> Table:
    """Makes a table of each arm's top-1 in percent: arms in the study's order, a column for each protocol and evaluation.

    What an evaluation measures beside or instead of top-1 and top-5, as clustering's NMI, is a column of its name.

    A cell is mean ± sd over seeds, with n where n is not the same everywhere. The published figure has a column of its
    own beside the measured one, where there is one. What varies beyond protocol and evaluation (GROUPS, or a scalar of
    the cell within an arm) becomes a leading column. The CSV has one line for each cell.
    """
    chosen = rows_to_show(frame)
    cells = statistics.summary(chosen)
    cells, groups = place_cells(cells, chosen)
    measured = cells_by_place(cells, groups)
    keys = list(dict.fromkeys(key[:-2] for key in measured))
    with_n = len(set(cells["n"]) - {0}) > 1
    header, lines = [*groups, "arm"], leading_cells(keys)
    for pair in evaluated_places(cells):
        line = [measured.get((*key, *pair)) for key in keys]
        header.append(" ".join(pair))
        added = [[_measured(cell, with_n) for cell in line]]
        if any(cell and pd.notna(cell["published"]) for cell in line):
            header.append("published")
            added.append([percent_text(cell["published"]) if cell else NOTHING for cell in line])
        lines = [row + list(new) for row, new in zip(lines, zip(*added, strict=True), strict=True)]
    for name, cells_of in parameter_columns(chosen, [str(key[-1]) for key in keys]).items():
        header.append(name)
        lines = [[*row, cell] for row, cell in zip(lines, cells_of, strict=True)]
    numbers = cells.drop(columns=PLACE if cells["published"].notna().any() else [PLACE, "published"])
    measured_by = set(chosen["metric"])
    what = ", ".join([*(["Top-1"] if "top1" in measured_by else []), *sorted(measured_by - {"top1"})])
    run = chosen[chosen["status"] != PUBLISHED]
    caption = f"{_setting(run if len(run) else chosen)} {_meaning(cells, sorted(set(run['seed'])), what)}"
    caption += f"{fusion_table.weights_sentence(chosen)}{_held_out(cells)}{_only_published(chosen)}{_warning(chosen)}"
    return Table(caption, header, lines, len(groups) + 1, numbers)


def sweep_table(frame: pd.DataFrame) -> Table:
    """Returns the samples of a sweep, best first, by top-1 on held-out training subjects, each with its parameters.

    A sample's last value counts; of several seeds their mean. The arm "published", where the search started, has a star.
    """
    chosen = _of_metric(frame, "held_out_top1").sort_values("epoch", kind="stable")
    chosen = _over_seeds(chosen.drop_duplicates(["study", "trial", "arm", "evaluation"], keep="last"))
    chosen = chosen.sort_values("value", ascending=False, kind="stable", na_position="last")
    groups = varying_columns(chosen, [*GROUPS, "protocol", "evaluation"])
    several = bool((chosen["seeds"] > 1).any())
    cells = statistics.cell_columns(chosen["cell"])
    parameters = cells[[name for name in cells.columns if name not in groups]]
    rows = [
        [
            *(cell_text(row[name]) for name in groups),
            "published *" if row["arm"] == "published" else row["arm"],
            *(percent_text(row["value"]), row["status"], f"{row['epoch']} of {row['epochs']}"),
            *((str(row["seeds"]),) if several else ()),
            *map(cell_text, cell),
        ]
        for row, cell in zip(chosen.to_dict("records"), parameters.to_numpy().tolist(), strict=True)
    ]
    counts = chosen["status"].value_counts()
    told = ", ".join(f"{counts[status]} {status}" for status in ("done", "stopped", "failed") if status in counts)
    star = " * is the published setting." if "published" in set(chosen["arm"]) else ""
    caption = f"{_setting(chosen)} Top-1 in percent on held-out training subjects; {told}.{star}{_warning(chosen)}"
    header = [*groups, "sample", "held-out", "status", "epoch", *(["seeds"] if several else []), *parameters.columns]
    facts = ["study", "trial", "arm", *GROUPS[1:], "protocol", "evaluation", "seed", "value", "status", "epoch"]
    return Table(caption, header, rows, len(groups) + 1, pd.concat([chosen[facts], parameters], axis=1))


def _over_seeds(chosen: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each sample: the mean over its seeds, and their number as ``seeds``."""
    alike = chosen.groupby(["study", "arm", *GROUPS[1:], "protocol", "evaluation"], sort=False, dropna=False)
    means = chosen.assign(value=alike["value"].transform("mean"), seeds=alike["seed"].transform("nunique"))
    return means[~means.duplicated(["study", "arm", *GROUPS[1:], "protocol", "evaluation"])]


def failures_text(frame: pd.DataFrame) -> list[str]:
    """Returns what failed by cause, the most frequent first: a line for the cause, an indented line for each trial."""
    failed = frame[frame["status"] == "failed"].drop_duplicates(["trial", "arm"])
    causes: dict[str, list[str]] = {}
    for row in failed.to_dict("records"):
        cause, detail = split_error(row["error"])
        line = f"  {row['trial']}  {row['arm']}  {row['protocol']}  seed {row['seed']}  {detail}"
        causes.setdefault(cause, []).append(line.rstrip())
    ranked = sorted(causes.items(), key=lambda item: -len(item[1]))
    lines = (line for cause, trials in ranked for line in (f"{cause} ({_counted(len(trials), 'trial')})", *trials))
    return [make_printable(line) for line in lines]


def split_error(error: str) -> tuple[str, str]:
    """Splits a stored error into cause and detail, ``cause: line`` and a traceback under it.

    The place is the last line outside skelray and libraries, which is the study's own, or else the last one there is.
    """
    first, _, traceback = error.strip().partition("\n")
    cause, _, line = first.partition(": ")
    lines = [text for text in traceback.splitlines() if text.strip()]
    frames = [(number, found[1], found[2]) for number, text in enumerate(lines) if (found := FRAME.search(text))]
    if not frames:
        return cause or "error", line or "no error text"
    if cause == "error":  # of no kind of its own: the exception's name says more
        line = next((text for text in lines[frames[-1][0] + 1 :] if not text[0].isspace()), line)
    own = [frame for frame in frames if not FOREIGN.search(frame[1]) and not _of_skelray(frame[1])]
    _, path, number = (own or frames)[-1]
    return cause, f"{line} ({path.rpartition('/')[2]}:{number})"


def _of_skelray(path: str) -> bool:
    """Returns whether a file is one of this package, wherever it lies on the machine where it failed."""
    return (PACKAGE / path.rpartition("/skelray/")[2]).is_file() and "/skelray/" in path


def rows_to_show(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a table without top-5; a metric other than top-1 stands in the evaluation's name."""
    metrics = frame["metric"].astype(str)
    other = ~metrics.isin(["top1", "top5"])
    pairs = zip(frame["evaluation"].astype(str), metrics.where(other, "top1"), strict=True)
    named = [column_name(*pair) for pair in pairs]
    shown = frame.assign(evaluation=named)[~metrics.isin(["top5", HELD_OUT])]
    return _of_metric(frame, "top1") if shown.empty else shown


def _of_metric(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Returns the rows of one metric. Raises UserError, saying which metrics there are, if there is none."""
    if (chosen := frame[frame["metric"] == metric]).empty:
        there = ", ".join(sorted(set(frame["metric"]))) or "none: the frame is empty"
        raise UserError(f"no row has the metric {metric!r}; the metrics are {there}")
    return chosen


def _setting(frame: pd.DataFrame) -> str:
    """Returns what all rows share, as the caption's first sentence."""
    said = {"stream": "{} streams" if "+" in frame["stream"].iloc[0] else "{} stream", "epochs": "{} epochs"}
    several = varying_columns(frame, GROUPS)
    return ", ".join(said.get(name, "{}").format(frame[name].iloc[0]) for name in GROUPS if name not in several) + "."


def _meaning(cells: pd.DataFrame, seeds: list[int], what: str) -> str:
    """Returns what a cell is, with n if it is the same everywhere."""
    listed = ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))
    counts = sorted(set(cells["n"]) - {0})
    if not counts:
        return "No trial is done."
    if counts == [1]:
        return f"{what} in percent, n = 1 ({listed})."
    n = f", n = {counts[0]} ({listed})" if len(counts) == 1 else f" (n), {listed}"
    return f"{what} in percent, mean ± sd{n}."


def _held_out(frame: pd.DataFrame) -> str:
    there = frame["evaluation"].str.endswith(SUFFIX).any()
    return " Held-out: on training subjects, not on the test split." if there else ""


def _only_published(frame: pd.DataFrame) -> str:
    """Returns which rows nobody ran."""
    arms = list(dict.fromkeys(frame.loc[frame["status"] == PUBLISHED, "arm"]))
    return f" Published only: {', '.join(arms)}." if arms else ""


def _warning(frame: pd.DataFrame) -> str:
    there = frame[frame["target"].notna()]
    pairs = sorted(set(zip(there["benchmark"].astype(str), there["target"].astype(str), strict=True)))
    shared = "".join(f" {told}" for source, target in pairs if (told := shared_subjects(source, target)))
    if "synthetic" not in set(frame["benchmark"]):
        return shared
    return shared + (
        f" On synthetic, {GENERATED}" if varying_columns(frame, ["benchmark"]) else f" {GENERATED.capitalize()}"
    )


def _measured(cell: Mapping[Any, Any] | None, with_n: bool) -> str:
    """Returns mean ± sd (n), and how many trials failed."""
    if cell is None or cell["n"] + cell["failed"] == 0:
        return NOTHING
    if cell["n"] == 0:
        return f"failed ({cell['failed']} of {cell['failed']})"
    sd = f" ± {percent_text(cell['sd'])}" if cell["n"] > 1 else ""
    n = f" ({cell['n']})" if with_n else ""
    failed = f", failed ({cell['failed']} of {cell['n'] + cell['failed']})" if cell["failed"] else ""
    return f"{percent_text(cell['mean'])}{sd}{n}{failed}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
