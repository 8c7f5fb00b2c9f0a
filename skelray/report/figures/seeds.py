"""Every seed's value of every arm, its mean, and the published number."""

from __future__ import annotations

from typing import Any

import pandas as pd

from skelray.names import column
from skelray.report.figures.drawing import Drawing, Places
from skelray.report.figures.style import COLOURS, INK, in_style, looks, panels, short

PANELS, ARMS = 6, 60  # that one figure has room for


@in_style()
def seeds(frame: pd.DataFrame, places: Places) -> Drawing | None:
    """frame: rows of evaluations. A panel for each protocol and evaluation; None where nothing is done."""
    done = frame[(frame["status"] == "done") & (frame["metric"] != "top5")]
    names = [column(*pair) for pair in zip(done["evaluation"], done["metric"], strict=True)]
    done = done.assign(panel=done["protocol"].astype(str) + " " + pd.Series(names, index=done.index, dtype=object))
    arms, kinds = list(dict.fromkeys(done["arm"])), list(dict.fromkeys(done["panel"]))
    if not kinds:
        return None
    shown = done[done["arm"].isin(arms[:ARMS]) & done["panel"].isin(kinds[:PANELS])]
    count, across = len(arms[:ARMS]), min(2, len(kinds))
    down = -(-len(kinds[:PANELS]) // across)
    figure, grid = panels(down, across, 3.6 * across if across > 1 else 5, down * (0.9 + 0.2 * count), sharey=True)
    rows = {arm: row for row, arm in enumerate(arms)}
    found = looks(len(places.seeds))
    each: dict[Any, dict[str, Any]] = {seed: found[place] | {"linestyle": ""} for place, seed in enumerate(places.seeds)}
    cells = list(grid.flat)
    for cell, (kind, some) in zip(cells, shown.groupby("panel", sort=False), strict=False):
        for (arm, seed), points in some.groupby(["arm", "seed"], sort=False):
            (dots,) = cell.plot(100 * points["value"], [rows[str(arm)]] * len(points), markersize=4, **each[seed])
            places.mark(dots, arm=arm, protocol=points["protocol"].iloc[0], seed=seed)
        for arm, points in some.groupby("arm", sort=False):
            _mean(cell, points, rows[str(arm)], places)
        cell.set(title=short(str(kind)), xlabel="top-1 (%)" if set(some["metric"]) == {"top1"} else "of 100")
        cell.set_yticks(range(count), [short(arm) for arm in arms[:ARMS]], fontsize=7)
        cell.set_ylim(count - 0.5, -0.5)
    for cell in cells[len(kinds) :]:
        cell.set_axis_off()
    for seed in places.seeds[:10]:
        cells[0].plot([], [], label=f"seed {seed}", **each[seed])
    figure.legend(loc="outside upper left", ncols=6)
    caption = "The value of each seed; bars: means over seeds" + (
        "; diamonds: published." if shown["published"].notna().any() else "."
    )
    if shown.shape != done.shape:
        caption += f" The first {ARMS} arms and {PANELS} columns of the table."
    return Drawing(
        "seeds", caption, figure, shown[["arm", "protocol", "evaluation", "metric", "seed", "value", "published"]]
    )


def _mean(cell: Any, points: pd.DataFrame, row: int, places: Places) -> None:
    place = {"arm": points["arm"].iloc[0], "protocol": points["protocol"].iloc[0]}
    mean = 100 * points["value"].mean()
    (bar,) = cell.plot([mean, mean], [row - 0.35, row + 0.35], color=INK, linewidth=1.2)
    places.mark(bar, **place)
    if (published := points["published"].dropna()).size:
        (told,) = cell.plot([100 * published.iloc[0]], [row], marker="D", markerfacecolor="none", color=COLOURS[1])
        places.mark(told, **place)
