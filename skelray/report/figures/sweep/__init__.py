"""Figures of a sweep: what mattered, where in the space the good ones lie, and how the search went on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skelray.report.figures.style import save_figure
from skelray.report.figures.sweep.importance import importances
from skelray.report.figures.sweep.progress import distribution, history, pareto, timeline
from skelray.report.figures.sweep.space import contours, parallel, slices
from skelray.search.from_table import ReadSample

FIGURES = (importances, slices, contours, parallel, history, distribution, timeline, pareto)


def save_sweep_figures(found: Sequence[ReadSample], study: str, folder: Path) -> list[Path]:
    """Writes every figure that there is something for, and returns where the pictures are."""
    drawings = [drawing for figure in FIGURES if (drawing := figure(found)) is not None]
    kept = [save_figure(study, one.name, one.figure, one.data, folder) for one in drawings]
    return [path for paths in kept for path in paths if path.suffix == ".png"]


__all__ = [
    "FIGURES",
    "contours",
    "distribution",
    "draw",
    "history",
    "importances",
    "parallel",
    "pareto",
    "slices",
    "timeline",
]
