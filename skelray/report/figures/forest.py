"""The contrasts of a table: each difference with its interval, in the colour of its verdict."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from skelray.names import column_name
from skelray.report.figures.drawing import Drawing, Places
from skelray.report.figures.style import COLOURS, INK, WIDE, empty_figure, in_style, shorten_label
from skelray.report.table import cell_text as cell

WORDS = {  # colour and marker of each verdict
    "helps": (COLOURS[0], "^"),
    "hurts": (COLOURS[1], "v"),
    "equivalent": (COLOURS[2], "s"),
    "undecided": ("#6b7280", "o"),
    "not attainable": ("#9ca3af", "D"),
}
MOST = 80  # contrasts that one figure has room for


@in_style()
def forest(found: pd.DataFrame, margin: float, places: Places, groups: Sequence[str] = ()) -> Drawing:
    """Draws each contrast, named by its arm and by its values of groups, such as the stream, that vary within an arm.

    found: the rows of ``skelray.verdicts``. margin: a fraction; differences within it count as equivalent.
    """
    arms = found.groupby(["baseline", "arm"])
    groups = [name for name in groups if arms[name].nunique(dropna=False).gt(1).any()]
    shown = found.head(MOST)
    several = len(set(shown["baseline"])) > 1
    what = "difference" if several else f"minus {shorten_label(shown['baseline'].iloc[0])}"
    name = f"{what} (points of accuracy)"
    figure, plot = empty_figure(name, "", 1.5 * WIDE if several else 1.2 * WIDE, 1.1 + 0.22 * len(shown))
    plot.axvspan(-100 * margin, 100 * margin, color=COLOURS[2], alpha=0.1, linewidth=0)
    plot.axvline(0, color=INK, linewidth=0.8)
    for row, one in enumerate(shown.to_dict("records")):
        colour, marker = WORDS.get(one["word"], WORDS["undecided"])
        bar = [100 * one["low"], 100 * one["high"]]
        (line,) = plot.plot(bar, [row, row], color=colour, linewidth=1.4)
        (dot,) = plot.plot([100 * one["mean"]], [row], color=colour, marker=marker, linestyle="")
        for artist in (line, dot):
            places.mark(artist, arm=one["arm"], protocol=one["protocol"])
    for word in dict.fromkeys(shown["word"]):
        colour, marker = WORDS.get(word, WORDS["undecided"])
        plot.plot([], [], color=colour, marker=marker, linestyle="", label=word)
    labels = [_label(one, several, groups) for one in shown.to_dict("records")]
    plot.set_yticks(range(len(shown)), labels, fontsize=7)
    plot.set_ylim(len(shown) - 0.4, -0.6)
    plot.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=len(WORDS))
    more = f" The first {MOST} of {len(found)}." if len(found) > MOST else ""
    told = "Differences over paired seeds with their 95 % intervals"
    caption = f"{told}; shaded: within the margin of {100 * margin:g} points.{more}"
    names = [*groups, "arm", "baseline", "protocol", "evaluation", "metric", "mean", "low", "high", "n", "word"]
    return Drawing("forest", caption, figure, shown[names])


def _label(one: dict[Hashable, Any], several: bool, groups: Sequence[str]) -> str:
    arm = shorten_label(one["arm"]) + (f" − {shorten_label(one['baseline'])}" if several else "")
    place = f"{one['protocol']} {column_name(one['evaluation'], one['metric'])}"
    return ", ".join([arm, *(cell(one[name]) for name in groups), place])
