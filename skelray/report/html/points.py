"""Every seed of every arm, and how the trials went."""

from __future__ import annotations

from skelray.report.figures.curves import curves
from skelray.report.figures.seeds import seeds
from skelray.report.html.blocks import Block, Paragraph, Section, SortedTable
from skelray.report.html.figures import save_picture
from skelray.report.html.material import Material
from skelray.report.table import NOTHING, Table, percent_text

COLUMNS = ("trial", "arm", "protocol", "stream", "seed", "evaluation", "metric", "epoch", "status")
MOST = 3000  # rows that the page lists


def section(material: Material) -> Section:
    """Makes the section on points: the values of each seed as a figure and, row by row, as a table."""
    drawn = None if material.measured.empty else seeds(material.measured, material.places)
    blocks: list[Block] = [] if drawn is None else [save_picture(material, drawn)]
    return Section("seeds", "Seeds", [*blocks, rows_section(material)])


def rows_section(material: Material) -> SortedTable:
    """Makes the section with every row of the study's table."""
    shown = material.frame.head(MOST)
    lines, marks = [], []
    for row in shown.to_dict("records"):
        told = percent_text(row["published"]) if row["published"] is not None else NOTHING
        lines.append([*(str(row[name]) for name in COLUMNS), percent_text(row["value"]), told])
        marks.append(material.places.marks(arm=row["arm"], protocol=row["protocol"], seed=int(row["seed"])))
    more = f", the first {MOST} of {len(material.frame)}" if len(material.frame) > MOST else ""
    caption = f"Every number of the study{more}; values in percent."
    return SortedTable(Table(caption, [*COLUMNS, "value", "published"], lines, len(COLUMNS), shown), marks)


def curves_section(material: Material) -> Section:
    """Makes the section with the curves of all trials."""
    drawn = curves(material.frame, material.curves, material.places)
    if drawn is None:
        lacks = f"No curves: {material.study}.curves.parquet has none, as of trials without epochs."
        return Section("curves", "Learning curves", [Paragraph(lacks)])
    return Section("curves", "Learning curves", [save_picture(material, drawn)])
