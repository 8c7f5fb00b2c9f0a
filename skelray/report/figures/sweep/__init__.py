"""Figures of a sweep: what mattered, where in the space the good ones lie, and how the search went on."""

from skelray.report.figures.sweep.importance import importances
from skelray.report.figures.sweep.progress import distribution, history, pareto, timeline
from skelray.report.figures.sweep.space import contours, parallel, slices

FIGURES = (importances, slices, contours, parallel, history, distribution, timeline, pareto)

__all__ = ["FIGURES", "contours", "distribution", "history", "importances", "parallel", "pareto", "slices", "timeline"]
