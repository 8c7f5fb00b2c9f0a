"""What a search found: what happened at each rung, and which parameters mattered there; its figures stand further below."""

from __future__ import annotations

from skelray.report.html.blocks import Block, Section, SortedTable
from skelray.report.html.material import Material


def sections(material: Material, draws: bool) -> list[Section]:
    """Returns the section on a search; none if the study is no search, or its table has one reading of each sample.

    draws: the figures are drawn, too, where they are older than the table; it takes seconds.
    """
    if material.searched.empty:
        return []
    from skelray.report.sweep_tables import redraw, samples_of_sweep, summary_tables  # brings Optuna

    found = samples_of_sweep(material.searched)
    if draws:
        redraw(found, material.study, material.results)
    tables = [table for table in summary_tables(found) if table is not None]
    blocks: list[Block] = [SortedTable(table, [material.places.marks()] * len(table.rows)) for table in tables]
    return [Section("search", "Search", blocks)] if blocks else []
