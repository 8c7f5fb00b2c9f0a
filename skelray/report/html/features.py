"""Where t-SNE puts features of test samples: rows side by side, and any two of them; from what Clustering stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelray.report.figures.features import Panel, draw_features
from skelray.report.html.blocks import Paragraph, Section, Widget
from skelray.report.html.classes import why_nothing_stored
from skelray.report.html.figures import save_picture
from skelray.report.html.material import Material
from skelray.report.html.stored import Row, Stored
from skelray.store.excerpts import read_excerpt

POINTS = 1000  # of a row
ASK = "No row has features that t-SNE placed: the evaluation Clustering() keeps them."
TOLD = "Any two of them, seed by seed (t-SNE's settings are fixed)."


def section(material: Material, stored: Stored | None) -> Section:
    """Returns a figure with a panel for each row under the first seed, and a widget with the places of every seed."""
    rows = material.measured[(material.measured["metric"] == "nmi") & (material.measured["status"] == "done")]
    if stored is None:
        return Section("features", "Features", [Paragraph(why_nothing_stored(material, "t-SNE of the features"))])
    names: dict[str, list[str]] = {}
    read = [(row, *found) for row in _rows(rows) if (found := _panel(material, stored, row, names)) is not None]
    if not read:
        return Section("features", "Features", [Paragraph(ASK)])
    first = min(row["seed"] for row, *_ in read)
    figure = save_picture(material, draw_features([panel for row, panel, _ in read if row["seed"] == first]))
    widget = {"names": names, "rows": [_widget_row(material, *one) for one in read]}
    return Section("features", "Features", [figure, Paragraph(TOLD), Widget("features", widget)])


def _rows(rows: Any) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _panel(material: Material, stored: Stored, row: Row, names: dict[str, list[str]]) -> tuple[Panel, str] | None:
    """Returns the places of a row, and which of the names its classes have; None if the store has none."""
    read = stored.arrays(row)
    if read is None or "places" not in read[0]:
        return None
    arrays, result = read
    key = str(result.get("excerpt") or row["benchmark"])
    if key not in names:
        kept = read_excerpt(stored.store, key) if result.get("excerpt") else None
        most = int(arrays["place_labels"].max()) + 1
        names[key] = [f"class {number}" for number in range(most)] if kept is None else kept.classes.tolist()
    varying = [str(row[name]) for name in ("protocol", "stream") if material.measured[name].nunique() > 1]
    panel = Panel(
        ", ".join([row["arm"], *varying]),
        row["value"],
        arrays["places"][:POINTS],
        arrays["place_labels"][:POINTS],
        names[key],
    )
    return panel, key


def _widget_row(material: Material, row: Row, panel: Panel, key: str) -> dict[str, Any]:
    low, span = panel.places.min(axis=0), np.maximum(np.ptp(panel.places, axis=0), 1e-9).max()
    marks = material.places.marks(arm=row["arm"], protocol=row["protocol"], seed=int(row["seed"]))
    return {
        "label": f"{panel.row}, seed {row['seed']}: NMI {panel.nmi:.3f}",
        **vars(marks),
        "set": key,
        "labels": panel.labels.tolist(),
        "places": ((panel.places - low) / span * 999).round().astype(int).ravel().tolist(),
    }
