"""The tables of a study: how they are written and read.

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
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skelray.atomic import replacing
from skelray.checks import UserError
from skelray.results import seal
from skelray.results.earlier import check_version, stated, with_later
from skelray.results.schema import CURVES, CURVES_KEY, KEY, ORDER, SCHEMA, STATUSES, Row, checked, is_object, result
from skelray.study.notes import Notes

NOTES = b"skelray"  # the key of the metadata


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


def write_table(
    study: str,
    rows: Sequence[Row],
    curves: Sequence[Row],
    folder: Path = Path("results"),
    notes: Notes | None = None,
    arms: Sequence[str] = (),
) -> Path:
    """Replaces the study's two files by these rows, and returns the path of the table.

    Arms stay in the order of ``arms``, others in that in which they first appear; within an arm rows are sorted by ORDER,
    and curves by CURVES_KEY, so equal content gives equal files. A reader sees the old or the new file, never half of one,
    and where the disk is full both old files stay.
    """
    check_name(study)
    table = [result(row, study) for row in rows]
    lines = [checked(row, CURVES, "curves") for row in curves]
    _unique(table, KEY)
    _unique(lines, CURVES_KEY)
    rank = {arm: place for place, arm in enumerate(dict.fromkeys([*arms, *(row["arm"] for row in table)]))}
    table.sort(key=lambda row: (rank[row["arm"]], *(row[name] for name in ORDER)))
    lines.sort(key=lambda row: tuple(row[name] for name in CURVES_KEY))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study}.parquet"
    new = {folder / f"{study}.curves.parquet": pa.Table.from_pylist(lines, schema=stated(CURVES))}
    content = (notes or Notes()).as_json()
    schema = stated(SCHEMA, {NOTES: json.dumps(content)} if content else None)
    new[path] = pa.Table.from_pylist(table, schema=schema)  # last: a trial in the table has its curve
    _replace(new)
    return path


def load(study: str | None = None, folder: Path | str = Path("results")) -> pd.DataFrame:
    """Returns the table of one study, or of all studies in the folder. Of one, ``attrs["notes"]`` holds its notes.

    Raises UserError for a file that is no such table; of all, it is left out with a warning that says so.
    """
    table = _read(study, Path(folder), ".parquet", SCHEMA)
    frame = table.to_pandas()
    if study is not None and (said := (table.schema.metadata or {}).get(NOTES)):
        try:
            frame.attrs["notes"] = json.loads(said)
        except ValueError as error:
            raise UserError(f"{Path(folder) / study}.parquet is damaged: its notes are no JSON") from error
    return frame


def curves(study: str | None = None, folder: Path | str = Path("results")) -> pd.DataFrame:
    """Returns the curves of one study, or of all; a trial that two studies share appears once."""
    frame = _read(study, Path(folder), ".curves.parquet", CURVES).to_pandas()
    return frame.drop_duplicates(list(CURVES_KEY), ignore_index=True)


def list_tables(folder: Path | str = Path("results")) -> list[str]:
    """Returns the names of the studies that have a table in the folder."""
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


def _unique(rows: Iterable[dict], key: tuple[str, ...]) -> None:
    """Refuses two rows of one key: a mean would count the number twice."""
    counts = Counter(tuple(row[name] for name in key) for row in rows)
    if twice := [values for values, count in counts.items() if count > 1]:
        raise UserError(f"two rows for {', '.join(f'{n} {v!r}' for n, v in zip(key, twice[0], strict=True))}")


def _replace(tables: Mapping[Path, pa.Table]) -> None:
    """Writes all tables beside their places, then moves each into its place."""
    with replacing(*tables) as places:
        for place, table in zip(places, tables.values(), strict=True):
            with place.open("wb") as file:  # pyarrow would tell of a full disk otherwise than Python does
                pq.write_table(seal.with_digest(table), file, compression="zstd", write_page_checksum=True)


def _read(study: str | None, folder: Path, suffix: str, schema: pa.Schema) -> pa.Table:
    """Returns one study's table, or all of them one after another."""
    known = list_tables(folder)
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
    """Returns a file's table, with the columns that older ones lack. Raises UserError for any other file."""
    try:
        content = pa.BufferReader(path.read_bytes())  # one open: a path would be opened twice
        table = pq.read_table(content, page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    check_version(path, table.schema)
    try:
        whole = seal.is_whole(table)
    except (pa.ArrowException, UnicodeDecodeError):
        whole = False
    if not whole:
        raise UserError(f"{path} is damaged: its content is not what was written")
    if schema is SCHEMA:
        table = with_later(table)
    if not table.schema.equals(schema):
        raise UserError(f"{path} is no table of this version: {_unlike(table.schema, schema)}")
    if schema is SCHEMA and (wrong := _wrong(table)):
        raise UserError(f"{path} is damaged: {wrong}")
    return table


def _unlike(found: pa.Schema, wanted: pa.Schema) -> str:
    """Returns how a schema differs from this version's."""
    if found.names != wanted.names:
        return f"its columns are {', '.join(found.names)}"
    name = next(field.name for field in wanted if not found.field(field.name).equals(field))
    return f"its column {name} is of {found.field(name).type}, and {wanted.field(name).type} is needed"


def _wrong(table: pa.Table) -> str:
    """Returns why no row of these was written here; an empty text if nothing is wrong."""
    for name in ("cell", "spec"):
        if bad := [text for text in table.column(name).unique().to_pylist() if not is_object(text)]:
            return f"column {name!r} holds a JSON object, not {bad[0][:60]!r}"
    for name in ("value", "published"):
        numbers = [number for number in table.column(name).to_pylist() if number is not None and not 0 <= number <= 1]
        if bad := [number for number in numbers if number == number]:
            return f"column {name!r} holds fractions 0..1, not {bad[0]!r}"
    if bad := [status for status in table.column("status").unique().to_pylist() if status not in STATUSES]:
        return f"column 'status' is one of {', '.join(STATUSES)}, not {bad[0]!r}"
    return ""
