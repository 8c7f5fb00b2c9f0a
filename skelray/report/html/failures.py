"""What failed, by cause."""

from __future__ import annotations

from skelray.report.html.blocks import Paragraph, Section, SortedTable
from skelray.report.html.material import Material
from skelray.report.table import Table
from skelray.report.text import split_error


def section(material: Material) -> Section:
    """Makes the section on failures: a row for each failed trial, the most frequent cause first."""
    failed = material.frame[material.frame["status"] == "failed"].drop_duplicates(["trial", "arm"])
    if failed.empty:
        return Section("failures", "Failures", [Paragraph("Nothing failed.")])
    causes = [split_error(error) for error in failed["error"]]
    counts = {cause: sum(cause == other for other, _ in causes) for cause, _ in causes}
    found = sorted(zip(causes, failed.to_dict("records"), strict=True), key=lambda one: -counts[one[0][0]])
    lines = [[cause, row["arm"], row["protocol"], str(row["seed"]), row["trial"], detail] for (cause, detail), row in found]
    marks = [material.places.marks(arm=row["arm"], protocol=row["protocol"], seed=int(row["seed"])) for _, row in found]
    caption = ", ".join(f"{cause}: {count}" for cause, count in sorted(counts.items(), key=lambda item: -item[1]))
    header = ["cause", "arm", "protocol", "seed", "trial", "what happened"]
    return Section(
        "failures",
        "Failures",
        [SortedTable(Table(f"Trials by cause. {caption}.", header, lines, len(header), failed), marks)],
    )
