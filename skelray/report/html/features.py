"""Where t-SNE puts features of test samples, of any two rows side by side; from what the evaluation Clustering stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelray.report.html.blocks import Paragraph, Section, Widget
from skelray.report.html.classes import why_nothing_stored
from skelray.report.html.material import Material
from skelray.report.html.stored import Row, Stored
from skelray.store.excerpts import read_excerpt

POINTS = 1000  # of a row
ASK = "No row has features that t-SNE placed: the evaluation Clustering() keeps them."


def section(material: Material, stored: Stored | None) -> Section:
    """Makes the section on features: a widget with the places of each trial that was clustered."""
    rows = material.measured[(material.measured["metric"] == "nmi") & (material.measured["status"] == "done")]
    if stored is None:
        return Section("features", "Features", [Paragraph(why_nothing_stored(material, "t-SNE of the features"))])
    names: dict[str, list[str]] = {}
    found: list[dict[str, Any]] = []
    for row in rows.to_dict("records"):
        if (made := _places(material, stored, {str(name): value for name, value in row.items()}, names)) is not None:
            found.append(made)
    if not found:
        return Section("features", "Features", [Paragraph(ASK)])
    told = "t-SNE of unit features of test samples (settings fixed); a colour a class. Distances between groups mean little."
    return Section("features", "Features", [Paragraph(told), Widget("features", {"names": names, "rows": found})])


def _places(material: Material, stored: Stored, row: Row, names: dict[str, list[str]]) -> dict[str, Any] | None:
    read = stored.arrays(row)
    if read is None or "places" not in read[0]:
        return None
    arrays, result = read
    places, labels = arrays["places"][:POINTS], arrays["place_labels"][:POINTS]
    low, span = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1e-9).max()
    key = str(result.get("excerpt") or row["benchmark"])
    if key not in names:
        kept = read_excerpt(stored.store, key) if result.get("excerpt") else None
        most = int(arrays["place_labels"].max()) + 1
        names[key] = [f"class {number}" for number in range(most)] if kept is None else kept.classes.tolist()
    marks = material.places.marks(arm=row["arm"], protocol=row["protocol"], seed=int(row["seed"]))
    return {
        "label": f"{row['arm']}, {row['protocol']}, seed {row['seed']}: NMI {row['value']:.3f}",
        **vars(marks),
        "set": key,
        "labels": labels.tolist(),
        "places": ((places - low) / span * 999).round().astype(int).ravel().tolist(),
    }
