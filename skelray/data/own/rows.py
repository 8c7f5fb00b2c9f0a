"""The rows of a table of joints, read in batches and assembled to sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from skelray.data.benchmark import Recording, Skipped
from skelray.data.formats.text import to_float32
from skelray.data.own import cells, separated
from skelray.data.own.cells import Coordinates, normalised
from skelray.data.own.separated import SeparatedText
from skelray.data.stored import DataError

TEXTS = ("sequence", "joint", "label")
COUNTED = ("frame", "person")
UNSAID = ("subject", "camera", "setup", "replication", "part")  # an empty cell does not say it: -1
COORDINATES = ("x", "y", "z")
KNOWN = (*TEXTS, *COUNTED, *UNSAID, *COORDINATES)
NEEDED = ("sequence", "frame", "joint", "x", "y", "label")
ABOUT = ("label", *UNSAID)  # one value for a whole sequence
NUMBER = re.compile(r"([0-9]{1,18})(?:\.0*)?")
BATCH = 1 << 16  # rows
MOST_ROWS = 1 << 23  # of one sequence
MOST_PERSONS = 32


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read; others are ignored."""

    names: tuple[str, ...]

    def has(self, name: str) -> bool:
        return name in self.names


@dataclass(frozen=True)
class TableReader:
    """Reads a table with these joints and classes; calling it yields its sequences one by one.

    numbered: labels are class numbers even if a class is named by that number.
    named: the texts, numbered from 1, of columns such as "subject" whose cells are texts.
    Rows of a sequence are adjacent, in any order. Raises DataError for an invalid table.
    """

    joints: tuple[str, ...]
    classes: tuple[str, ...]
    numbered: bool = False
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __call__(self, source: Path | None) -> Iterator[Recording | Skipped]:
        if source is None:
            raise DataError("a table is described by a TOML file: `skelray prepare table FILE.toml`")
        return self._recordings(source)

    def columns(self, source: Path) -> Columns:
        """Finds the columns. Raises DataError if one is missing."""
        try:
            stored = stored_names(source)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{source} is no table that can be read ({error})") from error
        own = own_names(stored)
        if missing := [name for name in NEEDED if name not in own]:
            has = ", ".join(normalised(name)[:50] for name in stored[:20])
            raise DataError(f"{source} lacks the columns {', '.join(missing)}; it has {has}")
        if repeated := [name for name, written in own.items() if len(written) > 1]:
            raise DataError(f"{source} has two columns named {', '.join(sorted(repeated))}")
        return Columns(tuple(own))

    def batches(self, source: Path, names: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
        """Yields these columns as arrays, a batch at a time. Raises DataError for a value not of its column's type."""
        text = _opened(source)[0]
        coordinates = Coordinates(commas=text is None or text.separator != ",")
        for batch in read_columns(source, names):
            try:
                yield {name: self._array(column, name, coordinates) for name, column in batch.items()}
            except DataError as error:
                raise DataError(f"{source}: {error}") from error

    def _array(self, column: pa.Array, name: str, coordinates: Coordinates) -> np.ndarray:
        if name in COORDINATES:
            return coordinates(column, name)
        if name in UNSAID:
            return cells.keys(column, name, self.named.get(name, ()))
        return cells.whole(column, name) if name in COUNTED else cells.read_texts(column, name)

    def _recordings(self, source: Path) -> Iterator[Recording | Skipped]:
        seen: set[str] = set()
        for name, rows in self._sequences(source):
            if name in seen:
                raise DataError(f"{source}: the rows of sequence {name!r} do not stand together; sort the table by sequence")
            seen.add(name)
            yield self._recording(name, rows, source)

    def _sequences(self, source: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Yields each run of rows with the same sequence."""
        names = self.columns(source).names
        held: list[dict[str, np.ndarray]] = []
        name, count = "", 0
        for batch in self.batches(source, names):
            sequence = batch["sequence"]
            if not len(sequence):
                continue
            if (sequence == "").any():
                raise DataError(f"{source}: the column sequence has empty cells")
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
        if empty := [column for column in ("frame", "person", "joint", "label") if column in rows and _empty(rows[column])]:
            return Skipped(name, f"an empty cell in {' and '.join(empty)}")
        bodies = self._bodies(rows, f"{source}: sequence {name!r}")
        if isinstance(bodies, str):
            return Skipped(name, bodies)
        if cells.NEGATIVE.fullmatch(about["label"]) and about["label"] not in self.classes:
            return Skipped(name, f"no label: {about['label']}")
        label = self._label(about.pop("label"), f"{source}: sequence {name!r}")
        return Recording(name, bodies, label, source=source.name, **{key: int(value) for key, value in about.items()})

    def _label(self, label: str, where: str) -> int:
        if label in self.classes and not self.numbered:
            return self.classes.index(label)
        if (number := number_of(label)) is not None and number < len(self.classes):
            return number
        raise DataError(f"{where} has the label {label!r}, which is none of the {len(self.classes)} classes")

    def _bodies(self, rows: dict[str, np.ndarray], where: str) -> np.ndarray | str:
        """Returns (T, M, V, 3), or why there is none; frames and persons count by order, not by number."""
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
        bodies[frame, person, joint] = to_float32(np.column_stack([rows["x"], rows["y"], z]))
        return bodies

    def _joint(self, written: str) -> int | None:
        """Returns a joint's number by its name, or by the number itself (from 0)."""
        if written in self.joints:
            return self.joints.index(written)
        number = number_of(written)
        return number if number is not None and number < len(self.joints) else None


def own_names(stored: Sequence[str]) -> dict[str, list[str]]:
    """Returns the table's name of each column that is read, ignoring case if no name matches exactly."""
    called = {
        name: [one for one in stored if normalised(one) == name]
        or [one for one in stored if normalised(one).casefold() == name]
        for name in KNOWN
    }
    return {name: own for name, own in called.items() if own}


def number_of(written: str) -> int | None:
    """Returns a whole number from 0, also one written as 3.0 by a column of floats; None for anything else."""
    return int(match[1]) if (match := NUMBER.fullmatch(written)) else None


def read_columns(source: Path, names: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """Yields stored columns of a table, a batch at a time. Raises DataError if it cannot be read."""
    try:
        text, stored = _opened(source)
        own = own_names(stored)
        chosen = {name: own[name][0] for name in names}
        if text is None:
            with pa.parquet.ParquetFile(source) as file:
                for batch in file.iter_batches(BATCH, columns=[*chosen.values()]):
                    yield {name: _decoded(batch.column(own)) for name, own in chosen.items()}
        else:
            with text.open(source, [*chosen.values()]) as reader:
                for batch in reader:
                    yield {name: batch.column(own) for name, own in chosen.items()}
    except (OSError, UnicodeError, pa.ArrowException) as error:
        why = " ".join(str(error).split())
        why = "it is neither UTF-8 nor UTF-16: save it as one of them" if "UTF8" in why or "decode" in why else why
        raise DataError(f"{source} cannot be read as a table ({why})") from error


def different_cells(source: Path, names: Sequence[str]) -> dict[str, set[str]]:
    """Returns the different cells of these columns as they are written; none for numeric columns except labels."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for batch in read_columns(source, names):
        for name, column in batch.items():
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                found[name].update(cell for cell in column.unique().to_pylist() if cell is not None)
            elif name == "label":
                found[name].update(cells.read_texts(column, name).tolist())
    return found


def stored_names(source: Path) -> Sequence[str]:
    """Returns the names of a table's columns as they are written. Raises DataError, OSError."""
    return _opened(source)[1]


def _opened(source: Path) -> tuple[SeparatedText | None, Sequence[str]]:
    """Returns how a table is written, unless it is Parquet, and its column names. Raises DataError, OSError."""
    with open(source, "rb") as file:
        parquet = file.read(4) == b"PAR1"
    if parquet:
        return None, pa.parquet.read_schema(source).names
    text = separated.recognise_text(source, KNOWN)
    return text, text.names


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _empty(values: np.ndarray) -> bool:
    return bool((values == ("" if values.dtype == object else cells.EMPTY)).any())


def _joined(held: list[dict[str, np.ndarray]], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([rows[name] for rows in held]) for name in names}
