"""The figures that a study asks for, from its table: lines over a number, bars by what cells differ in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from skelray.checks import UserError
from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import (
    HIGH,
    INK,
    LINES,
    PAPER,
    WIDE,
    in_style,
    panels,
    save_figure,
    series_styles,
    shorten_label,
)
from skelray.report.places import PLACE, place_cells
from skelray.report.table import stream_order
from skelray.report.text import rows_to_show
from skelray.results import statistics
from skelray.study.charts import Bars, Lines, chart_from_data
from skelray.study.notes import Notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("arm", PLACE, "stream", "epochs", "mean", "sd", "n", "published")
MOST = 6  # panels
HATCHES = dict(zip(LINES, ("", "//", "..", "xx"), strict=True))  # of bars, where colours begin again


def draw_charts(frame: pd.DataFrame) -> list[Drawing]:
    """Draws the done figures that the notes of a table name. Raises UserError, saying what the table lacks for one."""
    asked = [chart_from_data(content) for content in Notes.of(frame.attrs.get("notes", {})).figures]
    names = [f"{chart.kind}_{chart.x}" + (f"_{chart.evaluation}" if chart.evaluation else "") for chart in asked]
    return [_drawn(frame, chart, name.replace(" ", "_")) for chart, name in zip(asked, names, strict=True)]


def save_charts(frame: pd.DataFrame, study: str, folder: Path | str) -> list[Path]:
    """Writes the figures of a study into its folder of figures; returns their paths."""
    drawn = draw_charts(frame)
    return [path for one in drawn for path in save_figure(study, one.name, one.figure, one.data, folder)]


@in_style()
def _drawn(frame: pd.DataFrame, chart: Lines, name: str) -> Drawing:
    cells = _cells(frame, chart)
    apart = [c for c in (PLACE, "stream") if c != chart.x and c not in chart.at and len(cells[c].unique()) > 1]
    groups = list(cells.groupby(apart, sort=False)) if apart else [((), cells)]
    figure, grid = panels(1, min(len(groups), MOST), WIDE * max(1.0, 0.6 * min(len(groups), MOST)), HIGH, sharey=True)
    arms = list(dict.fromkeys(cells["arm"]))
    style = dict(zip(arms, series_styles(len(arms)), strict=True))
    for axes, (key, some) in zip(grid[0], groups, strict=False):
        (_bars if isinstance(chart, Bars) else _lines)(axes, some, chart.x, style)
        axes.set(title=" ".join(map(str, key)), xlabel="" if chart.x in (PLACE, "stream", "arm") else chart.x)
    evaluation = cells["evaluation"].iloc[0]
    grid[0][0].set_ylabel(f"{evaluation} (%)")
    if cells["published"].notna().any():
        grid[0][0].plot([], [], marker="o", linestyle="", color=INK, markerfacecolor="none", label="published")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4)
    caption = f"{evaluation} by {chart.x}, mean over seeds with one standard deviation; open marks are published."
    return Drawing(name, caption, figure, cells[[c for c in dict.fromkeys((*SHOWN, chart.x)) if c in cells]])


def _cells(frame: pd.DataFrame, chart: Lines) -> pd.DataFrame:
    """Returns the numbers of a figure: a row for each arm and x, in each panel."""
    rows = rows_to_show(frame)
    cells, _ = place_cells(statistics.summary(rows), rows)
    measured = chart.evaluation or cells["evaluation"].iloc[-1]
    for name, value in {"evaluation": measured, **chart.at}.items():
        if name not in cells or not (cells[name].astype(str) == str(value)).any():
            raise UserError(f"a figure shows {name} {value!r}, and the table has none such")
        cells = cells[cells[name].astype(str) == str(value)]
    if chart.x not in cells:
        raise UserError(f"a figure is over {chart.x!r}, and the table has no such column that varies")
    return cells


def _lines(axes: Axes, cells: pd.DataFrame, x: str, style: dict[str, dict[str, Any]]) -> None:
    cells = cells[pd.to_numeric(cells[x], errors="coerce").notna()].assign(**{x: pd.to_numeric(cells[x], errors="coerce")})
    for arm, own in cells.sort_values(x).groupby("arm", sort=False):
        look = style[str(arm)]
        axes.errorbar(own[x], 100 * own["mean"], 100 * own["sd"].fillna(0), label=shorten_label(str(arm)), capsize=2, **look)
        axes.plot(own[x], 100 * own["published"], **{**look, "linestyle": "", "markerfacecolor": "none"})
    axes.set_xticks(sorted(cells[x].unique()))


def _bars(axes: Axes, cells: pd.DataFrame, x: str, style: dict[str, dict[str, Any]]) -> None:
    there = cells[x].drop_duplicates()
    values = list(there.sort_values(key=stream_order) if x == "stream" else there)
    width = 0.8 / len(style)
    for place, (arm, look) in enumerate(style.items()):
        own = cells[cells["arm"] == arm].drop_duplicates(x).set_index(x).reindex(values)
        at = [number + (place - (len(style) - 1) / 2) * width for number in range(len(values))]
        own_look = {"color": look["color"], "hatch": HATCHES[look["linestyle"]], "edgecolor": PAPER, "ecolor": INK}
        axes.bar(at, 100 * own["mean"], width, yerr=100 * own["sd"].fillna(0), label=shorten_label(arm), **own_look)
        mark = {"marker": look["marker"], "linestyle": "", "color": INK, "markerfacecolor": "none"}
        axes.plot(at, 100 * own["published"], **mark)
    axes.set_xticks(range(len(values)), list(map(str, values)))
    axes.grid(visible=False, axis="x")
