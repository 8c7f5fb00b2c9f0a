"""A folder for the files of a Ray cluster of one's own, gone when the cluster has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skelray.checks import UserError
from skelray.store import lock

NAME = "skelray-ray"
LONGEST = 36  # of the path above, in bytes: Ray's sockets lie below, and Linux takes 107 for one
HELD = "held"  # a file in it that its run has locked while it lives
ROOM = 64 * 2**20  # bytes that a cluster needs for logs and sockets at least


@contextmanager
def folder_for_ray(parent: Path | None = None) -> Iterator[Path]:
    """Makes a new folder below the parent, by default the machine's for temporary files.

    Raises UserError where Ray could not live there. What killed runs of the same user have left is removed.
    """
    parent = Path(tempfile.gettempdir() if parent is None else parent).absolute()
    way = "give a folder for Ray's files with --ray-tmp"
    if len(os.fsencode(parent)) > LONGEST:
        raise UserError(f"{parent} is too long a path for Ray's sockets: {way} of at most {LONGEST} characters")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _clean(parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-{os.getpid()}-", dir=parent))
    except OSError as error:
        raise UserError(f"Ray cannot keep its files in {parent} ({error.strerror}): {way} that can be written to") from error
    try:
        if (free := shutil.disk_usage(folder).free) < ROOM:
            raise UserError(f"Ray cannot keep its files in {parent}: {free / 2**20:.0f} MiB are free; {way} that has room")
        with _marked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _marked(folder: Path) -> Iterator[None]:
    """Locks a file in the folder; where the file system has no locks, nobody takes the folder for left behind."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(lock.hold_lock_at_once(folder / ".held"))
            (folder / ".held").rename(folder / HELD)  # it is locked as soon as it is there
        yield


def _clean(parent: Path) -> None:
    """Removes folders whose run is over, by their lock: a process number means nothing to a run in another container."""
    for left in parent.glob(f"{NAME}-*-*"):
        with contextlib.suppress(OSError):
            if left.stat().st_uid == os.getuid() and (left / HELD).exists():
                with lock.hold_lock_at_once(left / HELD):
                    shutil.rmtree(left, ignore_errors=True)
