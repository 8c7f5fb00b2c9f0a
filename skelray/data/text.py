"""Text files: tables of numbers, and the lists that come with the package."""

from __future__ import annotations

import json
import warnings
from importlib import resources
from typing import Any

import numpy as np

from skelray.checks import UserError

# Bytes of a recording: 300 frames of five people are half a million. Empty lists make forty times as many in memory.
MOST_JSON = 2**23


def parsed(text: bytes) -> Any:
    """The JSON of a recording. Raises UserError where it is none, or too long to be one."""
    if len(text) > MOST_JSON:
        raise UserError(f"more than {MOST_JSON} bytes")
    return json.loads(text)


def listed(file: str) -> tuple[str, ...]:
    """The lines of a list in this package."""
    return tuple(resources.files("skelray.data").joinpath(file).read_text("utf-8").splitlines())


def matrix(text: bytes, columns: int) -> np.ndarray:
    """Numbers with white space between them, (rows, columns) float64, however the lines are broken.

    Raises UserError where anything else stands in the text, and where the last row is not whole.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's word for text that is no number
        try:
            numbers = np.fromstring(text.decode("ascii"), dtype=np.float64, sep=" ") if text.strip() else np.empty(0)
        except DeprecationWarning as error:
            raise UserError("something else than numbers") from error
    if not len(numbers) or len(numbers) % columns:
        raise UserError(f"{len(numbers)} numbers are not whole rows of {columns}")
    return numbers.reshape(-1, columns)


def single(numbers: np.ndarray) -> np.ndarray:
    """As float32. What is too large for it becomes infinite; preparing leaves such a recording out."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
