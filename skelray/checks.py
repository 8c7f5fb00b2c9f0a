"""Checks of settings where they are given: an impossible value is refused with the value and the rule."""

from __future__ import annotations

import math
import unicodedata
from typing import Any


class UserError(ValueError):
    """An invalid input of the user's: one sentence with the value and the rule, printed by the command line as it is.

    unexpected: the error was not foreseen, such as one in a study's own code, so that its traceback is useful.
    """

    unexpected = False


MOST = 10**7  # of epochs, samples, frames, features, ...: beyond it time and memory end, and then 64 bits
MOST_SEEDS, MOST_TRIALS = 1000, 100_000  # of a study
MOST_THREADS = 1024  # of a process; torch crashes where it cannot start them
MOST_SEED = 2**63 - 1  # what a table's column holds


def check_whole(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Raises UserError unless ``value`` is a whole number from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} {quote_value(value)}: a whole number, at least {least}, is needed")
    if value > most:
        raise UserError(f"{name} {quote_value(value)}: a whole number, at most {most}, is needed")


def check_label(name: str, value: Any) -> None:
    """Raises UserError unless ``value`` is one line of visible text."""
    if not isinstance(value, str):
        raise UserError(f"{name} {quote_value(value)}: text is needed, as in {str(value)[:60]!r}")
    if not value.strip() or value != value.strip():
        raise UserError(f"{name} {value!r}: text is needed, without blanks at its ends")
    if wrong := next((sign for sign in value if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")), None):
        raise UserError(f"{name} {value!r}: {wrong!r} cannot be seen in a table; leave it out")


def quote_value(value: Any) -> str:
    """Returns the value as an error message quotes it, cut if it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number with thousands of digits
        return f"of {value.bit_length()} bits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_number(name: str, value: Any, least: float) -> None:
    """Raises UserError unless ``value`` is a finite number of at least ``least``."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < math.inf:
        raise UserError(f"{name} {value!r}: a number, at least {least:g}, is needed")


def check_positive(name: str, value: Any) -> None:
    """Raises UserError unless ``value`` is a finite number above 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise UserError(f"{name} {value!r}: a number above 0 is needed")


def check_each(name: str, values: Any, kind: type, example: str) -> None:
    """Raises UserError unless ``values`` is a tuple whose items are all of this kind."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(value, kind) for value in values):
        raise UserError(f"{name} {values!r}: a tuple is needed, as in {name}={example}")
