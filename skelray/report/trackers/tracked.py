"""What a tracker is told of a trial, whichever tracker it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from skelray.names import column_name

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Tracked:
    """A trial as trackers take it.

    name: as a person knows it. settings: by dotted names. curves: (epoch, value) by metric, in order.

    figures: what evaluations measured, by name. began: seconds since 1970.
    """

    study: str
    id: str
    name: str
    settings: dict[str, Scalar]
    curves: dict[str, list[tuple[int, float]]]
    figures: dict[str, float]
    began: float


def read_tracked(frame: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Tracked]:
    """Yields a study's trials in its order; one that several arms share is told once, under the first."""
    watched = dict(list(curves.groupby("trial", sort=False)))
    for id, rows in frame.groupby("trial", sort=False):
        first = rows.iloc[0]
        done = rows[rows["status"] != "failed"]
        figures = {column_name(row["evaluation"], row["metric"]): float(row["value"]) for row in done.to_dict("records")}
        yield Tracked(
            study=str(first["study"]),
            id=str(id),
            name=f"{first['arm']} {first['protocol']} seed {first['seed']}",
            settings={"arm": str(first["arm"]), **flatten_settings(json.loads(first["spec"]))},
            curves=_curves(watched.get(id)),
            figures=figures,
            began=first["started"].timestamp(),
        )


def flatten_settings(spec: Any, name: str = "") -> dict[str, Scalar]:
    """Settings by dotted names; what is a list, as JSON text; what is not set, left out."""
    if isinstance(spec, dict):
        pairs = (flatten_settings(value, f"{name}.{key}" if name else str(key)) for key, value in spec.items())
        return {key: value for some in pairs for key, value in some.items()}
    if isinstance(spec, str | int | float | bool):
        return {name: spec}
    return {} if spec is None else {name: json.dumps(spec)}


def _curves(rows: pd.DataFrame | None) -> dict[str, list[tuple[int, float]]]:
    if rows is None:
        return {}
    return {
        str(metric): [(int(epoch), float(value)) for epoch, value in zip(some["epoch"], some["value"], strict=True)]
        for metric, some in rows.groupby("metric", sort=False)
    }
