"""Ends a run that is asked to end by SIGTERM, saved and within seconds, or whose cluster is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 12.0  # seconds that an epoch under way has to end; after them it is cut, and costs what is not saved yet

LOST = 2  # the exit status of a run whose cluster is lost

_asked = threading.Event()
_lost: list[str] = []  # why, in a sentence


class Terminated(BaseException):
    """The run was asked to end. No Exception, so that no trial takes it for a failure of its own."""


class Lost(BaseException):
    """The run cannot go on, whatever it does: its cluster is lost. A sentence."""


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Heeds SIGTERM within the block: Terminated is raised by ``raise_if_asked_to_end``, after GRACE seconds anywhere."""

    def ask(number: int, frame: Any) -> None:
        _asked.set()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def cut(number: int, frame: Any) -> None:
        raise Lost(_lost[0]) if _lost else Terminated

    before = {one: signal.signal(one, handler) for one, handler in ((signal.SIGTERM, ask), (signal.SIGALRM, cut))}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _asked.clear()
        _lost.clear()
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def restoring_handler() -> Iterator[None]:
    """Restores the handler of SIGTERM after the block, which may set one, as ``ray.init`` does.

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
    raise_if_asked_to_end()


def end_as_lost(why: str) -> bool:
    """Raises Lost in the main thread, from any other; whether a run is there that hears it."""
    if signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN, None):
        return False
    _lost.append(why)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
    return True


def is_lost() -> bool:
    """Returns whether the cluster of the run is lost."""
    return bool(_lost)


def is_asked_to_end() -> bool:
    """Returns whether the run was asked to end."""
    return _asked.is_set()


def raise_if_asked_to_end() -> None:
    """Raises Terminated where the run was asked to end."""
    if is_asked_to_end():
        raise Terminated
