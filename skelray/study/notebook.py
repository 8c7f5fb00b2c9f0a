"""Studies as HTML for a notebook: what they compare or search, before a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skelray import markup
from skelray.checks import quote_value


def arms_as_html(
    kind: str, base: Any, arms: Sequence[Any], across: Mapping[str, Sequence[Any]], seeds: Sequence[int]
) -> str:
    """Returns a table with a row for each arm: its changes, and its published numbers in percent."""
    rows = [[arm.label, _pairs(arm.changes) or "–", _pairs(arm.published) or "–"] for arm in arms]
    told = [f"{len(arms)} arms"] + [f"{name} {', '.join(map(str, values))}" for name, values in across.items()]
    seeds_told = f"seeds {', '.join(map(str, seeds))}"
    caption = f"{kind} of {base.benchmark}, {', '.join([*told, seeds_told])}; base: {type(base.method).__name__}."
    return markup.html_table(caption, ["arm", "changes", "published"], rows)


def fields_as_html(kind: str, fields: Mapping[str, Any]) -> str:
    """Returns a table with a row for each field of a search."""
    rows = [[name, _pairs(value) if isinstance(value, Mapping) else _short(value)] for name, value in fields.items()]
    return markup.html_table(f"{kind}.", ["field", "value"], rows)


def _pairs(values: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    """Returns a value as a study file spells it, if that is short."""
    if isinstance(value, tuple) and value and all(hasattr(one, "augmentations") for one in value):
        return f"[{', '.join(map(str, value))}]"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return quote_value(value) if not isinstance(value, str) else value
