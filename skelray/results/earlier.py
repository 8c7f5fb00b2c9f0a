"""Tables of other versions: earlier ones get the columns that came later, later ones are refused in one sentence.

A table says its version in the metadata of its schema. Those from before it did so count as version 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from skelray.checks import UserError
from skelray.names import transfer_in
from skelray.results.schema import COLUMNS, COUNTS, SCHEMA, TARGETS, VERSION

STATED = b"skelray version"  # the key of the metadata


class OfLaterVersion(UserError):
    """A table that this version may neither read nor replace."""


def stated(schema: pa.Schema, metadata: dict[bytes, str] | None = None) -> pa.Schema:
    """Returns the schema with this version, and what else is to be said, in its metadata."""
    return schema.with_metadata({STATED: str(VERSION), **(metadata or {})})


def check_version(path: Path, schema: pa.Schema) -> None:
    """Raises OfLaterVersion for a table that a later version has written."""
    told = (schema.metadata or {}).get(STATED, b"0").decode("ascii", "replace")
    if not told.isdecimal() or int(told) > VERSION:
        raise OfLaterVersion(
            f"{path} was written by a later skelray: its columns are of version {told[:20]}, and this one knows those up to "
            f"version {VERSION}; update skelray, or give --results another folder"
        )


def with_later(table: pa.Table) -> pa.Table:
    """Returns an earlier table with the columns that came later; the targets of its transfers are read from its specs."""
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
    """Returns the table with a column inserted where the schema has it."""
    field, before = SCHEMA.field(name), COLUMNS[COLUMNS.index(name) - 1]
    return table.add_column(table.schema.names.index(before) + 1, field, pa.array(values, field.type))


def _target(spec: str, evaluation: str) -> tuple[str, str] | tuple[None, None]:
    try:
        return transfer_in(json.loads(spec).get("evaluations"), evaluation)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None, None
