"""A table as HTML for a notebook; all text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(caption: str, header: Sequence[object], rows: Iterable[Sequence[object]], words: int | None = None) -> str:
    """Returns an HTML table. words: how many leading columns are left-aligned text, all by default; the rest are numbers."""
    words = len(header) if words is None else words
    sides = ["left" if place < words else "right" for place in range(len(header))]

    def line(tag: str, cells: Sequence[object]) -> str:
        made = (
            f'<{tag} style="text-align: {side}">{escape(str(cell))}</{tag}>' for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line("td", row) for row in rows)
    head = f"<thead>{line('th', header)}</thead>"
    return f"<p>{escape(caption)}</p><table>{head}<tbody>{body}</tbody></table>"
