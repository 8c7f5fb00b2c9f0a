"""Where in the space of a sweep the good samples lie: slices, contours, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import FAINT, INK, WIDE, in_style, panels
from skelray.search.from_table import LEAST, ReadSample, conditional_parameters, importance, read_epochs
from skelray.search.ranges import Range, ranges

SHADES = "viridis"
COLUMNS, PAIRS = 3, 3  # panels of slices side by side, and of contours
DOTS = {"cmap": SHADES, "edgecolors": INK, "linewidths": 0.4, "s": 22}


def samples_frame(told: Sequence[ReadSample]) -> pd.DataFrame:
    """Returns a row for each sample that was read: parameters, latest reading, the epoch of it, and how it ended."""
    read = [sample for sample in told if sample.readings]
    rows = [{"sample": s.arm, "status": s.status, "epoch": max(s.readings), "value": s.value, **s.params} for s in read]
    return pd.DataFrame(rows)


@in_style()
def slices(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws a panel for each parameter: the latest reading of each sample over its value."""
    known, frame = ranges(told), samples_frame(told)
    if not known or frame.empty:
        return None
    rows, columns = math.ceil(len(known) / COLUMNS), min(COLUMNS, len(known))
    figure, grid = panels(rows, columns, max(WIDE, WIDE * columns / 2), 2.7 * rows, sharey=True)
    plots = grid.flatten()
    for plot, one in zip(plots, known.values(), strict=False):
        own = frame[frame[one.name].notna()]
        x = _places(plot, "x", own[one.name].tolist(), one)
        dots = plot.scatter(x, 100 * own["value"], c=own["epoch"], **DOTS)
        dots.set_clim(frame["epoch"].min(), frame["epoch"].max())
        for place in np.flatnonzero(own["sample"] == "published"):
            at, value = x[place], own["value"].iloc[place]
            plot.plot([at], [100 * value], marker="x", color=INK, markersize=9, linestyle="", zorder=3)
    for plot in plots[len(known) :]:
        plot.set_axis_off()
    for line in grid:
        line[0].set_ylabel("held-out top-1 (%)")
    figure.colorbar(dots, ax=plots.tolist(), label="epoch of the reading")
    caption = "The latest reading of each sample over each parameter, shaded by its epoch; a cross: the published setting."
    return Drawing("slices", caption, figure, frame)


@in_style()
def contours(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws pairs of the numbers that matter most, at the last rung to which enough samples came."""
    for epoch in reversed(read_epochs(told)):
        there = [sample for sample in told if epoch in sample.readings]
        if pairs := _pairs(there, importance(told, epoch) or {}):
            break
    else:
        return None
    worth = [100 * sample.readings[epoch] for sample in there]
    figure, grid = panels(1, len(pairs), WIDE * max(1, len(pairs) * 0.75), 3.4)
    for plot, pair in zip(grid[0], pairs, strict=True):
        dots = _contour(plot, there, pair, epoch, (min(worth), max(worth)))
    figure.colorbar(dots, ax=grid[0].tolist(), label=f"held-out top-1 (%) at epoch {epoch}")
    frame = pd.DataFrame([{"sample": s.arm, "epoch": epoch, "value": s.readings[epoch], **s.params} for s in there])
    caption = f"Readings at epoch {epoch}, to which {len(there)} samples came, drawn as a plane between any three."
    return Drawing("contours", caption, figure, frame)


def _pairs(told: Sequence[ReadSample], shares: dict[str, float]) -> list[tuple[Range, Range]]:
    """Returns the pairs of the most important numbers that enough samples have both of."""
    known = ranges(told)
    numbers = [known[name] for name in shares if name in known and known[name].choices is None]
    pairs = [(x, y) for place, x in enumerate(numbers) for y in numbers[place + 1 :]]
    return [(x, y) for x, y in pairs if sum({x.name, y.name} <= set(s.params) for s in told) >= LEAST][:PAIRS]


def _contour(
    plot: Any, told: Sequence[ReadSample], pair: tuple[Range, Range], epoch: int, limits: tuple[float, float]
) -> Any:
    own = [sample for sample in told if all(one.name in sample.params for one in pair)]
    x, y = (_places(plot, axis, [s.params[one.name] for s in own], one) for axis, one in zip("xy", pair, strict=True))
    values = [100 * sample.readings[epoch] for sample in own]
    shares = np.array([[one.fraction(sample.params[one.name]) for one in pair] for sample in own])
    if limits[1] > limits[0] and np.linalg.matrix_rank(shares - shares.mean(axis=0), tol=1e-6) == 2:
        plot.tricontourf(x, y, values, levels=np.linspace(*limits, 11), cmap=SHADES, alpha=0.6)
    return plot.scatter(x, y, c=values, vmin=limits[0], vmax=limits[1], **DOTS)


@in_style()
def parallel(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws an axis for each parameter and a line for each sample, in the colour of its latest reading."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    known, frame = ranges(told), samples_frame(told)
    if len(known) < 2 or frame.empty:
        return None
    figure, ((plot,),) = panels(1, 1, max(WIDE, 1.5 * (len(known) + 1)), 3.8)
    worth, some = 100 * frame["value"], conditional_parameters(told)
    order = sorted(known.values(), key=lambda one: one.name in some)
    scale = Normalize(worth.min(), max(worth.max(), worth.min() + 1e-9))
    for place in np.argsort(worth.to_numpy(), kind="stable"):  # the best lie on top
        line = [(at, one.fraction(frame[one.name].iloc[place])) for at, one in enumerate(order)]
        x, y = zip(*(point for point in line if point[1] == point[1]), strict=True)
        plot.plot(x, y, color=colormaps[SHADES](scale(worth.iloc[place])), linewidth=1, marker=".")
    for place, one in enumerate(order):
        plot.axvline(place, color=FAINT, linewidth=0.8, zorder=0)
        for height, said in one.ticks():
            plot.annotate(_cut(said), (place, height), xytext=(4, 0), textcoords="offset points", fontsize=7, va="center")
    plot.set_xticks(range(len(order)), [one.name for one in order])
    plot.set_xlim(-0.2, len(known) - 0.3)
    plot.set_yticks([])
    plot.grid(False)
    figure.colorbar(ScalarMappable(scale, SHADES), ax=plot, label="held-out top-1 (%)")
    caption = "A line for each sample, in the colour of its latest reading; it passes over what a sample lacks."
    return Drawing("parallel_coordinates", caption, figure, frame)


def _places(plot: Any, axis: str, values: Sequence[Any], one: Range) -> list[float]:
    """Returns where values lie on an axis, and gives the axis its name, scale and ticks."""
    plot.set(**{f"{axis}label": one.name})
    if one.choices is None:
        _number_axis(plot, axis, one)
        return [float(value) for value in values]
    plot.set(**{f"{axis}ticks": range(len(one.choices)), f"{axis}ticklabels": [_cut(choice) for choice in one.choices]})
    if axis == "x" and sum(map(len, one.choices)) > 24:
        plot.tick_params(axis="x", rotation=90, labelsize=6)
    return [float(one.choices.index(str(value))) for value in values]


def _number_axis(plot: Any, axis: str, one: Range) -> None:
    """Labels an axis with plain numbers: powers would need mathematical text, which the style does without."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    ticks = plot.xaxis if axis == "x" else plot.yaxis
    if one.log:
        plot.set(**{f"{axis}scale": "log"})
        narrow = one.high / one.low < 20
        ticks.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
        ticks.set_minor_locator(NullLocator() if narrow else LogLocator(subs=(2.0, 5.0)))  # nine a decade take long to draw
        ticks.set_minor_formatter(NullFormatter())
    else:
        only = isinstance(one.low, int) and isinstance(one.high, int)
        ticks.set_major_locator(MaxNLocator(5, integer=only, min_n_ticks=1 if only else 2))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _cut(text: str, most: int = 16) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
