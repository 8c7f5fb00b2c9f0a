"""Settings that cannot be are refused where they are given, with the value and the rule."""

from __future__ import annotations

import math
from typing import Any


class UserError(ValueError):
    """What a user gave cannot be: one sentence with the value and the rule, which the command line prints as it is."""


def check_whole(name: str, value: Any, least: int) -> None:
    """Raises UserError for what is no whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} {value!r}: a whole number, at least {least}, is needed")


def check_number(name: str, value: Any, least: float) -> None:
    """Raises UserError for what is no finite number of at least so much."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < math.inf:
        raise UserError(f"{name} {value!r}: a number, at least {least:g}, is needed")


def check_positive(name: str, value: Any) -> None:
    """Raises UserError for what is no finite number above 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise UserError(f"{name} {value!r}: a number above 0 is needed")


def check_each(name: str, values: Any, kind: type, example: str) -> None:
    """Raises UserError for what is no tuple of such values."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(value, kind) for value in values):
        raise UserError(f"{name} {values!r}: a tuple is needed, as in {name}={example}")
