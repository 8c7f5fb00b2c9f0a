"""Ends a run whose cluster has lost its head in a sentence; Ray would end the process after a minute in words of its own."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from skelray.runner import ending

EVERY = 5.0  # seconds between two knocks
KNOCK = 3.0  # seconds for an answer
SILENT = 40.0  # seconds without one, after which the head is lost
ONCE = "once a cluster runs again, the same command goes on from here"
LAST = 10.0  # seconds for the run to write its tables; then the process is ended all the same


@contextmanager
def watching_head(address: str) -> Iterator[None]:
    """Watches the head of the cluster at host:port within the block, and ends the run if it is lost."""
    over = threading.Event()
    threading.Thread(target=_watch, args=(address, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, over: threading.Event) -> None:
    seen, misses = time.monotonic(), 0
    while misses * EVERY < SILENT or time.monotonic() - seen < SILENT:  # a machine that was asleep has missed none
        if over.wait(EVERY):
            return
        if answers(address):
            seen, misses = time.monotonic(), 0
        else:
            misses += 1
    why = f"the head of the cluster at {address} is lost; {ONCE}"
    if ending.end_as_lost(why) and not over.wait(LAST):
        sys.stderr.write(f"skelray: {why}\n")
        sys.stderr.flush()
        os._exit(ending.LOST)


def answers(address: str) -> bool:
    """Returns whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
    except (OSError, ValueError):
        return False
    return True
