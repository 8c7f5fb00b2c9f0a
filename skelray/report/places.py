"""Where the cells of a table stand: its blocks, its rows in the study's order, its columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from skelray.names import PUBLISHED
from skelray.report.table import distinct_cell_texts, stream_order
from skelray.results import statistics

GROUPS = ("study", "benchmark", "stream", "backbone", "epochs")
PLACE = "place"  # what heads a column, beside the evaluation
Key = tuple[Hashable, ...]


def place_cells(cells: pd.DataFrame, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Returns the cells of a summary block by block, each with its rows in the study's order, and what makes the blocks.

    frame: the rows that they are of. A benchmark makes blocks unless the study goes across benchmarks, where it heads
    columns. A row that is only published stands in the block of its stream or, where none is measured in it, in the last.
    """
    only = set(frame.loc[frame["status"] == PUBLISHED, "arm"])
    across = any("benchmark" in json.loads(cell) for cell in frame["cell"].unique())
    cells = cells.assign(**{PLACE: cells["benchmark"] + " " + cells["protocol"] if across else cells["protocol"]})
    extra = [name for name in cells.columns if name not in (*statistics.SETTINGS, *statistics.FACTS, PLACE)]
    measured = cells[~cells["arm"].isin(only)] if not cells["arm"].isin(only).all() else cells
    groups = [name for name in varying_columns(measured, [*GROUPS, *extra]) if not (across and name == "benchmark")]
    blocks = [name for name in groups if not only or measured.groupby("arm", sort=False)[name].nunique().gt(1).any()]
    for name in reversed(blocks):
        cells = cells.sort_values(name, kind="stable", key=_ranks(name, measured[name]))
    if "epochs" in groups:
        cells = cells.assign(epochs=cells["epochs"].astype(object).mask(cells["arm"].isin(only), None))
    return cells, groups


def _ranks(name: str, measured: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """Sorts a column that makes blocks; what no measured cell has comes with the last stream, the first of all else."""
    values = list(dict.fromkeys(measured))
    ordered = list(measured.drop_duplicates().sort_values(key=stream_order)) if name == "stream" else values
    ranks = {value: rank for rank, value in enumerate(ordered)}
    strange = len(ordered) - 1 if name == "stream" else 0
    return lambda column: column.map(lambda value: ranks.get(value, strange))


def cells_by_place(cells: pd.DataFrame, groups: Sequence[str]) -> dict[Key, Mapping[Any, Any]]:
    """Returns each cell by what makes its row, unrounded, and the place and evaluation of its column."""
    return {
        (
            *(None if cell[name] != cell[name] or cell[name] == "" else cell[name] for name in groups),
            *(cell[name] for name in ("arm", PLACE, "evaluation")),
        ): cell
        for cell in cells.to_dict("records")
    }


def leading_cells(keys: Sequence[Key]) -> list[list[str]]:
    """Returns the leading cells of each row."""
    return [list(line) for line in zip(*map(distinct_cell_texts, zip(*keys, strict=True)), strict=True)]


def varying_columns(frame: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Returns the columns that have several values."""
    return [name for name in names if len(frame[name].unique()) > 1]


def evaluated_places(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the (place, evaluation) pairs, place by place: NTU60 before NTU120, by subjects before all else."""
    there = set(zip(cells[PLACE], cells["evaluation"], strict=True))
    places = list(cells[PLACE].unique())
    if any(" " in place for place in places):
        places.sort(key=_naturally)
    return [(p, e) for p in places for e in cells["evaluation"].unique() if (p, e) in there]


def _naturally(place: str) -> tuple[Any, ...]:
    """Sorts by benchmark, numbers in it as numbers, then by protocol with xsub first."""
    benchmark, _, protocol = place.partition(" ")
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", benchmark)]
    return parts, protocol != "xsub", protocol
