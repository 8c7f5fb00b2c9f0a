"""Atomic replacement of files: a reader sees the old ones or the new ones, never half of one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE = 3600.0  # seconds after which a temporary file has no writer


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Yields a path to write to beside each of ``paths``; moves them all into place, in this order, if the block succeeds.

    Everything is synced to disk before the first move: if a write fails, all old files stay. Temporary files of processes
    killed while they wrote are removed.
    """
    temporary = [path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp") for path in paths]
    try:
        yield temporary
        for place in temporary:
            with place.open("rb") as file:
                os.fsync(file.fileno())
        for place, path in zip(temporary, paths, strict=True):
            os.replace(place, path)
    finally:
        for place, path in zip(temporary, paths, strict=True):
            place.unlink(missing_ok=True)
            _clean(path)


def _clean(path: Path) -> None:
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError):  # it was another run's, and is in its place now
            if stale.stat().st_mtime < time.time() - STALE:
                stale.unlink()
