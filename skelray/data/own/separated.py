"""Tables as text: their encoding, column separator and decimal mark."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from skelray.data.formats.text import encoding
from skelray.data.stored import DataError

SEPARATORS: tuple[str, ...] = (",", ";", "\t", "|")
SAID = re.compile(r'"?sep=(.)"?\s*')  # a first line that Excel reads and writes
HEAD = 1 << 16  # bytes that are looked at
BINARY = ((b"PK\x03\x04", "a workbook or a zip"), (b"\xd0\xcf\x11\xe0", "a workbook"), (b"\x89HDF", "an HDF5 file"))


@dataclass(frozen=True)
class SeparatedText:
    """The way a table is written. names: of its columns, in its first line; skip: lines before that."""

    separator: str
    encoding: str
    names: tuple[str, ...]
    skip: int

    def open(self, source: Path, names: Sequence[str]) -> pa.csv.CSVStreamingReader:
        """Returns a reader of these columns in batches, all as text, so that an invalid number is reported by column."""
        return pa.csv.open_csv(
            source,
            pa.csv.ReadOptions(block_size=1 << 22, use_threads=False, skip_rows=self.skip, encoding=self.encoding),
            pa.csv.ParseOptions(delimiter=self.separator),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=list(names)),
        )


def recognise_text(source: Path, wanted: Sequence[str]) -> SeparatedText:
    """Recognises how a table is written whose first line names ``wanted`` columns. Raises DataError, OSError."""
    with pa.input_stream(str(source)) as stream:
        head = stream.read(HEAD)
    if kind := next((kind for start, kind in BINARY if head.startswith(start)), None):
        raise DataError(f"{source} is {kind}: save the table as CSV or Parquet")
    written = encoding(head)
    lines = [line for line in head.decode(written, "replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{source} is no table that can be read (Empty CSV file)")
    skip, separators = 0, SEPARATORS
    if (said := SAID.fullmatch(lines[0])) and len(lines) > 1:
        skip, separators = 1, (said[1],)
    rows = {separator: _row(lines[skip], separator) for separator in separators}
    best = max(separators, key=lambda separator: len({name.strip().casefold() for name in rows[separator]} & set(wanted)))
    return SeparatedText(best, "utf-8" if written == "utf-8-sig" else written, rows[best], skip)


def _row(line: str, separator: str) -> tuple[str, ...]:
    return tuple(next(csv.reader([line], delimiter=separator), ()))
