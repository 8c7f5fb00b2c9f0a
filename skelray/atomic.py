"""Replaces files at once: a reader sees the old ones or the new ones, never half of one."""

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
    """Gives a place to write beside each path, and moves all, in this order, to their paths where the block ends well.

    Everything is on the disk before the first is moved: where a write fails, all old files stay. What processes left that
    were killed while they wrote is removed.
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
