"""What lies in a store: every file with its kind, its size and when it was written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from skelray.store.files import Files

CHECKPOINTS, ENCODERS, SCORES, FIGURES, DAMAGED, OTHERS = "checkpoints", "encoders", "scores", "figures", "damaged", "others"
KINDS = (CHECKPOINTS, ENCODERS, SCORES, FIGURES, DAMAGED, OTHERS)
SHARED = ("weights", "excerpts", "sweeps", "fusions", "packs")  # folders that are of no single trial
_FORMS = (
    (DAMAGED, r".*\.damaged(\.\d+)?"),
    (CHECKPOINTS, r"checkpoint(-\d+)?\.pt"),
    (ENCODERS, r"encoder-\d+\.pt"),
    (SCORES, r"\d+-\w+\.npz"),
    (FIGURES, r"[^.].*\.(json|png)"),
)


@dataclass(frozen=True)
class Entry:
    """A file. trial: the id of the trial or ensemble that it is of, or empty. written: seconds since 1970."""

    name: str
    kind: str
    trial: str
    size: int
    written: float


def inventory(store: Files, folder: str = "") -> list[Entry]:
    """Returns every file of the store, or of a folder in it."""
    start = len(store.path) + 1
    found = (info for info in store.listed(folder, below=True) if info.is_file)
    return [_entry(info.path[start:], info.size or 0, (info.mtime_ns or 0) / 1e9) for info in found]


def _entry(name: str, size: int, written: float) -> Entry:
    folder, _, file = name.partition("/")
    if not file:
        folder, file = "", folder
    trial = "" if folder in SHARED else folder
    forms = _FORMS if trial else _FORMS[:1]
    kind = next((kind for kind, form in forms if re.fullmatch(form, file)), OTHERS)
    return Entry(name, kind, trial, size, written)


def total_size(entries: Iterable[Entry]) -> int:
    """Returns the bytes that all take."""
    return sum(one.size for one in entries)


def size_text(size: float) -> str:
    """Returns bytes as text: 1.5 GiB, 120 MiB, 3 KiB."""
    for unit, bytes in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= bytes:
            return f"{size / bytes:.1f} {unit}"
    return f"{size / 2**10:.0f} KiB"
