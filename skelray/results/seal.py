"""A digest of a table's content, so that a bit which flips in its file is found wherever it lies.

Parquet's own sums cover its pages, and neither their headers nor the schema.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

SEAL = b"skelray sha256"  # the key of the metadata


def table_digest(table: pa.Table) -> str:
    """Returns the SHA-256 of names, types, nulls and values, column by column, and of the metadata beside the digest.

    How rows lie in chunks changes nothing.
    """
    found = hashlib.sha256()
    for key, value in sorted((table.schema.metadata or {}).items()):
        if key != SEAL:
            found.update(b"%d %d " % (len(key), len(value)) + key + value)
    for field in table.schema:
        column = table.column(field.name)
        found.update(f"{field.name} {field.type} {len(column)}".encode())
        found.update(column.is_null().to_numpy().tobytes())
        if pa.types.is_string(field.type):
            column = column.cast(pa.binary()).fill_null(b"")
            found.update(pc.binary_length(column).to_numpy().tobytes())
            found.update(b"".join(column.to_pylist()))
            continue
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.int64())
        found.update(column.fill_null(0).to_numpy().tobytes())
    return found.hexdigest()


def with_digest(table: pa.Table) -> pa.Table:
    """Returns the table with its digest in the metadata."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), SEAL: table_digest(table)})


def is_whole(table: pa.Table) -> bool:
    """Returns whether the content is what was sealed; a table from before there were seals is believed."""
    told = (table.schema.metadata or {}).get(SEAL)
    return told is None or told == table_digest(table).encode()
