"""Text files: tables of numbers, and the lists that come with the package."""

from __future__ import annotations

import codecs
import json
import warnings
from importlib import resources
from typing import Any

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import LeftOut

# Bytes of a recording: 300 frames of five people are half a million. Empty lists make forty times as many in memory.
MOST_JSON = 2**23
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
START = 100  # bytes that tell the encoding where no mark does


def decode(text: bytes, errors: str = "strict") -> str:
    """Decodes UTF-8, or UTF-16 as the first bytes tell, without a byte-order mark. Raises UnicodeError, if strict."""
    return text.decode(encoding(text), errors)


def encoding(text: bytes) -> str:
    """Returns Python's name of the encoding, by the first bytes: UTF-16 has zeros as every second byte of ASCII letters."""
    for mark, name in MARKS.items():
        if text.startswith(mark):
            return name
    even, odd = text[:START:2], text[1:START:2]
    if 2 * odd.count(0) > len(odd) and 0 not in even:
        return "utf-16-le"
    return "utf-16-be" if 2 * even.count(0) > len(even) and 0 not in odd else "utf-8"


def plain_numbers(text: bytes) -> bytes:
    """Normalises numbers to ASCII with decimal points and white space.

    Removes byte-order marks and UTF-16, treats semicolons as separators, and commas as decimal points if the text has no
    other, else as separators. Raises UnicodeError; LeftOut if a comma may be either.
    """
    plain = decode(text).encode("ascii").replace(b";", b" ")
    if b"," not in plain:
        return plain
    lists = any(word.count(b",") > 1 or word.endswith(b",") for word in plain.split())
    if lists != (b"." in plain) or (lists and b";" in text):
        raise LeftOut("commas that may be decimal points or stand between numbers: points and blanks are expected")
    return plain.replace(b",", b" " if lists else b".")


def parse_json(text: bytes) -> Any:
    """Parses the JSON of a recording. Raises UserError if it is invalid or too long to be one."""
    if len(text) > MOST_JSON:
        raise UserError(f"more than {MOST_JSON} bytes")
    return json.loads(text)


def read_list(file: str) -> tuple[str, ...]:
    """Returns the lines of a list in this package."""
    return tuple(resources.files("skelray.data.formats").joinpath(file).read_text("utf-8").splitlines())


def parse_matrix(text: bytes, columns: int) -> np.ndarray:
    """Parses numbers separated by white space, (rows, columns) float64, however the lines are broken.

    Raises ValueError for anything else in the text and for an incomplete last row.
    """
    try:
        numbers = _numbers(text)
    except ValueError:  # perhaps only an unusual way of writing them
        numbers = _numbers(plain_numbers(text))
    if not len(numbers) or len(numbers) % columns:
        raise UserError(f"{len(numbers)} numbers are not whole rows of {columns}")
    return numbers.reshape(-1, columns)


def _numbers(text: bytes) -> np.ndarray:
    """Parses numbers. Raises UserError for anything else in the text, UnicodeError unless it is ASCII."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's word for text that is no number
        try:
            return np.fromstring(text.decode("ascii"), dtype=np.float64, sep=" ") if text.strip() else np.empty(0)
        except DeprecationWarning as error:
            raise UserError("something else than numbers") from error


def to_float32(numbers: np.ndarray) -> np.ndarray:
    """Converts to float32. Numbers too large for it become infinite, and preparation leaves such a recording out."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
