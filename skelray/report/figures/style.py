"""How every figure looks, and how it is kept: PNG and SVG, the same bytes for the same numbers, and a CSV of what it shows.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with each kind of colour blindness tell
apart; what a colour says, a marker or a line style says too, so that a figure is readable in grey.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.report.printable import make_printable
from skelray.results.tables import write_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # without yellow: pale in print
MARKERS, LINES = "osD^vPX", ("-", "--", ":", "-.")
INK, FAINT, PAPER = "#1f2937", "#d1d5db", "#ffffff"
DPI = 150
MANY, FIVE_BITS = 4096, [v >> 3 << 3 | v >> 5 for v in range(256)]  # colours of a picture; white and black stay themselves
WIDE, HIGH = 6.4, 4.0  # inches: a column and a half of a paper
SETTINGS: dict[Any, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), PAPER),
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "skelray",  # text stays text; ids are the same every time
    "axes.prop_cycle": f"cycler(color={list(COLOURS)})",
    "figure.constrained_layout.w_pad": 0.12,  # inches, for a reader's wider font
    "text.parse_math": False,  # a label with dollars is one
}


_within: list[bool] = []  # whether what is drawn now has the style already


@contextmanager
def in_style() -> Iterator[None]:
    """Draws within the block in the project's style, whatever the user's own settings are.

    A function that draws carries it as its decorator, ``@in_style()``: lines and legends take their look when they are made.
    """
    import matplotlib

    if _within:
        yield  # setting it again would only take time
        return
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # of a script the font lacks: boxes
        _within.append(True)
        try:
            yield
        finally:
            _within.pop()


def empty_figure(x: str, y: str, width: float = WIDE, height: float = HIGH) -> tuple[Figure, Axes]:
    """Returns an empty figure with one pair of axes. x, y: what they show with its unit, as in "top-1 (%)"."""
    figure, grid = panels(1, 1, width, height)
    grid[0][0].set(xlabel=x, ylabel=y)
    return figure, grid[0][0]


def panels(rows: int, columns: int, width: float = WIDE, height: float = HIGH, sharey: bool = False) -> tuple[Figure, Any]:
    """Returns a figure of rows x columns axes, which the caller names."""
    from matplotlib.figure import Figure

    with in_style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey)


def use_whole_ticks(axis: Any) -> None:
    """Ticks of an axis at whole numbers alone, as where it counts samples."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def series_styles(count: int) -> list[dict[str, Any]]:
    """Returns colour, marker and line style for so many series: all different up to 28, then from the start again."""
    every = [
        {"color": colour, "marker": marker, "linestyle": line}
        for line in LINES
        for colour, marker in zip(COLOURS, MARKERS, strict=True)
    ]
    return [every[place % len(every)] for place in range(count)]


def shorten_label(label: str, most: int = 36) -> str:
    """Returns a label, cut to the room that an axis has."""
    label = make_printable(label)
    return label if len(label) <= most else f"{label[: most - 1]}…"


def svg(figure: Figure) -> str:
    """Returns the figure as SVG; the same text for the same numbers."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.StringIO()
    with _laid_out(figure):
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None, "Creator": None})
    return content.getvalue()


def save_figure(study: str, name: str, figure: Figure, data: pd.DataFrame, folder: Path | str = "results") -> list[Path]:
    """Writes NAME.png, .svg and .csv, the numbers that the figure shows, into the study's folder of figures.

    Each is replaced at once, and left alone where it is the same. name: of letters, digits, ``_ + -``; UserError is raised
    for another. Returns their paths.
    """
    if not re.fullmatch(r"[\w+-]+", name, re.ASCII):
        raise UserError(f"a figure is named by letters, digits, '_', '+' and '-', not {name!r}")
    text = data.rename(columns=make_printable).to_csv(index=False, lineterminator="\n", float_format="%.7g")
    with in_style():
        content = {
            f"{name}.csv": text.encode(),
            f"{name}.svg": svg(figure).encode(),
            f"{name}.png": _png(figure),
        }
    write_pictures(study, content, Path(folder))
    return [Path(folder) / "figures" / study / file for file in content]


def _png(figure: Figure) -> bytes:
    """Returns the figure as a PNG in 128 colours, enough for lines and letters, in a third of the bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    with _laid_out(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # (height, width, 4) before
    if drawn.getcolors(MANY) is None:  # as of hundreds of lines: of so many, seconds would go into choosing 128
        drawn = drawn.point(FIVE_BITS * 3)
    made = io.BytesIO()
    drawn.quantize(128, dither=Image.Dither.NONE).save(made, "PNG")
    return made.getvalue()


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Lays the figure out within the block as it is kept, for a canvas to print: ``savefig`` would draw everything twice."""
    with in_style():
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")  # done: not again for every form
        own, figure.dpi = figure.dpi, DPI
        try:
            yield
        finally:
            figure.dpi = own
