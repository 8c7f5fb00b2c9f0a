"""The cells of a table as texts, whole numbers and coordinates, in the many ways that programs write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from skelray.data.stored import DataError

# What programs write where there is nothing, in small letters.
SHEET = ("#n/a", "#na", "#null!", "#value!", "#num!", "#div/0!", "#ref!", "#name?")  # a spreadsheet
SIGNS = ("-", "--", "\u2013", "\u2014", "?", ".")
NO_NAME = frozenset(("", "na", "n/a", "<na>", "nan", "<nan>", "(null)", *SIGNS, *SHEET))
PERHAPS = frozenset(("none", "null", "nil", "missing", "unknown"))  # which are classes, too: of no gesture, say
NOTHING = NO_NAME | PERHAPS
INFINITE = ("inf", "infinity")  # of a whole number: a division by nothing
INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")  # of no width
WHOLE = re.compile(r"[+-]?[0-9]{1,18}(?:[.,]0*)?")
NEGATIVE = re.compile(r"-0*[1-9][0-9]*(?:[.,]0*)?")  # of a label: that there is none
NUMBER = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
EMPTY = np.iinfo(np.int64).min  # of a whole number


def normalised(written: str) -> str:
    """Normalises a text: no outer blanks, single inner ones, Unicode letters in one form."""
    return " ".join(unicodedata.normalize("NFC", INVISIBLE.sub("", written)).split())


def read_texts(column: pa.Array, name: str) -> np.ndarray:
    """Returns normalised texts, "" for empty cells. Raises DataError if the column cannot be text."""
    try:
        if pa.types.is_floating(column.type):  # 3.0 is the label 3
            column = column.cast(pa.int64())
        column = column.cast(pa.string())
    except (pa.ArrowException, NotImplementedError) as error:
        raise DataError(f"the column {name} must hold texts ({' '.join(str(error).split())})") from error
    return _each(column, lambda cell: "" if (name := normalised(cell)).lower() in NO_NAME else name, "", object)


def whole(column: pa.Array, name: str) -> np.ndarray:
    """Returns whole numbers, EMPTY for empty cells. Raises DataError for anything else."""

    def number(cell: str) -> int:
        if nothing(cell) or normalised(cell).lower().lstrip("+-") in INFINITE:
            return EMPTY
        if WHOLE.fullmatch(cell.strip()):
            return _whole(cell)
        raise DataError(f"the column {name} must hold whole numbers, and holds {cell[:50]!r}")

    return _numbers(column, name, number)


def keys(column: pa.Array, name: str, numbered: tuple[str, ...]) -> np.ndarray:
    """Returns whole numbers from 0 or, for texts in ``numbered``, their place from 1; -1 for neither.

    Raises DataError for numbers that are not whole.
    """
    places = {text: place for place, text in enumerate(numbered, start=1)}

    def number(cell: str) -> int:
        if numbered:
            return places.get(normalised(cell), -1)
        if WHOLE.fullmatch(cell.strip()):
            return max(_whole(cell), -1)
        if NUMBER.fullmatch(cell.strip()):
            raise DataError(f"the column {name} must hold whole numbers, and holds {cell[:50]!r}")
        return -1

    numbers = _numbers(column, name, number)
    return np.where(numbers < 0, -1, numbers)


def nothing(cell: str) -> bool:
    """Returns whether a cell that is no name counts as empty."""
    return normalised(cell).lower() in NOTHING


def _whole(cell: str) -> int:
    return int(re.split("[.,]", cell.strip())[0])


def _numbers(column: pa.Array, name: str, number: Callable[[str], int]) -> np.ndarray:
    if _is_text(column):
        return _each(column, number, EMPTY, np.int64)
    if pa.types.is_boolean(column.type):
        raise DataError(f"the column {name} must hold whole numbers, and holds truth values")
    if pa.types.is_floating(column.type):
        column = pa.compute.if_else(pa.compute.is_finite(column), column, None)
    try:
        return column.cast(pa.int64()).fill_null(EMPTY).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, NotImplementedError) as error:
        raise DataError(f"the column {name} must hold whole numbers ({' '.join(str(error).split())})") from error


def _each(column: pa.Array, read: Callable[[str], Any], empty: Any, dtype: Any) -> np.ndarray:
    """Returns ``read`` of each text, called once for equal ones."""
    encoded = column.dictionary_encode()
    found = np.array([*(read(cell) for cell in encoded.dictionary.to_pylist()), empty], dtype)
    return found[encoded.indices.fill_null(len(found) - 1).to_numpy(zero_copy_only=False)]


def _is_text(column: pa.Array) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


@dataclass
class Coordinates:
    """Reads the columns of coordinates of one table, which has one decimal mark throughout.

    commas: whether it may be a comma, which is impossible if commas separate the columns.
    """

    commas: bool
    _marks: dict[str, str] = field(default_factory=dict)  # a cell that shows it, of each mark

    def __call__(self, column: pa.Array, name: str) -> np.ndarray:
        """Returns (rows,) float64, NaN for empty cells. Raises DataError for a cell that is no number."""
        if not _is_text(column):
            if pa.types.is_boolean(column.type):
                raise DataError(f"the column {name} must hold numbers, and holds truth values")
            return self._cast(column, name)
        if self.commas:
            for mark in ".,":
                self._see(mark, column)
        try:
            return self._floats(column)
        except pa.ArrowException:
            return self._cast(self._usual(column, name), name)

    def _usual(self, column: pa.Array, name: str) -> pa.Array:
        """Returns the texts of numbers with a decimal point and without blanks, null if empty."""
        stripped = pa.compute.utf8_trim_whitespace(column)
        empty = pa.compute.is_in(pa.compute.utf8_lower(stripped), pa.array([*NOTHING]))
        stripped = pa.compute.if_else(empty, None, stripped)
        number = rf"^(?:{NUMBER.pattern}|[+-]?(?i:inf(?:inity)?))$"
        if len(odd := stripped.filter(pa.compute.invert(pa.compute.match_substring_regex(stripped, number)))):
            raise DataError(f"the column {name} must hold numbers, and holds {odd[0].as_py()[:50]!r}")
        if not self.commas and len(odd := stripped.filter(pa.compute.match_substring(stripped, ","))):
            raise DataError(
                f"the column {name} must hold numbers, and holds {odd[0].as_py()[:50]!r}: where commas separate the "
                f"columns, a number is written with a point"
            )
        return pa.compute.replace_substring_regex(pa.compute.replace_substring(stripped, ",", "."), r"^\+", "")

    def _see(self, mark: str, column: pa.Array) -> None:
        if mark not in self._marks and len(found := column.filter(_holds(column, mark))):
            self._marks[mark] = found[0].as_py()[:50]
        if len(self._marks) > 1:
            raise DataError(
                f"numbers are written both with a point and with a comma, such as {self._marks['.']!r} and "
                f"{self._marks[',']!r}: write all alike, as it cannot be told which is 1.5 and which 1500"
            )

    def _cast(self, column: pa.Array, name: str) -> np.ndarray:
        try:
            return self._floats(column)
        except (pa.ArrowException, NotImplementedError) as error:
            raise DataError(f"the column {name} must hold numbers ({' '.join(str(error).split())})") from error

    def _floats(self, column: pa.Array) -> np.ndarray:
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _holds(column: pa.Array, mark: str) -> pa.Array:
    """Returns whether each cell holds the mark and more."""
    return pa.compute.match_substring_regex(column, rf"[0-9]\{mark}|\{mark}[0-9]")
