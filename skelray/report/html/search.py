"""What a search found: what happened at each rung, which parameters mattered there, and where the good settings lie."""

from __future__ import annotations

from skelray.report.html.blocks import Block, Command, Grid, Section, Text
from skelray.report.html.figures import picture
from skelray.report.html.material import Material


def section(material: Material) -> Section:
    """Without blocks where the study is no search."""
    if material.searched.empty:
        return Section("search", "Search", [])
    from skelray.report.figures.sweep import FIGURES  # brings Optuna
    from skelray.report.sweep_tables import at_the_end, told

    found = told(material.searched)
    tables = [table for table in at_the_end(material.searched) if table is not None]
    drawn = [drawing for figure in FIGURES if (drawing := figure(found)) is not None]
    blocks: list[Block] = [Grid(table, [material.places.marks()] * len(table.rows)) for table in tables]
    blocks += [picture(material, drawing) for drawing in drawn]
    blocks += [
        Text("The best setting as the Python of a study, with the options of the run:"),
        Command("skelray best STUDY"),
    ]
    return Section("search", "Search", blocks)
