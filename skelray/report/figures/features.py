"""Where t-SNE puts features of test samples: a panel for each row of a study, as AimCLR's Figure 2 has them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
import pandas as pd

from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import MARKERS, in_style, panels, shorten_label

MOST, COLUMNS = 12, 4  # panels, and those of a line
SIDE, LETTERS = 2.6, 32  # inches, and what stands above them in a line


@dataclass(frozen=True, eq=False)
class Panel:
    """row: what was clustered, in words. nmi: its figure. places: (N, 2). classes: (N,) names."""

    row: str
    nmi: float
    places: np.ndarray
    classes: Sequence[str]


@in_style()
def draw_features(shown: Sequence[Panel]) -> Drawing:
    """Draws the first dozen panels, of which there is one at least; a class looks the same in all of them."""
    from matplotlib import colormaps

    there = sorted({name for panel in shown[:MOST] for name in panel.classes})
    palette = colormaps["tab10" if len(there) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    looks = {
        name: {"color": palette[place % len(palette)], "marker": MARKERS[place % len(MARKERS)]}
        for place, name in enumerate(there)
    }
    columns = min(len(shown), COLUMNS)
    lines = -(-min(len(shown), MOST) // columns)
    figure, grid = panels(lines, columns, SIDE * columns + 1.6, SIDE * lines + 0.4)
    for axes in grid.ravel()[len(shown) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.ravel(), shown, strict=False):
        title = fill(shorten_label(panel.row, 2 * LETTERS), LETTERS)
        axes.set_title(f"{title}\nNMI {panel.nmi:.3f}", fontsize="small")
        axes.set(xticks=[], yticks=[])
        for name in sorted(set(panel.classes)):
            x, y = panel.places[np.array(panel.classes) == name].T
            axes.scatter(x, y, s=7, linewidths=0, label=shorten_label(name), **looks[name])
    handles = {label: one for axes in grid.ravel() for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = sorted(handles)
    figure.legend([handles[label] for label in labels], labels, loc="outside right upper", markerscale=2)
    more = f" The first {MOST} of {len(shown)} rows." if len(shown) > MOST else ""
    caption = (
        f"t-SNE of unit features of test samples, each row under its first seed; a colour and a mark a class. "
        f"Distances between groups mean little.{more}"
    )
    return Drawing("features", caption, figure, _numbers(shown[:MOST]))


def _numbers(shown: Sequence[Panel]) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "row": panel.row,
                "class": panel.classes,
                "x": panel.places[:, 0],
                "y": panel.places[:, 1],
            }
        )
        for panel in shown
    ]
    return pd.concat(frames, ignore_index=True)
