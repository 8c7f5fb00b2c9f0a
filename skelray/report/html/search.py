"""What a search found: what happened at each rung, and which parameters mattered there; its figures stand elsewhere."""

from __future__ import annotations

from skelray.report.html.blocks import Block, Grid, Section
from skelray.report.html.material import Material


def sections(material: Material) -> list[Section]:
    """One section; none where the study is no search, or its table has one reading of each sample."""
    if material.searched.empty:
        return []
    from skelray.report.sweep_tables import at_the_end  # brings Optuna

    tables = [table for table in at_the_end(material.searched) if table is not None]
    blocks: list[Block] = [Grid(table, [material.places.marks()] * len(table.rows)) for table in tables]
    return [Section("search", "Search", blocks)] if blocks else []
