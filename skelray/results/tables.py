"""The tables of a study: their schema, and how they are written and read.

``<study>.parquet`` holds one row for each number, ``<study>.curves.parquet`` what was watched during training. All
studies share the two schemas, so any tables concatenate. ``figures/<study>/`` beside them has the pictures. What a study
says beside its rows (``Notes``) is in the metadata of the first file, as JSON.
"""

from __future__ import annotations

import json
import re
import uuid
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skelray.atomic import replacing
from skelray.checks import UserError
from skelray.names import PUBLISHED, transfer_in
from skelray.study.notes import Notes

TEXT, WHOLE, NUMBER, TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")
FIELDS = {
    **dict.fromkeys(("study", "trial", "arm"), TEXT),  # trial: the content id
    "cell": TEXT,  # JSON object of the scalars that place the trial in its study
    **dict.fromkeys(("benchmark", "protocol", "stream", "backbone", "method", "evaluation"), TEXT),
    **dict.fromkeys(("target", "target_protocol"), TEXT),  # of a transfer: what it evaluates on; else null
    "metric": TEXT,
    "value": NUMBER,  # 0..1; NaN where the trial failed
    "published": NUMBER,  # 0..1; null where there is none for this benchmark
    "parameters": NUMBER,  # millions, of one stream's encoder; null where nothing is published of them
    "published_parameters": NUMBER,  # millions; null where there are none
    "seed": WHOLE,
    "epochs": WHOLE,  # the trial's length
    "epoch": WHOLE,  # where the value was taken
    "status": TEXT,
    "error": TEXT,  # empty unless the trial failed
    "seconds": NUMBER,
    "started": TIME,
    **dict.fromkeys(("device", "version", "commit"), TEXT),
    "data": TEXT,  # the data set's fingerprint
    "spec": TEXT,  # JSON object of the whole trial
}
CURVES_FIELDS = {"trial": TEXT, "epoch": WHOLE, "metric": TEXT, "value": NUMBER, "seconds": NUMBER}

COUNTS = ("parameters", "published_parameters")
TARGETS = ("target", "target_protocol")
ABSENT = ("published", *COUNTS, *TARGETS)  # what a row may be without; older tables lack the columns, but for the first

SCHEMA = pa.schema([pa.field(name, kind, nullable=name in ABSENT) for name, kind in FIELDS.items()])
CURVES = pa.schema([pa.field(name, kind, nullable=False) for name, kind in CURVES_FIELDS.items()])
COLUMNS = tuple(SCHEMA.names)
STATUSES = ("done", "stopped", "failed", PUBLISHED)  # stopped: by ASHA; published: run by nobody here

KEY = ("trial", "arm", "evaluation", "metric", "epoch")
NOTES = b"skelray"  # the key of the metadata
CURVES_KEY = ("trial", "epoch", "metric")
ORDER = ("benchmark", "protocol", "stream", "backbone", "epochs", "cell", "seed", *KEY[2:], "trial")

Row = Mapping[str, object]


def check_name(study: str) -> None:
    """Raises UserError where a study cannot be called so: its name is a file's."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", study):
        raise UserError(f"a study is named by letters, digits, '_' and '-', not {study!r}")


def check_writable(folder: Path) -> None:
    """Makes the folder of tables. Raises OSError, in one sentence, where none can be written there."""
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"tables cannot be written to {folder}: {error.strerror}") from error


def write(
    study: str,
    rows: Sequence[Row],
    curves: Sequence[Row],
    folder: Path = Path("results"),
    notes: Notes | None = None,
    arms: Sequence[str] = (),
) -> Path:
    """Replace the study's two files by these rows, and return the path of the table.

    Arms stay in the order of ``arms``, others in that in which they first appear; within an arm rows are sorted by ORDER,
    and curves by CURVES_KEY, so equal content gives equal files. A reader sees the old or the new file, never half of one,
    and where the disk is full both old files stay.
    """
    check_name(study)
    table = [_result(row, study) for row in rows]
    lines = [_checked(row, CURVES, "curves") for row in curves]
    _unique(table, KEY)
    _unique(lines, CURVES_KEY)
    rank = {arm: place for place, arm in enumerate(dict.fromkeys([*arms, *(row["arm"] for row in table)]))}
    table.sort(key=lambda row: (rank[row["arm"]], *(row[name] for name in ORDER)))
    lines.sort(key=lambda row: tuple(row[name] for name in CURVES_KEY))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study}.parquet"
    new = {folder / f"{study}.curves.parquet": pa.Table.from_pylist(lines, schema=CURVES)}
    content = (notes or Notes()).content()
    schema = SCHEMA.with_metadata({NOTES: json.dumps(content)}) if content else SCHEMA
    new[path] = pa.Table.from_pylist(table, schema=schema)  # last: a trial in the table has its curve
    _replace(new)
    return path


def load(study: str | None = None, folder: Path | str = Path("results")) -> pd.DataFrame:
    """The table of one study, or of all studies in the folder. Of one, ``attrs["notes"]`` has what it says beside its rows.

    Raises UserError for a file that is no such table; of all, it is left out with a warning that says so.
    """
    table = _read(study, Path(folder), ".parquet", SCHEMA)
    frame = table.to_pandas()
    if study is not None and (said := (table.schema.metadata or {}).get(NOTES)):
        frame.attrs["notes"] = json.loads(said)
    return frame


def curves(study: str | None = None, folder: Path | str = Path("results")) -> pd.DataFrame:
    """The curves of one study, or of all; a trial that two studies share appears once."""
    frame = _read(study, Path(folder), ".curves.parquet", CURVES).to_pandas()
    return frame.drop_duplicates(list(CURVES_KEY), ignore_index=True)


def studies(folder: Path | str = Path("results")) -> list[str]:
    """The names of the studies that have a table in the folder."""
    return sorted(path.stem for path in Path(folder).glob("*.parquet") if "." not in path.stem)


def write_pictures(study: str, pictures: Mapping[str, bytes], folder: Path) -> None:
    """Puts pictures by the name of their file into the study's folder of figures; what is there already stays."""
    for name, content in pictures.items():
        path = folder / "figures" / study / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as (place,):
            place.write_bytes(content)


def _result(row: Row, study: str) -> dict:
    """The row as it is stored, or the UserError that says what is wrong with it."""
    checked = _checked(row, SCHEMA, "results")
    for name in ("value", "published"):
        if checked[name] is not None and (checked[name] < 0 or checked[name] > 1):
            raise UserError(f"column {name!r} holds fractions 0..1, got {checked[name]!r}")
    for name in ("cell", "spec"):
        if not _is_object(checked[name]):
            raise UserError(f"column {name!r} holds a JSON object, got {checked[name]!r}")
    if checked["status"] not in STATUSES:
        raise UserError(f"column 'status' is one of {', '.join(STATUSES)}, got {checked['status']!r}")
    if checked["study"] != study:
        raise UserError(f"column 'study' is {checked['study']!r} in a row of study {study!r}")
    if checked["status"] in ("failed", PUBLISHED) and checked["value"] == checked["value"]:
        raise UserError(f"trial {checked['trial']!r} is {checked['status']}, so its value is NaN, not {checked['value']!r}")
    return checked


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _checked(row: Row, schema: pa.Schema, what: str) -> dict:
    """The row in the schema's order and types; UserError names a column unknown, missing or of another type."""
    if unknown := sorted(set(row) - set(schema.names)):
        raise UserError(f"{what} have no column {unknown[0]!r}; the columns are {', '.join(schema.names)}")
    if missing := [field.name for field in schema if field.name not in row and not field.nullable]:
        raise UserError(f"a row of {what} misses the column {missing[0]!r}")
    return {field.name: _stored(field, row.get(field.name)) for field in schema}


def _stored(field: pa.Field, value: object) -> object:
    """The value as the field's type, NaN as null where the field may be null."""
    if field.nullable and (value is None or value != value):
        return None
    if pa.types.is_string(field.type) and isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # an error may quote a path that is no text
    if pa.types.is_integer(field.type) and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if pa.types.is_floating(field.type) and isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if pa.types.is_timestamp(field.type) and isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC)
    raise UserError(f"column {field.name!r} wants {field.type}, got {value!r}")


def _unique(rows: Iterable[dict], key: tuple[str, ...]) -> None:
    """Refuse two rows of one key: a mean would count the number twice."""
    counts = Counter(tuple(row[name] for name in key) for row in rows)
    if twice := [values for values, count in counts.items() if count > 1]:
        raise UserError(f"two rows for {', '.join(f'{n} {v!r}' for n, v in zip(key, twice[0], strict=True))}")


def _replace(tables: Mapping[Path, pa.Table]) -> None:
    """Writes all tables beside their places, then moves each into its place."""
    with replacing(*tables) as places:
        for place, table in zip(places, tables.values(), strict=True):
            with place.open("wb") as file:  # pyarrow would tell of a full disk otherwise than Python does
                pq.write_table(table, file, compression="zstd")


def _read(study: str | None, folder: Path, suffix: str, schema: pa.Schema) -> pa.Table:
    """One study's table, or all of them one after another."""
    known = studies(folder)
    if study is not None and study not in known:
        there = f"there are {', '.join(known)}" if known else "there are none"
        raise UserError(f"no results of a study {study!r} in {folder}; {there}")
    tables = []
    for path in (folder / f"{name}{suffix}" for name in (known if study is None else [study])):
        if study is None and not path.exists():
            continue  # a foreign table has no curves
        try:
            tables.append(_table(path, schema))
        except UserError as error:
            if study is not None:
                raise
            warnings.warn(f"{error}; it is left out", stacklevel=3)
    return pa.concat_tables(tables or [schema.empty_table()])


def _table(path: Path, schema: pa.Schema) -> pa.Table:
    """A file's table, with what older ones lack. Raises UserError, in one sentence, for what is no table of ours."""
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))  # one open: a path would be opened twice
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if schema is SCHEMA:
        table = _with_later(table)
    if not table.schema.equals(schema):
        raise UserError(f"{path} is no table of this version: {_unlike(table.schema, schema)}")
    if schema is SCHEMA and (wrong := _wrong(table)):
        raise UserError(f"{path} is damaged: {wrong}")
    return table


def _unlike(found: pa.Schema, wanted: pa.Schema) -> str:
    """How a schema differs from the one that is read."""
    if found.names != wanted.names:
        return f"its columns are {', '.join(found.names)}"
    name = next(field.name for field in wanted if not found.field(field.name).equals(field))
    return f"its column {name} is of {found.field(name).type}, and {wanted.field(name).type} is needed"


def _with_later(table: pa.Table) -> pa.Table:
    """An older table with the columns that came later; the targets of its transfers are in its specs."""
    there = set(table.schema.names)
    if not set(TARGETS) & there and {"spec", "evaluation"} <= there:
        specs, names = (table.column(name).to_pylist() for name in ("spec", "evaluation"))
        found = {pair: _target(*pair) for pair in set(zip(specs, names, strict=True))}
        pairs = [found[pair] for pair in zip(specs, names, strict=True)]
        for place, name in enumerate(TARGETS):
            table = _inserted(table, name, [pair[place] for pair in pairs])
    if not set(COUNTS) & there and "published" in there:
        for name in COUNTS:
            table = _inserted(table, name, [None] * len(table))
    return table


def _inserted(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """The table with a column behind the one that it stands behind in the schema."""
    field, before = SCHEMA.field(name), COLUMNS[COLUMNS.index(name) - 1]
    return table.add_column(table.schema.names.index(before) + 1, field, pa.array(values, field.type))


def _target(spec: str, evaluation: str) -> tuple[str, str] | tuple[None, None]:
    try:
        return transfer_in(json.loads(spec).get("evaluations"), evaluation)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None, None


def _wrong(table: pa.Table) -> str:
    """What no row that was written here has; empty where there is nothing."""
    for name in ("cell", "spec"):
        if bad := [text for text in table.column(name).unique().to_pylist() if not _is_object(text)]:
            return f"column {name!r} holds a JSON object, not {bad[0][:60]!r}"
    for name in ("value", "published"):
        numbers = [number for number in table.column(name).to_pylist() if number is not None and not 0 <= number <= 1]
        if bad := [number for number in numbers if number == number]:
            return f"column {name!r} holds fractions 0..1, not {bad[0]!r}"
    if bad := [status for status in table.column("status").unique().to_pylist() if status not in STATUSES]:
        return f"column 'status' is one of {', '.join(STATUSES)}, not {bad[0]!r}"
    return ""
