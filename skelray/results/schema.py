"""The columns of the tables of all studies, and rows that fit them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from numbers import Integral, Real

import pyarrow as pa

from skelray.checks import UserError
from skelray.names import PUBLISHED

VERSION = 1  # of the columns, in each file; whoever changes them raises it, and tells ``earlier`` what tables of before lack

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
CURVES_KEY = ("trial", "epoch", "metric")
ORDER = ("benchmark", "protocol", "stream", "backbone", "epochs", "cell", "seed", *KEY[2:], "trial")

Row = Mapping[str, object]


def result(row: Row, study: str) -> dict:
    """Returns the row as it is stored, or the UserError that says what is wrong with it."""
    content = checked(row, SCHEMA, "results")
    for name in ("value", "published"):
        if content[name] is not None and (content[name] < 0 or content[name] > 1):
            raise UserError(f"column {name!r} holds fractions 0..1, got {content[name]!r}")
    for name in ("cell", "spec"):
        if not is_object(content[name]):
            raise UserError(f"column {name!r} holds a JSON object, got {content[name]!r}")
    if content["status"] not in STATUSES:
        raise UserError(f"column 'status' is one of {', '.join(STATUSES)}, got {content['status']!r}")
    if content["study"] != study:
        raise UserError(f"column 'study' is {content['study']!r} in a row of study {study!r}")
    if content["status"] in ("failed", PUBLISHED) and content["value"] == content["value"]:
        raise UserError(f"trial {content['trial']!r} is {content['status']}, so its value is NaN, not {content['value']!r}")
    return content


def is_object(text: str) -> bool:
    """Returns whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def checked(row: Row, schema: pa.Schema, what: str) -> dict:
    """Returns the row in the schema's order and types.

    Raises UserError for a column that is unknown, missing or of another type.
    """
    if unknown := sorted(set(row) - set(schema.names)):
        raise UserError(f"{what} have no column {unknown[0]!r}; the columns are {', '.join(schema.names)}")
    if missing := [field.name for field in schema if field.name not in row and not field.nullable]:
        raise UserError(f"a row of {what} misses the column {missing[0]!r}")
    return {field.name: _stored(field, row.get(field.name)) for field in schema}


def _stored(field: pa.Field, value: object) -> object:
    """Returns the value as the field's type; NaN becomes null where the field may be null."""
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
