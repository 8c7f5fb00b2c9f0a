"""The rows of a table of joints, read in batches and put together as sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from skelray.data.benchmark import Recording, Skipped
from skelray.data.dataset import DataError
from skelray.data.text import single

TYPES = {
    **dict.fromkeys(("sequence", "joint", "label"), pa.string()),
    **dict.fromkeys(("frame", "person", "subject", "camera", "setup", "replication", "part"), pa.int64()),
    **dict.fromkeys(("x", "y", "z"), pa.float64()),
}
NEEDED = ("sequence", "frame", "joint", "x", "y", "label")
ABOUT = ("label", "subject", "camera", "setup", "replication", "part")  # one value for a whole sequence
UNSAID = ("subject", "camera", "setup", "replication", "part")  # an empty cell does not say it: -1
NUMBER = re.compile(r"([0-9]{1,18})(?:\.0*)?")
BATCH = 1 << 16  # rows
MOST_ROWS = 1 << 23  # of one sequence
MOST_PERSONS = 32


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read; others are left alone."""

    names: tuple[str, ...]

    def has(self, name: str) -> bool:
        return name in self.names


@dataclass(frozen=True)
class Table:
    """Reads a table with these joints and classes; calling it gives its sequences one by one.

    numbered: labels are numbers of classes even where a class is named by that number.
    Rows of a sequence stand together, in any order. Raises DataError where the table cannot be read as one.
    """

    joints: tuple[str, ...]
    classes: tuple[str, ...]
    numbered: bool = False

    def __call__(self, source: Path | None) -> Iterator[Recording | Skipped]:
        if source is None:
            raise DataError("a table is described by a TOML file: `skelray prepare table FILE.toml`")
        return self._recordings(source)

    def columns(self, source: Path) -> Columns:
        """Raises DataError where one is missing."""
        try:
            names = pa.parquet.read_schema(source).names if _is_parquet(source) else _csv(source, []).schema.names
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{source} is no table that can be read ({error})") from error
        if missing := [name for name in NEEDED if name not in names]:
            raise DataError(f"{source} lacks the columns {', '.join(missing)}; it has {', '.join(names[:20])}")
        if repeated := {name for name in TYPES if names.count(name) > 1}:
            raise DataError(f"{source} has two columns named {', '.join(sorted(repeated))}")
        return Columns(tuple(name for name in TYPES if name in names))

    def batches(self, source: Path, names: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
        """These columns as arrays, a batch at a time. Raises DataError where a value is not of its column's type."""
        try:
            if _is_parquet(source):
                with pa.parquet.ParquetFile(source) as file:
                    for batch in file.iter_batches(BATCH, columns=list(names)):
                        yield {name: _array(batch.column(name), name, source) for name in names}
            else:
                with _csv(source, list(names)) as reader:
                    for batch in reader:
                        yield {name: _array(batch.column(name), name, source) for name in names}
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{source} cannot be read as a table ({error})") from error

    def _recordings(self, source: Path) -> Iterator[Recording | Skipped]:
        seen: set[str] = set()
        for name, rows in self._sequences(source):
            if name in seen:
                raise DataError(f"{source}: the rows of sequence {name!r} do not stand together; sort the table by sequence")
            seen.add(name)
            yield self._recording(name, rows, source)

    def _sequences(self, source: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The rows of each run of rows with the same sequence."""
        names = self.columns(source).names
        held: list[dict[str, np.ndarray]] = []
        name, count = "", 0
        for batch in self.batches(source, names):
            sequence = batch["sequence"]
            if not len(sequence):
                continue
            starts = np.append(np.flatnonzero(np.append(True, sequence[1:] != sequence[:-1])), len(sequence))
            for start, end in pairwise(starts):
                if held and sequence[start] != name:
                    yield name, _joined(held, names)
                    held, count = [], 0
                name, count = sequence[start], count + int(end - start)
                if count > MOST_ROWS:
                    raise DataError(f"{source}: sequence {name!r} has more than {MOST_ROWS:,} rows")
                held.append({column: values[start:end] for column, values in batch.items()})
        if held:
            yield name, _joined(held, names)

    def _recording(self, name: str, rows: dict[str, np.ndarray], source: Path) -> Recording | Skipped:
        about = {column: rows[column][0] for column in ABOUT if column in rows}
        if differ := [column for column, value in about.items() if (rows[column] != value).any()]:
            return Skipped(name, f"its rows differ in {' and '.join(differ)}")
        bodies = self._bodies(rows, f"{source}: sequence {name!r}")
        if isinstance(bodies, str):
            return Skipped(name, bodies)
        label = self._label(about.pop("label"), f"{source}: sequence {name!r}")
        return Recording(name, bodies, label, source=source.name, **{key: int(value) for key, value in about.items()})

    def _label(self, label: str, where: str) -> int:
        if label in self.classes and not self.numbered:
            return self.classes.index(label)
        if (number := number_of(label)) is not None and number < len(self.classes):
            return number
        raise DataError(f"{where} has the label {label!r}, which is none of the {len(self.classes)} classes")

    def _bodies(self, rows: dict[str, np.ndarray], where: str) -> np.ndarray | str:
        """(T, M, V, 3), or why there is none: only the order of frames and persons counts, not their numbers."""
        kinds, kind = np.unique(rows["joint"], return_inverse=True)
        if unknown := [joint for joint in kinds if self._joint(joint) is None]:
            raise DataError(f"{where} has the joint {unknown[0]!r}; the joints are {', '.join(self.joints)}")
        joint = np.array([self._joint(name) for name in kinds])[kind]
        frames, frame = np.unique(rows["frame"], return_inverse=True)
        persons, person = np.unique(rows.get("person", np.zeros(len(joint), np.int64)), return_inverse=True)
        if len(persons) > MOST_PERSONS:
            return f"more than {MOST_PERSONS} persons"
        count = len(self.joints)
        there = frame * len(persons) + person
        if len(np.unique(there * count + joint)) < len(joint):
            return "two rows for the same joint of a frame"
        if len(np.unique(there)) * count > len(joint):
            return "a joint is missing in a frame"
        bodies = np.zeros((len(frames), len(persons), count, 3), np.float32)
        z = rows.get("z", np.zeros(len(joint)))
        bodies[frame, person, joint] = single(np.column_stack([rows["x"], rows["y"], z]))
        return bodies

    def _joint(self, written: str) -> int | None:
        """A joint's number by its name, or by the number itself (from 0)."""
        if written in self.joints:
            return self.joints.index(written)
        number = number_of(written)
        return number if number is not None and number < len(self.joints) else None


def number_of(written: str) -> int | None:
    """A whole number from 0, which a column of floats writes as 3.0; None of anything else."""
    return int(match[1]) if (match := NUMBER.fullmatch(written)) else None


def labels_of(table: Table, source: Path) -> set[str]:
    """Every label of a table. Raises DataError where there is none."""
    table.columns(source)
    found: set[str] = set()
    for batch in table.batches(source, ("label",)):
        found.update(np.unique(batch["label"]))
    if not found:
        raise DataError(f"{source} has no rows")
    return found


def _is_parquet(source: Path) -> bool:
    with open(source, "rb") as file:
        return file.read(4) == b"PAR1"


def _csv(source: Path, names: list[str]) -> pa.csv.CSVStreamingReader:
    """All columns are asked for as text: what is no number is then told with its column."""
    columns = pa.csv.ConvertOptions(column_types=dict.fromkeys(TYPES, pa.string()), include_columns=names)
    return pa.csv.open_csv(source, pa.csv.ReadOptions(block_size=1 << 22, use_threads=False), convert_options=columns)


def _array(column: Any, name: str, source: Path) -> np.ndarray:
    """A column as an array of its type; a missing coordinate is NaN."""
    wanted = TYPES[name]
    try:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if wanted == pa.string() and pa.types.is_floating(column.type):  # 3.0 is the label 3
            column = column.cast(pa.int64())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pa.compute.if_else(pa.compute.equal(column, ""), None, column)
            if wanted == pa.int64():  # a column with empty cells is often written as floats
                column = pa.compute.replace_substring_regex(column, r"^(-?[0-9]+)\.0*$", r"\1")
        column = column.cast(wanted)
    except (pa.ArrowException, NotImplementedError) as error:
        kind = {pa.string(): "texts", pa.int64(): "whole numbers", pa.float64(): "numbers"}[wanted]
        raise DataError(f"{source}: the column {name} must hold {kind} ({' '.join(str(error).split())})") from error
    if name in UNSAID:
        column = column.fill_null(-1)
    if column.null_count and wanted != pa.float64():
        raise DataError(f"{source}: the column {name} has empty cells")
    return column.to_numpy(zero_copy_only=False)


def _joined(held: list[dict[str, np.ndarray]], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([rows[name] for rows in held]) for name in names}
