"""What was watched while trials trained: the loss, and accuracy on held-out training subjects, with rungs and stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skelray.names import HELD_OUT
from skelray.report.figures.drawing import Drawing, Places
from skelray.report.figures.style import INK, WIDE, in_style, panels, series_styles, shorten_label, use_whole_ticks

POINTS, TRIALS = 120, 300  # of a line, and lines
FIRST = ("loss", HELD_OUT)


@in_style()
def curves(frame: pd.DataFrame, watched: pd.DataFrame, places: Places) -> Drawing | None:
    """Draws the curves of trials: a panel for the loss and, if there is one, one for the monitor.

    frame: rows of trials. watched: their curves.
    """
    trials = frame.drop_duplicates("trial").head(TRIALS).set_index("trial")
    shown = watched[watched["metric"].isin(FIRST) & watched["trial"].isin(trials.index)]
    kinds = [kind for kind in FIRST if (shown["metric"] == kind).any()]
    if not kinds:
        return None
    figure, grid = panels(1, len(kinds), WIDE if len(kinds) == 1 else 1.25 * WIDE, 3.6)
    each = dict(zip(places.arms, series_styles(len(places.arms)), strict=True))
    stopped = frame[frame["status"] == "stopped"].drop_duplicates("trial")
    kept = []
    for plot, kind in zip(grid[0], kinds, strict=True):
        scale = 100 if kind == HELD_OUT else 1
        for trial, points in shown[shown["metric"] == kind].groupby("trial", sort=False):
            points = points.iloc[_thinned(len(points))]
            kept.append(points)
            _line(plot, points, scale, trials.loc[trial], each, places)
        if kind == HELD_OUT:
            _stops(plot, stopped, places)
        use_whole_ticks(plot.xaxis)
        plot.set(xlabel="epoch", ylabel="held-out top-1 (%)" if kind == HELD_OUT else "loss")
    drawn = set(trials.loc[pd.concat(kept)["trial"], "arm"])
    _legend(figure, grid[0][0], {arm: look for arm, look in each.items() if arm in drawn})
    rungs = ", ".join(str(epoch) for epoch in sorted(set(stopped["epoch"])))
    caption = "A line a trial, in the look of its arm." + (f" Crosses: stopped, at the rungs {rungs}." if rungs else "")
    if frame["trial"].nunique() > TRIALS:
        caption += f" The first {TRIALS} trials."
    return Drawing("curves", caption, figure, pd.concat(kept)[["trial", "epoch", "metric", "value"]])


def _thinned(count: int) -> np.ndarray:
    """Places of at most POINTS of so many points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))


def _line(plot: Any, points: pd.DataFrame, scale: float, row: Any, each: dict[str, Any], places: Places) -> None:
    look = {**each[row["arm"]], "marker": "o" if len(points) == 1 else ""}
    (line,) = plot.plot(points["epoch"], scale * points["value"], linewidth=1, alpha=0.8, **look)
    places.mark(line, arm=row["arm"], protocol=row["protocol"], seed=row["seed"])


def _stops(plot: Any, stopped: pd.DataFrame, places: Places) -> None:
    for epoch in sorted(set(stopped["epoch"])):
        plot.axvline(epoch, color=INK, linewidth=0.6, linestyle=":")
    for row in stopped.to_dict("records"):
        (cross,) = plot.plot([row["epoch"]], [100 * row["value"]], marker="x", color=INK, markersize=5)
        places.mark(cross, arm=row["arm"], protocol=row["protocol"], seed=row["seed"])


def _legend(figure: Any, plot: Any, each: dict[str, Any]) -> None:
    """Names the arms that have a line, where they are few."""
    if len(each) <= 12:
        for arm, look in each.items():
            plot.plot([], [], label=shorten_label(arm), **{**look, "marker": ""})
        figure.legend(loc="outside upper left", ncols=3)
