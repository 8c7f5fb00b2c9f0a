"""Every seed's value of every arm, its mean, and the published number."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from skelray.names import column
from skelray.report.figures.drawing import Drawing, Places
from skelray.report.figures.style import COLOURS, INK, in_style, looks, panels, short
from skelray.report.table import by_stream, shown
from skelray.results.statistics import OWN, SETTINGS, done_rows

PANELS, LINES = 12, 60  # that one figure has room for


@in_style()
def seeds(frame: pd.DataFrame, places: Places) -> Drawing | None:
    """Draws a panel for each protocol and evaluation, in it a line for each arm and what varies within it, as streams.

    frame: rows of evaluations. Returns None where nothing is done.
    """
    done, settings = _done(frame)
    if done.empty:
        return None
    kinds = list(dict.fromkeys(done["panel"]))[:PANELS]
    kept = done[(done["line"] < LINES) & done["panel"].isin(kinds)]
    lines = [_label(row, settings) for row in done.drop_duplicates("line").head(LINES).to_dict("records")]
    across = min(2, len(kinds))
    down = -(-len(kinds) // across)
    size = 3.6 * across if across > 1 else 5, down * (0.9 + 0.2 * len(lines))
    figure, grid = panels(down, across, *size, sharey=True)
    each = {seed: look | {"linestyle": ""} for seed, look in zip(places.seeds, looks(len(places.seeds)), strict=True)}
    cells = list(grid.flat)
    for cell, (kind, some) in zip(cells, kept.groupby("panel", sort=False), strict=False):
        _panel(cell, some, each, places)
        cell.set(title=short(str(kind)), xlabel="top-1 (%)" if set(some["metric"]) == {"top1"} else "of 100")
        cell.set_yticks(range(len(lines)), lines, fontsize=7)
        cell.set_ylim(len(lines) - 0.5, -0.5)
    for cell in cells[len(kinds) :]:
        cell.set_axis_off()
    for seed in places.seeds[:10]:
        cells[0].plot([], [], label=f"seed {seed}", **each[seed])
    figure.legend(loc="outside upper left", ncols=6)
    caption = "The value of each seed; bars: means over seeds" + (
        "; diamonds: published." if kept["published"].notna().any() else "."
    )
    if len(kept) < len(done):
        caption += f" The first {LINES} rows and {PANELS} columns of the table."
    names = ["arm", *settings, "protocol", "evaluation", "metric", "seed", "value", "published"]
    return Drawing("seeds", caption, figure, kept[list(dict.fromkeys(names))])


def _done(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Returns what is done with its line and panel, and the settings that vary within an arm, which its line names."""
    done, by = done_rows(frame[frame["metric"] != "top5"])
    own = [name for name in (*OWN, *by) if name in OWN or name not in SETTINGS]
    settings = [name for name in dict.fromkeys(own) if done.groupby("arm")[name].nunique(dropna=False).gt(1).any()]
    if "stream" in settings:
        order = pd.DataFrame({"arm": pd.factorize(done["arm"])[0], "stream": by_stream(done["stream"])}, index=done.index)
        done = done.loc[order.sort_values(["arm", "stream"], kind="stable").index]
    place = done["protocol"].astype(str)
    if len(done["benchmark"].unique()) > 1:
        place = done["benchmark"].astype(str) + " " + place
    names = [column(*pair) for pair in zip(done["evaluation"], done["metric"], strict=True)]
    panel = place + " " + pd.Series(names, index=done.index, dtype=object)
    line = done.groupby(["arm", *settings], sort=False, dropna=False).ngroup()
    return done.assign(line=line, panel=panel), settings


def _label(row: dict[Hashable, Any], settings: Sequence[str]) -> str:
    return ", ".join([short(str(row["arm"])), *(shown(row[name]) for name in settings)])


def _panel(cell: Any, some: pd.DataFrame, each: dict[Any, dict[str, Any]], places: Places) -> None:
    for (line, seed), points in some.groupby(["line", "seed"], sort=False):
        (dots,) = cell.plot(100 * points["value"], [line] * len(points), markersize=4, **each[seed])
        places.mark(dots, arm=points["arm"].iloc[0], protocol=points["protocol"].iloc[0], seed=seed)
    for line, points in some.groupby("line", sort=False):
        _mean(cell, points, line, places)


def _mean(cell: Any, points: pd.DataFrame, row: Any, places: Places) -> None:
    place = {"arm": points["arm"].iloc[0], "protocol": points["protocol"].iloc[0]}
    mean = 100 * points["value"].mean()
    (bar,) = cell.plot([mean, mean], [row - 0.35, row + 0.35], color=INK, linewidth=1.2)
    places.mark(bar, **place)
    if (published := points["published"].dropna()).size:
        (told,) = cell.plot([100 * published.iloc[0]], [row], marker="D", markerfacecolor="none", color=COLOURS[1])
        places.mark(told, **place)
