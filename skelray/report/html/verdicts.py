"""What the table may claim: a forest of the contrasts, and the word and reason for each."""

from __future__ import annotations

from skelray.report.effects_table import effects_table
from skelray.report.figures import forest
from skelray.report.figures.drawing import Marks
from skelray.report.html.blocks import Block, Paragraph, Section, SortedTable
from skelray.report.html.figures import save_picture
from skelray.report.html.material import Material
from skelray.report.verdict_table import leading, verdict_table
from skelray.study.notes import Notes


def section(material: Material) -> Section:
    """Makes the section on verdicts: each planned contrast and, of a factorial, the effects of its parts."""
    blocks: list[Block] = []
    places = material.places
    table = None if material.measured.empty else verdict_table(material.measured, material.margin)
    effects = None if material.measured.empty else effects_table(material.measured, material.margin)
    if table is not None:
        own = Notes.of(material.frame.attrs.get("notes", {})).margin / 100
        margin = own if material.margin is None else material.margin
        drawn = forest.forest(table.numbers, margin, places, leading(table.numbers))
        marks = [places.marks(arm=row["arm"], protocol=row["protocol"]) for row in table.numbers.to_dict("records")]
        blocks = [save_picture(material, drawn), SortedTable(table, marks)]
    if effects is not None:
        blocks.append(SortedTable(effects, [Marks()] * len(effects.rows)))
    return Section("verdicts", "Verdicts", blocks or [Paragraph("No contrast: no two seeds are done in two arms.")])
