"""Where the numbers come from, and the commands that make them and the page again."""

from __future__ import annotations

import shlex

from skelray.report.html.blocks import Command, Paragraph, Section, SortedTable
from skelray.report.html.material import Material
from skelray.report.table import Table
from skelray.results.runs import read_records

FACTS = {
    "version": "versions",
    "commit": "commit",
    "device": "device",
    "benchmark": "benchmark",
    "data": "fingerprint of the data",
}


def section(material: Material) -> Section:
    """Versions, commits, devices, data and time; every value that rows have, and how many have it."""
    frame = material.run
    lines = [
        [title, str(value) or "not known", str(count)]
        for name, title in FACTS.items()
        for value, count in frame.groupby(name, sort=False).size().items()
    ]
    first, last = frame["started"].min(), frame["started"].max()
    lines.append(["begun", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC", str(len(frame))])
    table = Table("Every row says where it comes from.", ["what", "value", "rows"], lines, 2, frame)
    return Section("provenance", "Provenance", [*_commands(material), SortedTable(table, [])])


def _commands(material: Material) -> list[Paragraph | Command]:
    made = read_records(material.study, material.results)
    told: list[Paragraph | Command] = [Paragraph("The command that made it; started again, it runs what is missing:")]
    if made:
        told.append(Command(made[-1].command))
    else:
        told = [Paragraph("The command that made it was not kept. In a checkout with its study file:")]
        told.append(Command(f"skelray run studies/{material.study}.py"))
    return [*told, Paragraph("This page:"), Command(shlex.join(_report(material)))]


def _report(material: Material) -> list[str]:
    """Returns the words of the command that makes this page again."""
    words = ["skelray", "report", material.study, "--html", "--results", str(material.results)]
    if material.store is not None:
        words += ["--store", material.store.root]
    if material.margin is not None:
        words += ["--margin", f"{100 * material.margin:g}"]
    return words
