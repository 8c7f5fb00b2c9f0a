"""A table that came without its TOML file: how that file begins, as far as the table tells it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from skelray.data.named import stem_of
from skelray.data.rows import NEEDED
from skelray.data.stored import DataError
from skelray.data.text import decoded

TABLE = re.compile(r".*\.(csv|tsv|tab|parquet|pq|feather|arrow|xlsx?|ods|json|jsonl|ndjson)", re.IGNORECASE)
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".tab")
MOST_JOINTS = 200
LOOKED, ROWS = 1 << 18, 2000  # bytes and rows of a table from which the TOML file begins
JOINTS = ("pelvis", "chest", "head")  # where the table does not name them


class Undescribed(DataError):
    """A table is no source by itself. starter: the TOML file that describes it, to be completed."""

    def __init__(self, sentence: str, starter: str) -> None:
        super().__init__(sentence)
        self.starter = starter


def undescribed(path: Path) -> Undescribed:
    """What to do with a table that was given in place of the TOML file that describes it."""
    columns, rows = _beginning(path)
    toml = path.with_suffix(".toml")
    kind = "" if path.suffix.lower() in (*PARQUET, *TEXT) else "; save it as CSV or Parquet first, which are read"
    missing = [name for name in NEEDED if columns and name not in columns]
    lacks = f"; it lacks the columns {', '.join(missing)} (a row is one joint of one frame)" if missing else ""
    return Undescribed(
        f"{path} is no source by itself: a table is described by a TOML file{kind}{lacks}. Write {toml}, with the joints "
        f"and bones of your skeleton, as docs/your_data.md shows, then `skelray prepare table {toml}`",
        _starter(path, columns, rows),
    )


def _beginning(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns of a table and its first rows, as far as they can be read."""
    with suppress(OSError, ValueError, IndexError, csv.Error, pa.ArrowException):
        if path.suffix.lower() in PARQUET:
            with pa.parquet.ParquetFile(path) as file:
                names = [name for name in file.schema_arrow.names if name not in "xyz"]
                rows = next(file.iter_batches(ROWS, columns=names), None)
                return file.schema_arrow.names, rows.to_pylist() if rows is not None else []
        if path.suffix.lower() in TEXT:
            with open(path, "rb") as file:
                lines = decoded(file.read(LOOKED), "ignore").splitlines()
            mark = max(",;\t", key=lines[0].count)
            reader = csv.DictReader(lines[: ROWS + 1], delimiter=mark)
            return list(reader.fieldnames or ()), list(reader)
    return [], []


def _starter(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    joints = list(map(str, _values(rows, "joint"))) or list(JOINTS)
    numbered = all(map(str.isdigit, joints))
    names = [f"joint_{number}" for number in range(min(int(joints[-1]), MOST_JOINTS) + 1)] if numbered else joints
    read = path if path.suffix.lower() in (*PARQUET, *TEXT) else path.with_suffix(".csv")
    by = next((name for name in ("subject", "camera", "setup", "part") if name in columns), "subject")
    train = [0] if by == "part" else _whole(_values(rows, by)) or [1]
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


def _values(rows: Sequence[dict[str, Any]], column: str) -> list[Any]:
    """The different values of a column, in their order; numbers by size."""
    found = list(dict.fromkeys(row[column] for row in rows if row.get(column) not in (None, "")))
    return sorted(found, key=int) if all(str(value).isdigit() for value in found) else found


def _whole(values: Sequence[Any]) -> list[int]:
    """The first half of the values that are whole numbers."""
    numbers = [int(float(value)) for value in values if re.fullmatch(r"-?\d+(\.0*)?", str(value))]
    return numbers[: max(1, len(numbers) // 2)]
