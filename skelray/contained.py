"""Calls into a study's own code, which can raise nothing but an ordinary error.

StopIteration, GeneratorExit, SystemExit and other exceptions that are no ``Exception`` would be taken for the end of a
loop, a generator or the program: they would silently shorten an epoch, or end a run with status 0.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Escaped(RuntimeError):
    """An exception of a study's own code that would have ended a loop or the program; the message says what and where."""


def call_contained(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls the function. Raises Escaped for what would end more than the call; KeyboardInterrupt passes."""
    try:
        return function(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        found = _swallowed(error)
        if found is None or _from_outside(found):
            raise
        raise Escaped(_told(found)) from found


def _swallowed(error: BaseException) -> BaseException | None:
    """Returns the exception that a loop, a generator or the interpreter would swallow, None for an ordinary error."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, (StopIteration, StopAsyncIteration)):
        return error.__cause__  # a generator has turned it into an error on the way
    if isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration)):
        return None
    return error


def _from_outside(error: BaseException) -> bool:
    """Returns whether Ray or the run itself raised it, as they do to end a worker or a run."""
    frames = list(traceback.walk_tb(error.__traceback__))
    module = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    return module.partition(".")[0] == "ray" or module == "skelray.runner.ending"


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    said = f" ({' '.join(str(error).split())})" if str(error).strip() else ""
    return f"{type(error).__name__}{said} was raised{where}: it would end a loop or the program in silence"
