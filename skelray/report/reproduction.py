"""The page of a reproduction: every published figure of a paper's tables beside what was measured, and a word for each."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from skelray.evaluation import distinct_names, metrics_of
from skelray.identity.canonical import canonical
from skelray.names import PUBLISHED, column_name
from skelray.report.table import NOTHING, Table
from skelray.report.verdict_table import verdict_table
from skelray.results.statistics import WEIGHTS, t_quantile
from skelray.study.cell import Cell, Fused
from skelray.study.published import PERCENT


class PaperTable(NamedTuple):
    """One table of a paper. heading: as its study names it, "Table 2". table: its rows so far, None where it did not run.

    why: where it did not run. cells: of its study at the published setting, for the figures that it states.
    """

    name: str
    heading: str
    question: str
    cells: list[Cell | Fused]
    table: pd.DataFrame | None = None
    why: str = ""


def compare_figures(section: PaperTable) -> pd.DataFrame:
    """Returns a row for each published figure: arm, where, evaluation, metric, published, mean, sd, n (seeds), word.

    Values are fractions 0..1. Measured is what the table holds beside that figure, at the same place and as published.
    """
    rows = []
    for stated in dict.fromkeys(figure for one in section.cells for figure in _stated(one)):
        arm, where, evaluation, metric, published = stated
        values = _measured(section.table, arm, where, evaluation, metric)
        mean, sd = values.mean(), values.std()
        rows.append((*stated, mean, sd, len(values), judge_figure(published, mean, sd, len(values))))
    return pd.DataFrame(rows, columns=["arm", "cell", "evaluation", "metric", "published", "mean", "sd", "n", "word"])


def judge_figure(published: float, mean: float, sd: float, n: int) -> str:
    """Returns the word for what n seeds say of a figure that a paper has from one run.

    "as published": within the 95 % prediction interval of one more run, mean +- t(n - 1) sd sqrt(1 + 1/n).
    """
    if n == 0:
        return "not measured"
    if n == 1:
        return "one seed"
    half = float(t_quantile(n - 1)) * sd * math.sqrt(1 + 1 / n)
    return "as published" if abs(published - mean) <= half else "above" if mean > published else "below"


def _stated(one: Cell | Fused) -> Iterator[tuple[str, str, str, str, float]]:
    """Yields the published figures of a cell: arm, place, evaluation, metric, fraction; one for all its seeds."""
    where = _place({name: canonical(value) for name, value in one.coordinates.items()})
    for name, evaluation in zip(distinct_names(one.trial.evaluations), one.trial.evaluations, strict=True):
        for metric in metrics_of(evaluation):
            if column_name(name, metric) in one.published:
                yield one.arm, where, name, metric, one.published[column_name(name, metric)]


def _place(coordinates: Mapping[str, Any]) -> str:
    """Returns what places a cell in its table, without the weights that an ensemble's rows repeat."""
    return json.dumps({name: value for name, value in coordinates.items() if name != WEIGHTS}, sort_keys=True)


def _measured(table: pd.DataFrame | None, arm: str, where: str, evaluation: str, metric: str) -> pd.Series:
    """Returns the last value of each seed that stands beside a published figure."""
    if table is None or table.empty:
        return pd.Series(dtype=float)
    at = table["cell"].map(lambda cell: _place(json.loads(cell)))
    own = (table["arm"] == arm) & (at == where) & (table["evaluation"] == evaluation) & (table["metric"] == metric)
    rows = table[own & table["published"].notna() & (table["status"] == "done")]
    return rows.sort_values("epoch").groupby("seed")["value"].last()


def reproduction_page(title: str, sections: list[PaperTable], made_by: str) -> str:
    """Returns the whole page in Markdown. made_by: the command, in a line."""
    words = [word for section in sections for word in compare_figures(section)["word"]]
    told = ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"
    head = (
        f"# {title}\n\nMade by `{made_by}`. Published figures: {told}. A figure is *as published* where it lies within the "
        "95 % prediction interval of one more run: a paper has one number for a setting, and does not say of how many runs."
    )
    return "\n\n".join([head, *map(_section, sections)]) + "\n"


def _section(section: PaperTable) -> str:
    parts = [f"## {section.heading}: {section.question}", f"`studies/{section.name}.py`{_made(section.table)}"]
    if section.why:
        parts.append(f"Not run: {section.why}")
    found = compare_figures(section)
    if not found.empty:
        parts.append(_table(found).markdown().strip())
    contrasts = verdict_table(section.table) if section.table is not None and not section.table.empty else None
    return "\n\n".join([*parts, *([contrasts.markdown().strip()] if contrasts else [])])


def _made(table: pd.DataFrame | None) -> str:
    """Returns where the numbers of a table come from."""
    if table is None or table.empty:
        return ""
    run = table[table["status"] != PUBLISHED]
    facts = run[["device", "commit", "data"]].assign(data=run["data"].str[:12])
    return "; " + "; ".join(f"{name} {', '.join(sorted(values.unique()))}" for name, values in facts.items())


def _table(found: pd.DataFrame) -> Table:
    """Returns figures as a table to be read: accuracies in percent, other metrics as fractions."""
    header = ["arm", "where", "evaluation", "published", "measured", "difference", "verdict", "seeds"]
    return Table("", header, [_line(one) for one in found.to_dict("records")], 3, found)


def _line(one: Mapping[Any, Any]) -> list[str]:
    share, digits = (100, 1) if one["metric"] in PERCENT else (1, 4)
    measured = difference = NOTHING
    if one["n"]:
        measured = f"{share * one['mean']:.{digits}f}" + (f" ± {share * one['sd']:.{digits}f}" if one["n"] > 1 else "")
        difference = f"{share * (one['mean'] - one['published']):+.{digits}f}"
    where = " ".join(map(str, json.loads(one["cell"]).values()))
    published = f"{share * one['published']:.{digits}f}"
    called = column_name(one["evaluation"], one["metric"])
    return [one["arm"], where, called, published, measured, difference, one["word"], str(one["n"])]
