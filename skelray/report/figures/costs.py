"""What each arm cost: hours of training and of evaluation."""

from __future__ import annotations

import pandas as pd

from skelray.report.figures.drawing import Drawing, Places
from skelray.report.figures.style import COLOURS, WIDE, empty_figure, in_style, shorten_label

ARMS = 30  # that the figure has room for


@in_style()
def costs(spent: pd.DataFrame, places: Places) -> Drawing:
    """Draws the costs. spent: a row an arm, with training and evaluation in hours."""
    shown = spent.head(ARMS)
    figure, plot = empty_figure("time (hours)", "", WIDE, 1.0 + 0.2 * len(shown))
    before = [0.0] * len(shown)
    for name, colour, hatch in (("training", COLOURS[0], ""), ("evaluation", COLOURS[4], "///")):
        bars = plot.barh(
            range(len(shown)), shown[name], left=before, color=colour, hatch=hatch, edgecolor="white", label=name
        )
        for bar, arm in zip(bars, shown["arm"], strict=True):
            places.mark(bar, arm=arm)
        before = [left + hours for left, hours in zip(before, shown[name], strict=True)]
    plot.set_yticks(range(len(shown)), [shorten_label(arm) for arm in shown["arm"]], fontsize=7)
    plot.set_ylim(len(shown) - 0.5, -0.5)
    plot.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=2)
    more = f" The first {ARMS} of {len(spent)} arms." if len(spent) > ARMS else ""
    return Drawing("costs", f"Hours of all trials of an arm; one that two arms share counts in both.{more}", figure, shown)
