"""A lock that one process holds at a time, and that says who holds it."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypedDict

ABSENT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # how a file system without locks says so
HOST = socket.gethostname()
PAUSE = 0.2  # seconds between two tries of one who waits
ASKED = 0.05  # seconds after which one who only asks whether a lock is held has let go of it

log = logging.getLogger("skelray")


@contextlib.contextmanager
def hold_lock(path: Path, what: str, free: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Holds the lock at a path, after waiting for it if need be, until the process ends however it ends.

    what: what it is wanted for, in a line that is logged as soon as it has to wait. free: asked while it waits, whether
    it is no longer needed. Raises BlockingIOError if so.
    """
    with open(path, "a+") as lock:
        if not _taken(lock):
            log.warning("%s waits for %s", what, read_holder(path))
            while not _taken(lock):
                if free():
                    raise BlockingIOError(f"{path} is no longer needed")
                time.sleep(PAUSE)
        _sign(lock)
        yield


@contextlib.contextmanager
def hold_lock_at_once(path: Path) -> Iterator[None]:
    """Holds the lock at a path without waiting. Raises BlockingIOError if another process has it."""
    with open(path, "a+") as lock:
        if not _taken(lock):
            time.sleep(ASKED)  # it may only have been asked about
            if not _taken(lock):
                raise BlockingIOError(read_holder(path))
        _sign(lock)
        yield


def locks_work(path: Path) -> bool:
    """Returns whether the file system has locks; some shared ones have none."""
    try:
        with open(path, "a+") as lock:
            _taken(lock)
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise
    return True


def _taken(lock: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(lock: IO[str]) -> None:
    """Leaves who holds it. A full disk keeps nobody from working."""
    now = datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds")
    with contextlib.suppress(OSError):
        lock.truncate(0)
        lock.write(json.dumps({"process": os.getpid(), "host": HOST, "since": now}))
        lock.flush()


def is_held(path: Path) -> bool:
    """Returns whether another process holds the lock now."""
    try:
        with open(path, "a+") as lock:
            return not _taken(lock, fcntl.LOCK_SH)  # so that two who ask do not take each other for a holder
    except OSError:
        return False


class Signature(TypedDict):
    """What the last holder of a lock has left in its file. since: a moment as text."""

    process: int
    host: str
    since: str


def signature(path: Path) -> Signature | None:
    """Returns it; None where there is none that can be read."""
    try:
        told = json.loads(path.read_text())
        return {"process": int(told["process"]), "host": f"{told['host']!s:.80}", "since": f"{told['since']!s:.40}"}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_holder(path: Path) -> str:
    """Returns who holds a lock, as far as they have told."""
    told = signature(path)
    if told is None:
        return f"another process, which has {path.parent}"
    return f"process {told['process']} on {told['host']}, which has {path.parent} since {told['since']}"
