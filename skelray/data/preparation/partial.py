"""A half-prepared data set on disk: it grows by recordings, survives a kill, and becomes whole atomically."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.data import content
from skelray.data.stored import ABOUT, COLUMNS, DTYPES, SAMPLES, SEQUENCES

SETTINGS, JOURNAL = "settings.json", "journal.jsonl"
BLOCK = 64  # recordings between two writes: what a kill can cost

Entry = dict[str, Any]


class Partial:
    """The folder ``.<name>.partial`` beside a target: an array, and a journal of one line for each finished recording.

    No data set's name begins with a point, so that half-finished work never takes another's place.

    An entry with a "reason" was skipped; every other one is a row of ``samples`` and the next sequence of the array. The
    array
    is written before the journal, so it holds all that the journal does. Memory holds only what was added since the last
    write.

    settings: what decides the content; a folder left behind by other settings is deleted.
    shape: of one sequence, (C, T, V, M). done: entries so far. kept: sequences so far.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
        self.folder, self.settings, self.shape = folder, settings, shape
        self.dtype = np.dtype(settings.get("dtype", DTYPES[0]))
        self.done = self.kept = 0
        self._blocks: list[np.ndarray] = []
        self._lines: list[str] = []
        if not self._resume():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._write_header(0)
            (folder / JOURNAL).touch()
            (folder / SETTINGS).write_text(json.dumps(settings))

    def add(self, entry: Entry, sequence: np.ndarray | None = None) -> None:
        """Adds a finished recording; ``sequence`` is missing if it was skipped."""
        self._lines.append(json.dumps(entry) + "\n")
        self.done += 1
        if sequence is not None:
            self._blocks.append(np.ascontiguousarray(sequence, dtype=self.dtype).reshape(self.shape))
            self.kept += 1
        if len(self._lines) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Writes everything added to disk."""
        with open(self.folder / SEQUENCES, "ab") as file:
            file.writelines(block.data for block in self._blocks)
        with open(self.folder / JOURNAL, "a", encoding="utf-8") as file:
            file.writelines(self._lines)
        self._blocks, self._lines = [], []

    def entries(self) -> Iterator[Entry]:
        """Yields all entries, from disk."""
        self.flush()
        with open(self.folder / JOURNAL, encoding="utf-8") as file:
            yield from map(json.loads, file)

    def finish(self, target: Path, about: dict[str, Any]) -> str:
        """Replaces the target by this folder and returns its fingerprint. about: its description."""
        self.flush()
        self._write_header(self.kept)
        samples = self._samples()
        samples.to_parquet(self.folder / SAMPLES, index=False)
        fingerprint = content.fingerprint(self.folder / SEQUENCES, samples, self.settings)
        description = content.sealed({**about, "fingerprint": fingerprint})
        (self.folder / ABOUT).write_text(json.dumps(description, indent=1), encoding="utf-8")
        for file in (SEQUENCES, SAMPLES, ABOUT):
            with open(self.folder / file, "rb") as stream:
                os.fsync(stream.fileno())
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        self.folder.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        (target / JOURNAL).unlink(missing_ok=True)
        (target / SETTINGS).unlink(missing_ok=True)
        return fingerprint

    def _samples(self) -> pd.DataFrame:
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        for entry in self.entries():
            if "reason" not in entry:
                for name, values in columns.items():
                    values.append(entry[name])
        return pd.DataFrame(columns)

    def _resume(self) -> bool:
        """Continues what is on disk if it is sound and was begun with the same settings; returns whether it is."""
        try:
            if json.loads((self.folder / SETTINGS).read_bytes()) != self.settings:
                return False
            done, kept, whole = _count(self.folder / JOURNAL)
            with open(self.folder / SEQUENCES, "r+b") as file:
                size = content.skip_header(file) + kept * int(np.prod(self.shape)) * self.dtype.itemsize
                if file.seek(0, os.SEEK_END) < size:
                    raise UserError("the array is behind its journal")
                file.truncate(size)
        except (OSError, ValueError, TypeError):
            return False
        os.truncate(self.folder / JOURNAL, whole)
        self.done, self.kept = done, kept
        return True

    def _write_header(self, count: int) -> None:
        """Writes the .npy header of ``count`` sequences, in which numpy leaves room for the count to grow."""
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (count, *self.shape)}
        path = self.folder / SEQUENCES
        with open(path, "r+b" if path.exists() else "w+b") as file:
            room = content.skip_header(file) if path.stat().st_size else None
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)
            if room is not None and file.tell() != room:
                raise OSError(f"the header of {path} does not fit: {file.tell()} bytes instead of {room}")


def _count(journal: Path) -> tuple[int, int, int]:
    """Returns a journal's complete entries, how many are sequences, and their bytes: the last line may be torn."""
    done = kept = whole = 0
    with open(journal, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            kept += "reason" not in json.loads(line)
            done, whole = done + 1, whole + len(line)
    return done, kept, whole


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Waits until no other process holds the lock, and holds it in the block; a killed process releases it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
