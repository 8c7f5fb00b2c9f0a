"""The numbers in which trials of one structure may differ, so that one step serves them all, each reading its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from skelray.augment import CannotCapture
from skelray.engine.preflight import is_own_code
from skelray.identity.canonical import canonical, digest
from skelray.trial import SGD, Trial

Path = tuple[str | int, ...]  # names of fields and places in tuples, from a method down to a number


def tunable_numbers(part: Any) -> dict[Path, float]:
    """Returns the numbers of a method and of its augmentations that a step may read from tensors.

    Each of skelray's classes names its own in NUMBERS; what a study file defines has none.
    """
    if isinstance(part, (tuple, list)):
        return {(i, *path): value for i, one in enumerate(part) for path, value in tunable_numbers(one).items()}
    if not is_dataclass(part) or isinstance(part, type) or not is_own_code(type(part)):
        return {}
    found: dict[Path, float] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name in getattr(part, "NUMBERS", ()):
            found[(field.name,)] = float(value)
        else:
            found |= {(field.name, *path): below for path, below in tunable_numbers(value).items()}
    return found


def with_numbers(part: Any, values: Mapping[Path, Any]) -> Any:
    """Returns a copy with other numbers at these paths, tensors as well, and without checks."""
    if () in values:
        return values[()]
    below: dict[str | int, dict[Path, Any]] = {}
    for (first, *rest), value in values.items():
        below.setdefault(first, {})[tuple(rest)] = value
    if isinstance(part, (tuple, list)):
        return type(part)(with_numbers(one, below[i]) if i in below else one for i, one in enumerate(part))
    changed = copy.copy(part)
    for name, inner in below.items():
        object.__setattr__(changed, str(name), with_numbers(getattr(part, str(name)), inner))
    return changed


def shape_digest(trial: Trial) -> str:
    """Returns a digest of what trials of one step have in common: all but seed, length, evaluations and numbers.

    Raises CannotCapture for an optimizer that is not skelray's own.
    """
    if type(trial.optimizer) is not SGD:
        raise CannotCapture(f"its optimizer is {type(trial.optimizer).__name__}, not skelray's SGD")
    blank = replace(trial, seed=0, epochs=1, evaluations=(), monitor=None, optimizer=SGD(), imported=None)
    method = with_numbers(trial.method, dict.fromkeys(tunable_numbers(trial.method), 0))
    content = canonical(blank) | {"method": canonical(method)}
    content |= {"nesterov": trial.optimizer.nesterov, "momentum": trial.optimizer.momentum > 0}
    return digest(content | {"monitored": trial.monitor is not None, "trains": trial.epochs > 0})
