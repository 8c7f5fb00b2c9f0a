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
    """Within it SIGTERM is heard: ``check`` raises Terminated after it, and after GRACE seconds it is raised anywhere."""

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
def keeping_handler() -> Iterator[None]:
    """What is called within it may set a handler of SIGTERM, as ``ray.init`` does, which is taken back.

    Raises Terminated where that handler has raised SystemExit: nothing runs yet that could be saved.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise Terminated from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    check()


def asked() -> bool:
    """Whether the run was asked to end."""
    return _asked.is_set()


def check() -> None:
    """Raises Terminated where the run was asked to end."""
    if asked():
        raise Terminated
