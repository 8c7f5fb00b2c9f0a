"""What a section of the page is made of: text, tables, figures, and widgets that the page draws from data.

All of it is plain text here; the template escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skelray.report.figures.drawing import Marks
from skelray.report.table import Table


@dataclass(frozen=True)
class Paragraph:
    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Command:
    """Text that is typed as it stands."""

    text: str
    kind: str = "command"


@dataclass(frozen=True, eq=False)
class SortedTable:
    """A table that the page sorts and filters.

    marks: of each row. columns: the protocol of each column that has one. seed: where the page has the same table for
    several seeds, the one that this is of; -1 for all of them.
    """

    table: Table
    marks: Sequence[Marks]
    columns: Sequence[int | None] = ()
    seed: int | None = None
    kind: str = "grid"

    @property
    def sticky_column(self) -> int:
        """The column that stays in sight however the table is scrolled: the arm's, else the first."""
        return self.table.header.index("arm") if "arm" in self.table.header else 0

    @property
    def heads(self) -> list[tuple[str, int | None]]:
        """Each column's name and protocol."""
        places = self.columns or [None] * len(self.table.header)
        return list(zip(self.table.header, places, strict=True))


@dataclass(frozen=True)
class Picture:
    """An inline SVG, which comes from matplotlib. name: of its file; caption: what it shows."""

    name: str
    svg: str
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Image:
    """A picture as data. name: what stands below it."""

    name: str
    data: str
    kind: str = "image"


@dataclass(frozen=True)
class Widget:
    """Data that the page's script of this name draws."""

    name: str
    data: Any
    kind: str = "widget"


Block = Paragraph | Command | SortedTable | Picture | Image | Widget


@dataclass(frozen=True)
class Section:
    """A section of the page. id: in the page's address. blocks: from top to bottom."""

    id: str
    title: str
    blocks: Sequence[Block]
