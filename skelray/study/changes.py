"""A trial with fields changed by name, as a study's arms and a command line give them."""

from __future__ import annotations

import collections.abc
import inspect
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from skelray.checks import UserError
from skelray.identity.canonical import canonical, digest
from skelray.methods import SIMILARITIES, cross_entropy
from skelray.trial import Trial

PARTS = ("method", "optimizer", "backbone")
Path = tuple[str, ...]


class Unknown(UserError):
    """A trial has no field of this name."""


def changed(trial: Trial, changes: Mapping[str, Any]) -> Trial:
    """Returns the trial with fields changed by name, wherever they live (``place``).

    Numbers may come as text; a similarity may come by name. Raises UserError for an unknown field, listing the known ones.
    """
    for name, value in changes.items():
        trial = _replaced(trial, field_path(trial, name), value)
    return trial


def field_path(trial: Trial, name: str) -> Path:
    """Returns where a field lives: ("tau") in the trial itself, ("method", "tau") in a part.

    A plain name is the trial's own field, else that of the one part that has it; with a dot it names its part, as in
    backbone.frames or backbone.s2s.heads. Raises UserError for an unknown field and for one that several parts have.
    """
    first, *others = path = tuple(name.split("."))
    if others:
        path = path if first != "trial" else tuple(others)
        _check(trial, path, name)
        return path
    if name in _names(trial):
        return path
    homes = [part for part in PARTS if name in _names(getattr(trial, part))]
    if not homes:
        known = sorted({n for part in (trial, *(getattr(trial, home) for home in PARTS)) for n in _names(part)})
        raise Unknown(f"no field {name!r} in this trial; it has {', '.join(known)}")
    if len(homes) > 1:
        raise UserError(f"field {name!r} is in several parts: say {' or '.join(f'{home}.{name}' for home in homes)}")
    return homes[0], name


def value_at(trial: Trial, path: Path) -> Any:
    """Returns the value of the field there."""
    part: Any = trial
    for name in path:
        part = getattr(part, name)
    return part


def leaves(trial: Trial) -> dict[Path, str]:
    """Returns the digest of every field of a trial and its parts, by path, except what is measured."""
    found: dict[Path, str] = {}
    for name in _names(trial):
        part = getattr(trial, name)
        if name in PARTS:
            found |= {(name, field): digest(canonical(getattr(part, field))) for field in _names(part)}
            found[name, "type"] = digest(canonical(type(part).__qualname__))
        elif name not in ("monitor", "evaluations", "benchmark", "protocol", "seed"):
            found[name,] = digest(canonical(part))
    return found


def difference(base: Trial, trial: Trial) -> dict[str, Any]:
    """Returns the changes from the base to the trial, by name; a part of another class is changed whole."""
    before, after = leaves(base), leaves(trial)
    whole = {part for part in PARTS if before[part, "type"] != after[part, "type"]}
    found = {part: getattr(trial, part) for part in PARTS if part in whole}
    for path, mark in after.items():
        if path[0] not in whole and path[-1] != "type" and mark != before.get(path):
            found[".".join(path)] = value_at(trial, path)
    if canonical(base.evaluations) != canonical(trial.evaluations):
        found["evaluations"] = trial.evaluations
    return found


def _check(trial: Trial, path: Path, name: str) -> None:
    part: Any = trial
    for one in path:
        if one not in _names(part):
            known = f"it has {', '.join(_names(part))}" if _names(part) else "it has no fields"
            raise Unknown(f"no field {name!r}: there is no {one!r} in {type(part).__name__}; {known}")
        part = getattr(part, one)


def _replaced(part: Any, path: Path, value: Any) -> Any:
    first, *others = path
    if not others:
        return changed_part(part, {first: value})
    return replace(part, **{first: _replaced(getattr(part, first), tuple(others), value)})


def changed_part(part: Any, changes: Mapping[str, Any]) -> Any:
    """Returns a dataclass with fields of its own changed; see ``changed``."""
    return replace(part, **{n: _coerced(n, getattr(part, n), v, _hint(part.__class__, n)) for n, v in changes.items()})


def _names(part: Any) -> list[str]:
    return [field.name for field in fields(part)] if is_dataclass(part) else []


@cache
def _hint(cls: Any, name: str) -> Any:
    """Returns the type of a field; Any if it cannot be resolved, such as a name imported only for type checks."""
    home = next(one for one in cls.__mro__ if name in inspect.get_annotations(one))
    alone = types.SimpleNamespace(__annotations__={name: inspect.get_annotations(home)[name]})
    try:
        return get_type_hints(alone, vars(sys.modules[home.__module__]))[name]
    except (NameError, TypeError, AttributeError, SyntaxError, KeyError):
        return Any


def _coerced(name: str, current: Any, value: Any, hint: Any) -> Any:
    """Returns the value as a field of this type takes it; text, as from a command line, is read as JSON.

    A value of the type of ``current``, the present value, is accepted too.
    """
    kinds = _kinds(hint) if current is None else _kinds(hint) - {Any} | _kinds(type(current))
    if callable in kinds and isinstance(value, str):
        named = {**SIMILARITIES, "cross_entropy": cross_entropy}  # kl's released form; a search need not try both
        if value not in named:
            raise UserError(f"{name} {value!r} is none of {', '.join(named)}")
        return named[value]
    if isinstance(value, str) and str not in kinds:
        value = _read(name, current, value, kinds)
    elif isinstance(value, str) and None in kinds and value.lower() in ("null", "none"):
        return None
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, float) and int in kinds and float not in kinds:
        raise UserError(f"{name} {value!r}: a whole number is needed")
    if not _fits(value, kinds):
        raise _unlike(name, current, value, kinds)
    return value


def _read(name: str, current: Any, text: str, kinds: set[Any]) -> Any:
    try:
        value = json.loads({"none": "null"}.get(text.lower(), text.lower()))
    except (ValueError, RecursionError):  # the former also of numbers with thousands of digits
        raise _unlike(name, current, text, kinds) from None
    if value is None and None in kinds:
        return None
    if isinstance(value, dict) or kinds <= {object, None, callable}:
        raise UserError(f"{name} cannot be given as text: set its fields, or change it in the study file")
    return value


def _kinds(hint: Any) -> set[Any]:
    """Returns what a field accepts: of bool, int, float, str, tuple, None; callable; object for a part of a study."""
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*(_kinds(one) for one in get_args(hint)))
    if hint is type(None) or hint is None:
        return {None}
    if get_origin(hint) is Literal:
        return {type(one) for one in get_args(hint)}
    plain = get_origin(hint) or hint
    if plain in (bool, str):
        return {plain}
    if plain is int:
        return {int}
    if plain is float:
        return {int, float}
    if plain in (tuple, list, collections.abc.Sequence):
        return {tuple}
    if plain is collections.abc.Callable:
        return {callable}
    if hint is Any:
        return {Any}
    return {callable} if plain is types.FunctionType else {object}


def _fits(value: Any, kinds: set[Any]) -> bool:
    if Any in kinds or value is None:
        return Any in kinds or None in kinds
    if isinstance(value, bool):
        return bool in kinds
    for kind in (int, float, str, tuple):
        if isinstance(value, kind):
            return kind in kinds or (kind is tuple and object in kinds)
    return object in kinds or (callable in kinds and callable(value))


def _unlike(name: str, current: Any, value: Any, kinds: set[Any]) -> UserError:
    if current is not None:
        return UserError(f"{name} {value!r}: a value like {current!r} is needed")
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list", None: "null"}
    said = [word for kind, word in words.items() if kind in kinds and not (kind is int and float in kinds)]
    return UserError(f"{name} {value!r}: {' or '.join(said) or 'another part'} is needed")
