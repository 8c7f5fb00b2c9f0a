"""Merges the tables that several machines made of one study into one, by the content of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from skelray.checks import UserError
from skelray.results.schema import KEY, STATUSES
from skelray.results.tables import curves, load, write_table
from skelray.study.notes import Notes

CONTENT = ("value", "published", "cell")  # what two rows of one key must agree in; the rest says where each was made

Row = Mapping[Any, Any]


class Merged(NamedTuple):
    """The outcome of a merge: its table, and how many rows that has, how many are new, and how many replaced worse ones."""

    path: Path
    rows: int
    new: int
    replaced: int


def merge(study: str, sources: Sequence[Path], into: Path) -> Merged:
    """Writes one table of the rows of a study that ``sources`` hold and, where it has the study, ``into`` holds.

    A row is told by schema.KEY. One that several places have is kept once: done before stopped before failed, else from
    ``into`` and then in the order of ``sources``; so is what the study says beside its rows. A trial's curves come from
    where its rows do. Raises UserError, and writes nothing, where two done rows of one key differ: one of them is wrong.
    """
    own = [into] if (into / f"{study}.parquet").exists() else []
    places = list(dict.fromkeys([*own, *sources]))
    tables = [load(study, place) for place in places]
    kept: dict[tuple, tuple[int, Row]] = {}
    new = replaced = 0
    for place, table in enumerate(tables):
        for row in table.to_dict("records"):
            key = tuple(row[name] for name in KEY)
            if key not in kept:
                new += places[place] != into
                kept[key] = place, row
                continue
            home, other = kept[key]
            if _rank(row) < _rank(other):
                replaced += 1
                kept[key] = place, row
            elif row["status"] == other["status"] == "done":
                _check_same(other, row, places[home], places[place])
    order = _arms(tables)
    rows = sorted((row for _, row in kept.values()), key=lambda row: order.index(row["arm"]))
    notes = next((Notes.of(said) for table in tables if (said := table.attrs.get("notes"))), Notes())
    path = write_table(study, rows, _curves(study, places, kept.values()), into, notes)
    return Merged(path, len(rows), new, replaced)


def _rank(row: Row) -> int:
    return STATUSES.index(row["status"])


def _check_same(one: Row, other: Row, here: Path, there: Path) -> None:
    for name in CONTENT:
        if one[name] != other[name] and not (pd.isna(one[name]) and pd.isna(other[name])):
            told = ", ".join(f"{key} {one[key]}" for key in KEY)
            raise UserError(
                f"{name} is {one[name]} in {here} and {other[name]} in {there} for {told}; nothing is merged: one is "
                f"wrong, or they were made on different devices or by different code (columns device and commit)"
            )


def _arms(tables: Iterable[pd.DataFrame]) -> list[str]:
    """Returns all arms in the order of the tables; a new one follows the arm that it follows in its own table."""
    order: list[str] = []
    for table in tables:
        arms = list(table["arm"].unique())
        at = next((order.index(arm) for arm in arms if arm in order), len(order))
        for arm in arms:
            if arm not in order:
                order.insert(at, arm)
            at = order.index(arm) + 1
    return order


def _curves(study: str, places: Sequence[Path], kept: Iterable[tuple[int, Row]]) -> list[Row]:
    """Returns the curves of every trial, each from the last table that a row of it is from: a done trial's are its own."""
    home: dict[str, int] = {}
    for place, row in kept:
        home[row["trial"]] = max(place, home.get(row["trial"], 0))
    found: list[Row] = []
    for place, folder in enumerate(places):
        if (folder / f"{study}.curves.parquet").exists():
            found += [line for line in curves(study, folder).to_dict("records") if home.get(line["trial"]) == place]
    return found
