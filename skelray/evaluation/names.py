"""The names of a trial's evaluations in tables, told apart by their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from skelray.checks import UserError
from skelray.evaluation.evaluation import Evaluation


def distinct_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """Returns a name for each: its own, or, if several share that, with the settings that differ ("linear lr=3").

    Raises UserError for one that is given twice, or that cannot be told from another.
    """
    called = [evaluation.name for evaluation in evaluations]
    found = list(called)
    for name in {name for name in called if called.count(name) > 1}:
        places = [place for place, own in enumerate(called) if own == name]
        for place, told in zip(places, _apart([evaluations[place] for place in places]), strict=True):
            found[place] = f"{name} {told}".strip()
    if doubled := [name for name in found if found.count(name) > 1]:
        raise UserError(f"two evaluations are called {doubled[0]!r}: a table tells them apart by their settings")
    return found


def _apart(evaluations: Sequence[Evaluation]) -> list[str]:
    """Returns the settings of each that are not the same in all."""
    settings = [_settings(evaluation) for evaluation in evaluations]
    known = list(dict.fromkeys(name for one in settings for name in one))
    differ = [name for name in known if len({repr(one.get(name)) for one in settings}) > 1]
    return [" ".join(f"{name}={setting_text(one[name])}" for name in differ if name in one) for one in settings]


def _settings(part: Any) -> dict[str, Any]:
    """Returns an evaluation's settings by name, with its type and those of the evaluation that it wraps."""
    found: dict[str, Any] = {"type": type(part).__qualname__}
    for field in fields(part) if is_dataclass(part) else ():
        value = getattr(part, field.name)
        found |= _settings(value) if field.name == "evaluation" else {field.name: value}
    return found


def setting_text(value: Any) -> str:
    """Returns a setting as a name has it: without blanks, and 3.0 as 3, as in a trial's canonical form."""
    if isinstance(value, (tuple, list)):
        return "+".join(map(setting_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return getattr(value, "__name__", None) or str(value).replace(" ", "")
