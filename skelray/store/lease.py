"""Claims without file locks: tickets in a folder of the store that their holders renew while they live.

Who wants a claim puts a ticket and lists the folder: alone there, it holds the claim; else it takes its ticket back and
tries again. So of two that come at once none or one gets it, on any store whose listings show what was written. A holder
that is gone is told by a ticket that no one renews, by the clock of who waits, or by its process where that ran here. No
clock of another machine is believed, and none but the monotonic one. On an object store a ticket is taken back by emptying
it, which is one request; the next holder removes it. No ticket is put twice under one name, so an empty one stays empty.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import fs

    from skelray.store.files import Files

BEAT = 15.0  # seconds between two renewals
DEAD = 60.0  # seconds without one, after which a holder is gone
PAUSE = 2.0  # seconds between two looks of one who waits
LOOKS = 3  # at which one that does not wait has seen the same ticket, before it gives way

HOST = re.sub(r"[^\w.-]", "_", socket.gethostname())  # as it stands in a ticket

log = logging.getLogger("skelray")

_ASKED: set[str] = set()  # tickets of this process, but for those that it has no use for and could not take back


@contextlib.contextmanager
def hold_lease(files: Files, folder: str, what: str, free: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Holds the claim of a folder, after waiting for it if need be.

    what and free: as for ``lock.held``. Raises BlockingIOError where it is no longer needed.
    """
    with _Tickets(files, folder) as tickets:
        told = False
        while (other := tickets.take()) is not None:
            if not told:
                log.warning("%s waits for %s", what, _who(other, folder))
                told = True
            if free():
                raise BlockingIOError(f"{folder} is no longer needed")
            time.sleep(PAUSE * random.uniform(0.5, 1.5))
        with tickets.renewed():
            yield


@contextlib.contextmanager
def hold_lease_at_once(files: Files, folder: str) -> Iterator[None]:
    """Holds the claim of a folder, without waiting for a living holder. Raises BlockingIOError if another process has it.

    Of two that come at once each sees the other's ticket and takes its own back; who still has one some looks later holds
    the claim.
    """
    with _Tickets(files, folder) as tickets:
        until, seen = time.monotonic() + DEAD + BEAT, Counter[str]()
        while (other := tickets.take()) is not None:
            seen[other] += 1
            if (seen[other] >= LOOKS and tickets.lives(other)) or time.monotonic() > until:
                raise BlockingIOError(_who(other, folder))
            time.sleep(PAUSE * random.uniform(0.5, 1.5))
        with tickets.renewed():
            yield


class _Tickets:
    """The tickets of a folder, and this process's own while it has one."""

    def __init__(self, files: Files, folder: str) -> None:
        self.files, self.folder, self.mine, self._tried = files, folder, False, False
        self.name, self._empty = "", set[str]()  # those that others have taken back, and that still lie there
        self._seen: dict[str, tuple[Any, float, bool]] = {}  # when written, since when by our clock, and whether renewed

    def __enter__(self) -> _Tickets:
        return self

    def __exit__(self, *exception: object) -> None:
        self._back()

    def take(self) -> str | None:
        """Takes the claim; returns who else has it, or wants it now. Later tries look before they ask for it."""
        if self._tried and (other := self._other()) is not None:
            return other
        self._tried = True
        self.name = f"{uuid.uuid4().hex[:12]}~{HOST}~{os.getpid()}~{_started(os.getpid())}"
        _ASKED.add(self.name)
        self._renew()
        if (other := self._other()) is not None:
            self._back()
        else:
            self._sweep()
        return other

    def lives(self, ticket: str) -> bool:
        """Returns whether its holder has shown that it lives: it runs here, or has renewed it while this process waited."""
        _, host, process, started = ticket.split("~")
        return bool(lives_here(host, process, started)) or self._seen.get(ticket, (None, 0.0, False))[2]

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with contextlib.suppress(OSError):  # the next may be written
                    self._renew()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew(self) -> None:
        self.mine = True
        self.files.write(f"{self.folder}/{self.name}", uuid.uuid4().hex.encode())

    def _back(self) -> None:
        _ASKED.discard(self.name)
        if self.mine:
            self.mine = False
            with contextlib.suppress(OSError):
                if self.files.whole:
                    self.files.write(f"{self.folder}/{self.name}", b"")
                else:
                    self.files.remove(f"{self.folder}/{self.name}")

    def _sweep(self) -> None:
        """Removes what would make every listing longer."""
        while self._empty:
            with contextlib.suppress(OSError):  # the next holder may
                self.files.remove(f"{self.folder}/{self._empty.pop()}")

    def _other(self) -> str | None:
        """Returns a ticket of another process that is not known to be gone; tickets of the dead are removed."""
        for info in self.files.listed(self.folder):
            ticket = info.base_name
            if ticket == self.name or not is_ticket(info):
                continue
            if self.files.whole and not info.size:
                self._empty.add(ticket)
                continue
            if not self._gone(ticket, info.mtime):
                return ticket
            self.files.remove(f"{self.folder}/{ticket}")
        return None

    def _gone(self, ticket: str, written: Any) -> bool:
        _, host, process, started = ticket.split("~")
        if (alive := lives_here(host, process, started)) is not None:
            return not alive or (int(process) == os.getpid() and ticket not in _ASKED)
        now = time.monotonic()
        before, since, renewed = self._seen.get(ticket, (written, now, False))
        if before != written:
            since, renewed = now, True
        self._seen[ticket] = written, since, renewed
        return now - since > DEAD


def is_ticket(info: fs.FileInfo) -> bool:
    """Returns whether a file of a store is a ticket, and not one that is being written."""
    return not info.base_name.startswith(".") and info.base_name.count("~") == 3


def lives_here(host: str, process: str, started: str) -> bool | None:
    """Returns whether the process of a ticket still runs, where it ran on this machine; else None."""
    if host != HOST or not process.isdecimal():
        return None
    return _started(int(process)) == started


def _started(process: int) -> str:
    """Returns when a process of this machine started, in ticks since it booted; empty if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _who(ticket: str, folder: str) -> str:
    _, host, process, _ = ticket.split("~")
    return f"process {process} on {host}, which has {folder}"
