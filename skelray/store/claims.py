"""Who works on what in a store now, as locks and tickets tell it; nobody is disturbed by the question."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from skelray.store import lease, lock
from skelray.store.files import Files


class Claim(NamedTuple):
    """A claim in a store. what: a trial's id, or a search's ledger. host, process: of its holder. since: seconds since
    1970, of a lease when it was last renewed. alive: whether it still holds; of a lease from elsewhere as far as the
    clocks agree.
    """

    what: str
    host: str
    process: int
    since: float
    alive: bool


def claims(store: Files) -> list[Claim]:
    """Returns the claims that hold, and leases that their holders have left, the oldest first."""
    found = [*_leases(store), *(_locks(Path(store.path)) if store.local else ())]
    return sorted(set(found), key=lambda one: (one.since, one.what))


def _leases(store: Files) -> Iterator[Claim]:
    for info in store.listed("", below=True):
        if not info.is_file or not lease.is_ticket(info) or (store.whole and not info.size):
            continue
        folder = info.path[len(store.path) + 1 :].rpartition("/")[0].rpartition("/")[0]
        _, host, process, started = info.base_name.split("~")
        written = (info.mtime_ns or 0) / 1e9
        if process.isdecimal():
            alive = lease.lives_here(host, process, started)
            alive = time.time() - written < lease.DEAD + lease.BEAT if alive is None else alive
            yield Claim(folder, host, int(process), written, alive)


def _locks(root: Path) -> Iterator[Claim]:
    """Locks that are held. A file is opened only where its signature is not of a process that has ended here."""
    for path in (*root.glob("*/.lock*"), *root.glob("sweeps/*/.lock*")):
        told = lock.signature(path)
        if told is None or (told["host"] == lock.HOST and not _runs(told["process"])) or not lock.is_held(path):
            continue
        yield Claim(str(path.parent.relative_to(root)), told["host"], told["process"], _moment(told["since"]), True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
