"""What the names of samples, files and folders tell about their contents."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from skelray.data.benchmark import Recording, Skipped
from skelray.data.formats import ntu

NTU_NAME = re.compile(r"(S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3}))(?:\.skeleton)?(?:_rgb(?:\.avi)?)?")
PKU_NAME = re.compile(r"([AF]\d{2,3}(?:N(\d{3}))?V(\d{3})C(\d{3})L\d{3})(?:\.skeleton)?")  # as AimCLR writes them
PROTOCOLS = (  # what names of files and folders say of the protocol that divides them
    ("xsub", re.compile(r"x_?sub|c_?sub|cross[-_]?subject|(?<![a-z])cs(?![a-z])")),
    ("xview", re.compile(r"x_?view|c_?view|cross[-_]?view|(?<![a-z])cv(?![a-z])")),
    ("xset", re.compile(r"x_?set|c_?set|cross[-_]?setup")),
)
OWN = "own"  # the protocol where nothing says which it is


def named(name: str, bodies: np.ndarray, label: int) -> Recording | Skipped:
    """Returns a recording with the attributes in its name. NTU's names count actions from 1."""
    if match := NTU_NAME.fullmatch(name):
        setup, camera, subject, replication, action = map(int, match.groups()[1:])
        if match[1] in ntu.missing_skeletons():
            return Skipped(match[1], "in the list of missing skeletons")
        if action - 1 != label:
            return Skipped(match[1], "its label is not the action of its name")
        return Recording(match[1], bodies, label, subject, camera, setup, replication)
    if match := PKU_NAME.fullmatch(name):
        return Recording(match[1], bodies, label, int(match[2] or -1), int(match[3]), int(re.findall(r"\d+", name)[0]))
    return Recording(name, bodies, label)


def protocol_of(path: Path) -> str:
    """Returns the protocol named by a file or its folder."""
    for words in (path.stem.lower(), path.parent.name.lower()):
        for name, pattern in PROTOCOLS:
            if pattern.search(words):
                return name
    return OWN


def stem_of(path: Path) -> str:
    """Returns a data set's name from a file or folder, or from its parent if it is named for its protocol."""
    if any(pattern.fullmatch(path.name.lower()) for _, pattern in PROTOCOLS):
        path = path.parent
    return re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") or "arrays"
