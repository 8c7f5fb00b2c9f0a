"""A trial with fields changed by name, as a study's arms and a command line give them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from skelray.checks import UserError
from skelray.methods import SIMILARITIES, cross_entropy
from skelray.trial import Trial


def changed(trial: Trial, changes: Mapping[str, Any]) -> Trial:
    """The trial with fields changed by name, wherever they live: trial, method, optimizer or backbone.

    Numbers may come as text; a similarity may come by name. Raises UserError for an unknown field, naming those there are.
    """
    for name, value in changes.items():
        if name in _names(trial):
            trial = changed_part(trial, {name: value})
            continue
        for home in ("method", "optimizer", "backbone"):
            part = getattr(trial, home)
            if name in _names(part):
                trial = replace(trial, **{home: changed_part(part, {name: value})})
                break
        else:
            known = sorted({n for p in (trial, trial.method, trial.optimizer, trial.backbone) for n in _names(p)})
            raise UserError(f"no field {name!r} in this trial; it has {', '.join(known)}")
    return trial


def changed_part(part: Any, changes: Mapping[str, Any]) -> Any:
    """A dataclass with fields of its own changed; see ``changed``."""
    optional = {field.name: "None" in str(field.type) for field in fields(part)}
    return replace(
        part, **{name: _coerced(name, getattr(part, name), value, optional[name]) for name, value in changes.items()}
    )


def _names(part: Any) -> list[str]:
    return [field.name for field in fields(part)]


def _coerced(name: str, current: Any, value: Any, optional: bool) -> Any:
    """The value as a field takes it whose value is ``current`` now; text, as a command line gives it, is read as JSON."""
    if inspect.isfunction(current) and isinstance(value, str):
        named = {**SIMILARITIES, "cross_entropy": cross_entropy}  # kl's released form; a search need not try both
        if value not in named:
            raise UserError(f"{name} {value!r} is none of {', '.join(named)}")
        return named[value]
    if isinstance(value, str) and not isinstance(current, str):
        try:
            value = json.loads(value.lower())
        except json.JSONDecodeError:
            raise _unlike(name, current, value) from None
        if is_dataclass(current) and value is None and optional:
            return None
        if is_dataclass(current) or isinstance(value, dict):
            raise UserError(f"{name} cannot be given as text: set its fields, or change it in the study file")
    if isinstance(value, list):
        value = tuple(value)
    if value is None:
        if not optional:
            raise _unlike(name, current, value)
        return None
    if isinstance(current, int) and not isinstance(current, bool) and isinstance(value, float):
        raise UserError(f"{name} {value!r}: a whole number is needed")
    if current is not None and (
        not isinstance(value, _alike(current)) or isinstance(value, bool) != isinstance(current, bool)
    ):
        raise _unlike(name, current, value)
    return value


def _unlike(name: str, current: Any, value: Any) -> UserError:
    return UserError(f"{name} {value!r}: a value like {current!r} is needed")


def _alike(current: Any) -> type | tuple[type, ...]:
    """The types that may stand where this value stands."""
    for kind in (bool, str, tuple):
        if isinstance(current, kind):
            return (tuple, list) if kind is tuple else kind
    if isinstance(current, (int, float)):
        return (int, float)
    return object  # a dataclass or function: any other that works in its place
