"""Ends a run that SIGTERM asks to end, as when a machine is wanted back: saved, within seconds, with status 143."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 12.0  # seconds that an epoch under way has to end; after them it is cut, and costs what is not saved yet

_asked = threading.Event()


class Terminated(BaseException):
    """The run was asked to end. No Exception, so that no trial takes it for a failure of its own."""


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Heeds SIGTERM within: ``raise_if_asked_to_end`` raises Terminated after it, GRACE seconds later any line does."""

    def ask(number: int, frame: Any) -> None:
        _asked.set()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def cut(number: int, frame: Any) -> None:
        raise Terminated

    before = {one: signal.signal(one, handler) for one, handler in ((signal.SIGTERM, ask), (signal.SIGALRM, cut))}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _asked.clear()
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def restoring_handler() -> Iterator[None]:
    """What is called within it may set a handler of SIGTERM, which is taken back."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def is_asked_to_end() -> bool:
    """Whether the run was asked to end."""
    return _asked.is_set()


def raise_if_asked_to_end() -> None:
    """Raises Terminated where the run was asked to end."""
    if is_asked_to_end():
        raise Terminated
