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
    """row: what was clustered, in words. nmi: its figure. places: (N, 2). labels: (N,) classes. names: of all classes."""

    row: str
    nmi: float
    places: np.ndarray
    labels: np.ndarray
    names: Sequence[str]


@in_style()
def draw_features(shown: Sequence[Panel]) -> Drawing:
    """Draws the first dozen panels, of which there is one at least; a class looks the same in all of them."""
    from matplotlib import colormaps

    there = sorted({panel.names[label] for panel in shown[:MOST] for label in panel.labels})
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
        for label in np.unique(panel.labels):
            x, y = panel.places[panel.labels == label].T
            name = panel.names[label]
            axes.scatter(x, y, s=7, linewidths=0, label=shorten_label(name), **looks[name])
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", markerscale=2)
    more = f" The first {MOST} of {len(shown)} rows." if len(shown) > MOST else ""
    caption = (
        f"t-SNE of unit features of test samples, a colour and a mark a class; distances between groups mean little.{more}"
    )
    return Drawing("features", caption, figure, _numbers(shown[:MOST]))


def _numbers(shown: Sequence[Panel]) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "row": panel.row,
                "class": [panel.names[label] for label in panel.labels],
                "x": panel.places[:, 0],
                "y": panel.places[:, 1],
            }
        )
        for panel in shown
    ]
    return pd.concat(frames, ignore_index=True)
