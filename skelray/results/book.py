"""The rows of a study's tables, kept as its trials end, so that no trial costs reading or writing all others again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from skelray.results.rows import Row
from skelray.results.tables import write_pictures, write_table
from skelray.study.notes import Notes

EVERY = 2.0  # seconds at least between two writings of the tables while trials run
SHARE = 20.0  # times what one writing takes, at least between two: a twentieth of the time at most

CELLS, ENSEMBLES, SAMPLES, FINALS, FUSED_FINALS, REFERENCES = range(6)  # kinds of rows, in the order of the table
Place = tuple[int, int]  # kind of row and number within


class Book:
    """Rows by place, and curves by trial. What is on disk may be some seconds old: all of it comes from the store."""

    def __init__(self, study: str, folder: Path) -> None:
        self.study, self.folder, self.notes = study, folder, Notes()
        self.rows: dict[Place, list[Row]] = {}
        self.curves: dict[tuple[str, int], list[Row]] = {}
        self.arms: list[str] = []  # in the order of the study's rows
        self._due = 0.0

    def put(self, place: Place, rows: Iterable[Row]) -> None:
        self.rows[place] = list(rows)

    def drop(self, kind: int) -> None:
        """Takes out all rows of a kind."""
        self.rows = {place: rows for place, rows in self.rows.items() if place[0] != kind}

    def put_pictures(self, pictures: Mapping[str, bytes]) -> None:
        """Writes pictures, by the name of a file, beside the tables."""
        write_pictures(self.study, pictures, self.folder)

    def write(self) -> Path:
        """Replaces the tables."""
        clock = time.monotonic()
        rows = [row for _, some in sorted(self.rows.items()) for row in some]
        curves = {(row["trial"], row["epoch"], row["metric"]): row for some in self.curves.values() for row in some}
        path = write_table(self.study, rows, list(curves.values()), self.folder, self.notes, self.arms)
        self._due = time.monotonic() + max(EVERY, SHARE * (time.monotonic() - clock))
        return path

    def write_if_due(self) -> None:
        if time.monotonic() >= self._due:
            self.write()
