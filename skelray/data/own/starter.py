"""A draft of the TOML file for a table that came without one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from skelray.data.formats.names import stem_of
from skelray.data.own.cells import normalised
from skelray.data.own.rows import COORDINATES, NEEDED, own_names, read_columns, stored_names
from skelray.data.stored import DataError

TABLE = re.compile(r".*\.(csv|tsv|tab|parquet|pq|feather|arrow|xlsx?|ods|json|jsonl|ndjson)", re.IGNORECASE)
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".tab")
MOST_JOINTS = 200
ROWS = 2000  # of a table, from which the TOML file begins
JOINTS = ("pelvis", "chest", "head")  # where the table does not name them


class Undescribed(DataError):
    """A table is no source by itself. starter: a draft of the TOML file that describes it, to be completed."""

    def __init__(self, sentence: str, starter: str) -> None:
        super().__init__(sentence)
        self.starter = starter


def undescribed(path: Path) -> Undescribed:
    """Returns what to do with a table given instead of the TOML file that describes it."""
    columns = _beginning(path)
    toml = path.with_suffix(".toml")
    kind = "" if path.suffix.lower() in (*PARQUET, *TEXT) else "; save it as CSV or Parquet first, which are read"
    missing = [name for name in NEEDED if columns is not None and name not in columns]
    lacks = f"; it lacks the columns {', '.join(missing)} (a row is one joint of one frame)" if missing else ""
    return Undescribed(
        f"{path} is no source by itself: a table is described by a TOML file{kind}{lacks}. Write {toml}, with the joints "
        f"and bones of your skeleton, as docs/your_data.md shows, then `skelray prepare table {toml}`",
        _starter(path, columns or {}),
    )


def _beginning(path: Path) -> dict[str, list[Any]] | None:
    """Returns the known columns of a table with the cells of its first rows; None if it cannot be read."""
    if path.suffix.lower() not in (*PARQUET, *TEXT):
        return None
    with suppress(OSError, ValueError, pa.ArrowException):
        own = own_names(stored_names(path))
        told = [name for name in own if name not in COORDINATES]
        first = next(read_columns(path, told), {}) if told else {}
        return {name: first[name][:ROWS].to_pylist() if name in first else [] for name in own}
    return None


def _starter(path: Path, columns: Mapping[str, Sequence[Any]]) -> str:
    joints = list(map(str, _values(columns.get("joint", ())))) or list(JOINTS)
    numbered = all(map(str.isdigit, joints))
    names = [f"joint_{number}" for number in range(min(int(joints[-1]), MOST_JOINTS) + 1)] if numbered else joints
    read = path if path.suffix.lower() in (*PARQUET, *TEXT) else path.with_suffix(".csv")
    by = next((name for name in ("subject", "camera", "setup", "part") if name in columns), "subject")
    train = [0] if by == "part" else _whole(_values(columns.get(by, ()))) or [1]
    bones = ",\n".join(f'  ["{name}", "{names[0]}"]' for name in names[1:])
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"""name = "{stem_of(path)}"
table = "{read.name}"
persons = 1

[skeleton]
joints = [{quoted}]{"  # in the order of their numbers" if numbered else ""}
centre = "{names[0]}"  # the root of the bones, and the origin
bones = [  # child, parent: put the parents right
{bones},
]
mirror = []  # left, right

[protocols.x{by[:3]}]  # whoever is not in train, tests
by = "{by}"
train = {train}
"""


def _values(cells: Sequence[Any]) -> list[Any]:
    """Returns the different values of a column in their order; numbers by size."""
    written = (normalised(cell) if isinstance(cell, str) else cell for cell in cells)
    found = list(dict.fromkeys(cell for cell in written if cell not in (None, "")))
    return sorted(found, key=int) if all(str(value).isdigit() for value in found) else found


def _whole(values: Sequence[Any]) -> list[int]:
    """Returns the first half of the values that are whole numbers."""
    numbers = [int(float(value)) for value in values if re.fullmatch(r"-?\d+(\.0*)?", str(value))]
    return numbers[: max(1, len(numbers) // 2)]
