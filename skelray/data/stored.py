"""The files of a prepared data set: their names, and reading them with an error in one sentence."""

from __future__ import annotations

import json
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.lib import ArrowException

from skelray.checks import UserError
from skelray.data.benchmark import Split
from skelray.skeleton import Skeleton

FORMAT = 1
SEQUENCES, SAMPLES, ABOUT = "sequences.npy", "samples.parquet", "dataset.json"
COLUMNS = ("name", "label", "subject", "camera", "setup", "replication", "part", "frames", "persons", "source")
COUNTS = ("sequences", "frames", "bodies", "short", "skipped")
DTYPES = ("float32", "float16")
# What numpy raises over the header of a .npy file that is not one: it reads it as a Python expression.
NO_NPY = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    SyntaxError,
    MemoryError,
    ArithmeticError,
    RecursionError,
    tokenize.TokenError,
)


class DataError(UserError):
    """A fault of data, in one sentence for the user."""


def read_about(folder: Path) -> dict[str, Any] | None:
    """Returns a prepared folder's description, None without such a folder. Raises DataError if it is unreadable."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}): prepare {folder.name} again") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(f"{path} is not of format {FORMAT}, the one this version reads: prepare {folder.name} again")
    return about


def read_history(folder: Path) -> dict[str, Any] | None:
    """Returns the description as ``read_about`` does. Raises DataError, too, if it lacks what the data was made from."""
    about = read_about(folder)
    if about is None:
        return None
    counts, source = about.get("counts"), about.get("source")
    told = isinstance(counts, dict) and set(COUNTS) <= set(counts) and isinstance(counts["skipped"], dict)
    if not told or not isinstance(source, dict) or not {"path", "stamp"} <= set(source):
        raise DataError(f"{folder / ABOUT} does not say what {folder.name} was made from: prepare it again")
    return about


def read_sequences(path: Path) -> np.ndarray:
    """Returns the memory-mapped array. Raises DataError if it is truncated, corrupt or not of DTYPES."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = isinstance(array, np.memmap) and array.offset + array.nbytes == path.stat().st_size
    except NO_NPY as error:
        raise DataError(f"{path} is truncated or corrupt ({error}): prepare {path.parent.name} again") from error
    if not whole or array.dtype.name not in DTYPES:
        raise DataError(f"{path} is truncated or corrupt: prepare {path.parent.name} again")
    return array


def read_samples(path: Path) -> pd.DataFrame:
    """Returns the table of samples, with COLUMNS. Raises DataError if it is corrupt or lacks one of them."""
    try:
        samples = pd.read_parquet(path)
    except (OSError, ValueError, ArrowException) as error:
        raise DataError(f"{path} is truncated or corrupt ({error}): prepare {path.parent.name} again") from error
    if "part" not in samples:  # prepared before there was this column
        samples = samples.assign(part=-1)
    if missing := set(COLUMNS) - set(samples.columns):
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}: prepare {path.parent.name} again")
    return samples[list(COLUMNS)]


def skeleton_from(about: Mapping[str, Any]) -> Skeleton:
    """Returns the skeleton that a JSON description holds in full."""
    stored = about["skeleton"]
    return Skeleton(
        name=stored["name"],
        joints=tuple(stored["joints"]),
        bones=tuple((child, parent) for child, parent in stored["bones"]),
        mirror=tuple((left, right) for left, right in stored["mirror"]),
        centre=stored["centre"],
        parts=tuple((name, tuple(joints)) for name, joints in stored["parts"]),
    )


def protocols_from(about: Mapping[str, Any]) -> dict[str, Split]:
    """Returns the protocols that a JSON description holds in full."""
    return {
        name: Split(
            by=stored["by"],
            train=tuple(stored["train"]),
            classes=stored["classes"] and tuple(stored["classes"]),
            test=stored.get("test") and tuple(stored["test"]),
        )
        for name, stored in about["protocols"].items()
    }
