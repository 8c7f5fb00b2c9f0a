"""What the study cost, as the report says it, and by arm."""

from __future__ import annotations

from typing import Any

from skelray.report.figures.costs import costs as drawn
from skelray.report.html.blocks import Block, Paragraph, Section, SortedTable
from skelray.report.html.figures import save_picture
from skelray.report.html.material import Material
from skelray.report.table import NOTHING, Table
from skelray.results.costs import costs

COLUMNS = {
    "arm": "arm",
    "trials": "trials",
    "training": "training (h)",
    "evaluation": "evaluation (h)",
    "epochs": "epochs",
    "saved": "saved",
    "per point": "h per point",
}
CAPTION = (
    "By arm; a trial that arms share counts in each. Saved: epochs that were not trained because a trial was stopped. Per "
    "point: hours of all trials of the arm for each point that it lies above the first arm, over what is paired with it."
)


def section(material: Material) -> Section:
    """Makes the section on costs from the tables: a sentence, a figure and a table.

    Without the figure where all rows are samples of a search, which its timeline shows.
    """
    found = costs(material.frame, material.curves)
    arms = found.arms
    lines = [[_shown(row[name]) for name in COLUMNS] for row in arms.to_dict("records")]
    table = Table(CAPTION, list(COLUMNS.values()), lines, 1, arms)
    marked = SortedTable(table, [material.places.marks(arm=arm) for arm in arms["arm"]])
    blocks: list[Block] = [Paragraph(found.sentence())]
    if not material.measured.empty:
        blocks.append(save_picture(material, drawn(arms[["arm", "training", "evaluation"]], material.places)))
    return Section("costs", "Costs", [*blocks, marked])


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return NOTHING if value != value else f"{value:.3g}"
