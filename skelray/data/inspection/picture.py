"""A picture of a few sequences of a prepared data set: stick figures over time, as PNG or in an HTML page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelray.data.dataset import SkeletonDataset, open_dataset
from skelray.data.inspection.describe import Description
from skelray.skeleton import Skeleton

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEQUENCES, MOMENTS = 6, 8
LEFT, RIGHT, MIDDLE = "#c2410c", "#1d4ed8", "#374151"
PERSONS = (1.0, 0.45)  # how strongly each person is drawn


def picture_as_png(root: Path, name: str) -> bytes:
    """Draws up to six classes, a sequence each at eight moments. Raises DataError."""
    dataset = open_dataset(Path(root), name)
    figure = draw_picture(dataset, typical_sequences(dataset))
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()


def description_page(description: Description, picture: bytes) -> str:
    """Returns one self-contained HTML file."""
    sections = "".join(
        f"<h2>{html.escape(heading)}</h2><pre>{html.escape(chr(10).join(lines))}</pre>"
        for heading, lines in description.sections()
    )
    first, *rest = description.title
    style = "body{font:15px/1.4 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}h2{font-size:1.05em}img{width:100%}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(first)}</title><style>{style}</style>'
        f"<h1>{html.escape(first.partition(':')[0])}</h1><pre>{html.escape(chr(10).join([first, *rest]))}</pre>"
        f'<img alt="stick figures" src="data:image/png;base64,{base64.b64encode(picture).decode()}">{sections}</html>'
    )


def typical_sequences(dataset: SkeletonDataset) -> list[int]:
    """Returns a sequence of median length for each of a few classes, spread over all."""
    present = np.unique(dataset.labels)
    labels = present[np.linspace(0, len(present) - 1, min(SEQUENCES, len(present))).round().astype(int)]
    lengths = dataset.samples["frames"].to_numpy()
    picked = []
    for label in labels:
        rows = np.flatnonzero(dataset.labels == label)
        picked.append(int(rows[np.argsort(lengths[rows], kind="stable")[len(rows) // 2]]))
    return picked


def draw_picture(dataset: SkeletonDataset, positions: list[int]) -> Figure:
    """Draws a row for each sequence and a column for each moment, all at one scale."""
    from matplotlib.figure import Figure

    x = dataset.batch(positions).astype(np.float32)  # (n, C, T, V, M)
    across, up, sign = picture_axes(x, dataset.skeleton.centre)
    plane = np.stack([x[:, across], sign * x[:, up]], axis=-1)  # (n, T, V, M, 2)
    there = (x != 0).any(axis=(1, 3))  # (n, T, M)
    moments = np.linspace(0, plane.shape[1] - 1, min(MOMENTS, plane.shape[1])).round().astype(int)
    boxes = np.array([_box(plane[row].swapaxes(1, 2)[there[row]]) for row in range(len(positions))])  # (n, 2, 2)
    half = 1.1 * max(float(np.ptp(boxes, axis=1).max()) / 2, 1e-6)
    width, height = 1.45 * len(moments), 1.8 * len(positions)
    figure = Figure(figsize=(width, height + 0.5))
    grid = figure.subplots(len(positions), len(moments), squeeze=False)
    figure.subplots_adjust(0.01, 0.35 / height, 0.99, 1 - 0.5 / height, wspace=0.03, hspace=0.22)
    colours = sides(dataset.skeleton)
    for row, position in enumerate(positions):
        _strip(grid[row], plane[row][moments], there[row][moments], dataset.skeleton, colours)
        for cell in grid[row]:
            _frame(cell, boxes[row].mean(axis=0), half)
        name, frames = (dataset.samples[key].iloc[position] for key in ("name", "frames"))
        title = f"{dataset.classes[dataset.labels[position]]}  ({name}, {frames} frames)"
        grid[row][0].set_title(title, loc="left", fontsize=9, pad=3)
    for at, moment in enumerate(moments):
        grid[-1][at].set_xlabel(f"{moment + 1} of {plane.shape[1]}", fontsize=8, color=MIDDLE)
    figure.suptitle(f"{dataset.name}: left limbs red, right limbs blue", fontsize=10, color=MIDDLE, y=1 - 0.1 / height)
    return figure


def _box(points: np.ndarray) -> np.ndarray:
    """Returns the lower left and upper right corner of points, (2, 2)."""
    points = points.reshape(-1, 2)
    return np.stack([points.min(axis=0), points.max(axis=0)]) if len(points) else np.zeros((2, 2))


def _strip(cells: Iterable[Any], plane: np.ndarray, there: np.ndarray, skeleton: Skeleton, colours: list[str]) -> None:
    """Draws one sequence (moments, V, M, 2), a moment in each cell."""
    for cell, joints, present in zip(cells, plane, there, strict=True):
        for person in np.flatnonzero(present):
            strength = PERSONS[min(int(person), len(PERSONS) - 1)]
            for (child, parent), colour in zip(skeleton.bones, colours, strict=True):
                line = joints[[child, parent], person]
                cell.plot(line[:, 0], line[:, 1], color=colour, alpha=strength, linewidth=1.8, solid_capstyle="round")


def _frame(cell: Any, middle: np.ndarray, half: float) -> None:
    cell.set_xlim(middle[0] - half, middle[0] + half)
    cell.set_ylim(middle[1] - half, middle[1] + half)
    cell.set_aspect("equal")
    cell.set_xticks([])
    cell.set_yticks([])
    for spine in cell.spines.values():
        spine.set_color("#e5e7eb")


def picture_axes(x: np.ndarray, centre: int) -> tuple[int, int, int]:
    """Returns (across, up, 1 or -1): the axes of the mean posture's width and height, and which way up is.

    x: (n, C, T, V, M). A figure is taller than wide, and more of it hangs below its centre than stands above it.
    """
    body = x[..., 0]
    there = (body != 0).any(axis=(1, 3))[:, None, :, None]  # (n, 1, T, 1)
    posture = np.where(there, body, 0).sum(axis=(0, 2)) / max(1, int(there.sum()))  # (C, V)
    offset = posture - posture[:, [centre]]
    tall = np.argsort(-np.ptp(offset, axis=1), kind="stable")
    up = int(tall[0])
    across = int(tall[1]) if up == 0 else 0
    return across, up, -1 if offset[up].mean() > 0 else 1


def sides(skeleton: Skeleton) -> list[str]:
    """Returns the colour of each bone, by the side of its child."""
    left, right = ({pair[at] for pair in skeleton.mirror} for at in (0, 1))
    return [LEFT if child in left else RIGHT if child in right else MIDDLE for child, _ in skeleton.bones]
