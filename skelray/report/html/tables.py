"""The paper's table, measured beside published, under all seeds and under each; the samples of a search."""

from __future__ import annotations

from skelray.report import fusion_table, text
from skelray.report.figures.drawing import Marks
from skelray.report.html.blocks import Section, SortedTable
from skelray.report.html.material import Material
from skelray.report.table import Table

VARIANTS = 12  # seeds up to which the page has the table of each alone


def section(material: Material) -> Section:
    """Makes the section of tables: every one that the terminal prints."""
    blocks: list[SortedTable] = []
    if not material.measured.empty:
        seeds = material.places.seeds if 1 < len(material.places.seeds) <= VARIANTS else []
        blocks.append(_paper(material, text.accuracy_table(material.measured), -1 if seeds else None))
        for place, seed in enumerate(seeds):
            if not (rows := material.measured[material.measured["seed"] == seed]).empty:
                blocks.append(_paper(material, text.accuracy_table(rows), place))
        if (weights := fusion_table.fusion_table(material.measured)) is not None:
            blocks.append(_by_arm(material, weights, weights.header.index("arm")))
    if not material.searched.empty:
        blocks.append(_by_arm(material, text.sweep_table(material.searched)))
    return Section("table", "Table", blocks)


def _paper(material: Material, table: Table, seed: int | None) -> SortedTable:
    columns: list[int | None] = []
    for name in table.header:
        found = [place for place, protocol in enumerate(material.places.protocols) if name.startswith(f"{protocol} ")]
        columns.append(found[-1] if found else columns[-1] if name == "published" else None)
    marks = [material.places.marks(arm=row[table.words - 1]) for row in table.rows]
    return SortedTable(table, marks, columns, seed)


def _by_arm(material: Material, table: Table, at: int | None = None) -> SortedTable:
    """Returns the marks of rows by the arm in a column, or row by row by the arm of the numbers behind them."""
    if at is not None:
        return SortedTable(table, [material.places.marks(arm=row[at]) for row in table.rows])
    names = ("arm", "protocol", "seed")
    marks = [material.places.marks(**{name: row[name] for name in names}) for row in table.numbers.to_dict("records")]
    return SortedTable(table, marks if len(marks) == len(table.rows) else [Marks()] * len(table.rows))
