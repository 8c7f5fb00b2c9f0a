"""Where t-SNE puts features of test samples: rows side by side, and any two of them; from what Clustering stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skelray.report.figures.features import Panel, draw_features
from skelray.report.html.blocks import Paragraph, Section, Widget
from skelray.report.html.classes import row_label, telling_columns, why_nothing_stored
from skelray.report.html.figures import save_picture
from skelray.report.html.material import Material
from skelray.report.html.stored import Arrays, Row, Stored
from skelray.store.excerpts import read_excerpt

POINTS = 1000  # of a row
ASK = "No row has features that t-SNE placed: the evaluation Clustering() keeps them."
TOLD = "Any two of them, seed by seed (t-SNE's settings are fixed)."


def section(material: Material, stored: Stored | None) -> Section:
    """Returns a figure with a panel for each row under its first seed, and a widget with the places of every seed."""
    rows = material.measured[(material.measured["metric"] == "nmi") & (material.measured["status"] == "done")]
    if stored is None:
        return Section("features", "Features", [Paragraph(why_nothing_stored(material, "t-SNE of the features"))])
    read = [(row, *found) for row in _rows(rows) if (found := stored.arrays(row)) is not None and "places" in found[0]]
    if not read:
        return Section("features", "Features", [Paragraph(ASK)])
    names = class_names(stored, read)
    columns = telling_columns([row for row, *_ in read])
    made = [
        Panel(
            row_label(row, columns),
            row["value"],
            arrays["places"][:POINTS],
            [names[_set(row, result)][n] for n in _labels(arrays)],
        )
        for row, arrays, result in read
    ]
    shown: dict[str, Panel] = {}
    for panel in made:
        shown.setdefault(panel.row, panel)
    figure = save_picture(material, draw_features(list(shown.values())))
    widget = [_widget_row(material, panel, *one) for panel, one in zip(made, read, strict=True)]
    return Section("features", "Features", [figure, Paragraph(TOLD), Widget("features", {"names": names, "rows": widget})])


def _rows(rows: Any) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _labels(arrays: Arrays) -> list[int]:
    labels: list[int] = arrays["place_labels"][:POINTS].tolist()
    return labels


def _set(row: Row, result: Row) -> str:
    """Returns what rows of the same classes have in common."""
    return str(result.get("excerpt") or row["benchmark"])


def class_names(stored: Stored, read: Sequence[tuple[Row, Arrays, Row]]) -> dict[str, list[str]]:
    """Returns the names of the classes of each set; numbers where the store has no excerpt of it."""
    names: dict[str, list[str]] = {}
    for row, arrays, result in read:
        key, most = _set(row, result), int(arrays["place_labels"].max()) + 1
        if key not in names:
            kept = read_excerpt(stored.store, key) if result.get("excerpt") else None
            names[key] = [] if kept is None else kept.classes.tolist()
        names[key] += [f"class {number}" for number in range(len(names[key]), most)]
    return names


def _widget_row(material: Material, panel: Panel, row: Row, arrays: Arrays, result: Row) -> dict[str, Any]:
    low, span = panel.places.min(axis=0), np.maximum(np.ptp(panel.places, axis=0), 1e-9).max()
    marks = material.places.marks(arm=row["arm"], protocol=row["protocol"], seed=int(row["seed"]))
    return {
        "label": f"{panel.row}, seed {row['seed']}: NMI {panel.nmi:.3f}",
        **vars(marks),
        "set": _set(row, result),
        "labels": _labels(arrays),
        "places": ((panel.places - low) / span * 999).round().astype(int).ravel().tolist(),
    }
