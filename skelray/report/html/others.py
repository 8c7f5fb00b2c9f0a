"""The figures that lie beside the study's tables and are none of the page's own: of a sweep, of a paper, of a user."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from skelray.report.html.blocks import Block, Image, Paragraph, Section
from skelray.report.html.material import Material

BYTES = 1_200_000  # of pictures that a page holds
KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def section(material: Material, own: Iterable[str]) -> Section:
    """Makes the section of further figures, each as a picture, which runs and loads nothing.

    own: figures already on the page.
    """
    folder, left = material.results / "figures" / material.study, BYTES
    blocks: list[Block] = []
    for path in _chosen(folder, set(own)):
        content = path.read_bytes()
        if len(content) * 4 / 3 > left:
            blocks.append(Paragraph(f"{path.name} is too large for this page: it lies in {folder}."))
            continue
        left -= len(content) * 4 // 3
        data = f"data:{KINDS[path.suffix]};base64,{base64.b64encode(content).decode()}"
        blocks.append(Image(path.stem.replace("_", " "), data))
    return Section("figures", "Figures", blocks or [Paragraph(f"There are no further figures in {folder}.")])


def _chosen(folder: Path, own: set[str]) -> list[Path]:
    """Returns one file of each figure: the SVG, if there is one."""
    found = {
        path.stem: path for kind in (".png", ".svg") for path in sorted(folder.glob(f"*{kind}")) if path.stem not in own
    }
    return [found[name] for name in sorted(found)]
