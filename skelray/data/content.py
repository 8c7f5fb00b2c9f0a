"""Whether a prepared data set is what was prepared, by a hash of its arrays, what describes them, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from skelray.data.stored import ABOUT, NO_NPY, SAMPLES, SEQUENCES, DataError, read_about, read_samples

KEYS = ("format", "name", "skeleton", "classes", "persons", "preprocessing", "dtype")  # of what decides the content
CHECKSUM = "checksum"  # of the description, in the description


def fingerprint(sequences: Path, samples: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """Returns a hash of the sequences, their description (except paths) and how they were made; reads the whole file."""
    made = {key: about[key] for key in KEYS if key in about}
    unsaid = ["part"] if (samples["part"] == -1).all() else []  # older data sets keep their fingerprint
    made["samples"] = samples.drop(columns=["source", *unsaid]).to_dict("list")
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode())
    with open(sequences, "rb") as file:
        skip_header(file)
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def sealed(about: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the description with its own checksum."""
    return {**about, CHECKSUM: _checksum(about)}


def check_content(root: Path, name: str) -> None:
    """Raises DataError where a prepared data set is not what was prepared, as when a bit has flipped; reads all of it.

    A description from before there were checksums is believed.
    """
    folder = root / name
    about = read_about(folder)
    if about is None:
        return
    if about.get(CHECKSUM, _checksum(about)) != _checksum(about):
        raise DataError(f"{folder / ABOUT} is not what was prepared, but damaged or changed: prepare {name} again")
    try:
        found = fingerprint(folder / SEQUENCES, read_samples(folder / SAMPLES), about)
    except NO_NPY as error:
        raise DataError(f"{folder} cannot be read ({error}): prepare {name} again") from error
    if found != about.get("fingerprint"):
        beside = f"{folder / SEQUENCES} or {SAMPLES} beside it"
        raise DataError(f"{beside} is not what was prepared, but damaged or changed: prepare {name} again")


def _checksum(about: Mapping[str, Any]) -> str:
    told = {key: value for key, value in about.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def skip_header(file: BinaryIO) -> int:
    """Skips the header of a .npy file and returns its length."""
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return file.tell()
