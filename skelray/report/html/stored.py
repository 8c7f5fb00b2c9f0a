"""What the store has of a study's rows: what each sample was taken for, and the arrays and excerpts beside it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelray.ensemble import Ensemble
from skelray.report.html.material import Material
from skelray.store.files import Files

Row = dict[str, Any]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a row. labels, predicted: (N,) classes. excerpt, views: names of what the store keeps, or None."""

    row: Row
    labels: np.ndarray
    predicted: np.ndarray
    excerpt: str | None
    views: str | None

    @property
    def right(self) -> np.ndarray:
        return self.labels == self.predicted


class Stored:
    """Reads each trial's files once; a store is asked for nothing that no row needs."""

    def __init__(self, store: Files) -> None:
        self.store = store
        self._results: dict[str, dict[str, Row]] = {}

    def answers(self, material: Material) -> Iterator[Answers]:
        """Returns the answers of each row of top-1 whose scores are here, in the study's order."""
        rows = material.measured[(material.measured["metric"] == "top1") & (material.measured["status"] == "done")]
        for row in rows.to_dict("records"):
            found: Row = {str(name): value for name, value in row.items()}
            if (answer := self._answer(found)) is not None:
                yield answer

    def arrays(self, row: Row) -> tuple[Arrays, Row] | None:
        """Returns the arrays and the figures of a row's evaluation, those whose figures are the row's."""
        for name, result in self._of(row["trial"]).items():
            ours = row["evaluation"] == result["evaluation"] or row["evaluation"].startswith(f"{result['evaluation']} ")
            if ours and name.startswith(f"{row['epochs']}-") and result["metrics"].get(row["metric"]) == row["value"]:
                arrays = self._arrays(f"{row['trial']}/{name}.npz")
                return None if arrays is None else (arrays, result)
        return None

    def _answer(self, row: Row) -> Answers | None:
        ensemble = json.loads(row["spec"]).get("ensemble")
        found = self.arrays(row) if ensemble is None else self._fused(row, ensemble)
        if found is None or "scores" not in found[0]:
            return None
        arrays, result = found
        best = arrays["scores"].argmax(axis=1)  # of ties the lower class, as everywhere
        return Answers(row, arrays["labels"], best, result.get("excerpt"), result.get("views"))

    def _fused(self, row: Row, parts: list[Row]) -> tuple[Arrays, Row] | None:
        """Returns the scores of an ensemble, from those of its streams under the evaluation of the row's name."""
        streams, last = {}, None
        for part in parts:
            names = [
                name
                for name, result in self._of(part["trial"]).items()
                if result["evaluation"] == row["evaluation"] and name.startswith(f"{row['epochs']}-")
            ]
            arrays = self._arrays(f"{part['trial']}/{names[0]}.npz") if len(names) == 1 else None
            if arrays is None or "scores" not in arrays:
                return None
            streams[part["stream"]], last = arrays, self._of(part["trial"])[names[0]]
        weights = {part["stream"]: part["weight"] for part in parts}
        return None if last is None else (Ensemble(weights).fuse(streams), {**last, "views": None})

    def _of(self, trial: str) -> dict[str, Row]:
        """Returns the figures of a trial by the name of their file."""
        if trial not in self._results:
            files = [name for name in self.store.names(trial) if re.fullmatch(r"\d+-[0-9a-f]+\.json", name)]
            read = {name.removesuffix(".json"): self.store.read_json(f"{trial}/{name}") for name in files}
            self._results[trial] = {name: one for name, one in read.items() if isinstance(one, dict) and "metrics" in one}
        return self._results[trial]

    def _arrays(self, name: str) -> Arrays | None:
        if (content := self.store.read(name)) is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception:  # whatever damage makes numpy and zipfile raise; `skelray run` sets it aside and makes it anew
            return None
