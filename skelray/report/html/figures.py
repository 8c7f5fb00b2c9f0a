"""A figure as the page has it: kept beside the tables, and inline with colours and marks that the page decides."""

from __future__ import annotations

import re

from skelray.report.figures.drawing import MARK, Drawing
from skelray.report.figures.style import FAINT, INK, PAPER, save_figure
from skelray.report.html.blocks import Picture
from skelray.report.html.material import Material

ID = re.compile(r' id="([^"]*)"')
LINK = re.compile(r'(url\(#|href="#)([^")]+)')


def save_picture(material: Material, drawing: Drawing) -> Picture:
    """Keeps a drawing as PNG, SVG and CSV, and gives it to the page."""
    paths = save_figure(material.study, drawing.name, drawing.figure, drawing.data, material.results)
    kept = next(path for path in paths if path.suffix == ".svg").read_text(encoding="utf-8")
    return Picture(drawing.name, inline_svg(kept, drawing.name), drawing.caption)


def inline_svg(text: str, name: str) -> str:
    """Returns an SVG file as a part of a page: ids of its own, marks as data, ink and paper of the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = ID.sub(lambda found: _identity(found[1], name), text)
    text = LINK.sub(lambda found: f"{found[1]}{name}-{found[2]}", text)
    for colour, name in ((INK, "ink"), ("#000000", "ink"), (FAINT, "line"), (PAPER, "paper")):
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r">\s+<", "><", text)


def _identity(id: str, name: str) -> str:
    """Returns a mark a3p0s1 as data of the page's filters; another id within the figure's own names."""
    if not (found := MARK.fullmatch(id)):
        return f' id="{name}-{id}"'
    marks = zip(("a", "p", "s"), found.groups(), strict=True)
    return "".join(f' data-{kind}="{number}"' for kind, number in marks if number)
