"""A study in a notebook: its whole page in a frame of its own."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

HEIGHT = 720  # pixels of the frame


@dataclass(frozen=True)
class NotebookPage:
    """A study's page, and its tables where only text is shown."""

    page: str
    tables: str

    def __repr__(self) -> str:
        return self.tables

    def _repr_html_(self) -> str:
        """Returns a frame that may run the page's script and nothing else."""
        frame = f'srcdoc="{escape(self.page)}" sandbox="allow-scripts"'
        return f'<iframe {frame} style="width: 100%; height: {HEIGHT}px; border: 1px solid #d1d5db"></iframe>'


def show(
    study: str, folder: Path | str = "results", store: Path | str = "store", margin: float | None = None
) -> NotebookPage:
    """Returns a study's page for a notebook's cell, as ``skelray report STUDY --html`` writes it.

    margin: differences within it count as equivalent, a fraction; the study's own by default. Its figures are written
    beside the tables. Raises UserError where there is no such table.
    """
    from skelray.report.html.page import gather_material, study_page
    from skelray.report.text import report_text

    material = gather_material(study, Path(folder), str(store), margin)
    return NotebookPage(study_page(material), report_text(material.frame, margin=margin))
