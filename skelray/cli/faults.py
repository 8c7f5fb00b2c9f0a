"""How a command ends where something went wrong: in one sentence, with the traceback where it is of use."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from skelray.checks import UserError
from skelray.identity.reads import owner
from skelray.report.printable import make_printable

CAUSED, BUG = 2, 70  # exit statuses: of what a user or the machine causes, and of what nobody expected


def explain_fault(error: BaseException, keep: bool = True) -> tuple[str, int]:
    """Returns what went wrong, and the exit status.

    keep: the traceback goes into a file if it says more than the sentence.
    """
    line = " ".join(str(error).split())
    caused = isinstance(error, (UserError, OSError))
    if caused and not (isinstance(error, UserError) and error.unexpected):
        return line, CAUSED
    kept = _kept(error) if keep else "the traceback is above"
    if caused:
        return f"{line} ({kept})", CAUSED
    file, number = _place(error)
    said = f"{type(error).__name__}{': ' if line else ''}{line}"
    if owner(file) == "own":
        return f"{file}, line {number}: {said}: an error in code of your own; {kept}", BUG
    return f"{said} ({file}, line {number}): a bug of skelray, not of what you gave it; please report it: {kept}", BUG


def _place(error: BaseException) -> tuple[str, int]:
    """Returns the innermost line of a user's own code between the command and the error, else the innermost of skelray's."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    owners = [owner(file) for file, _ in frames]
    inside = range(owners.index("skelray") if "skelray" in owners else 0, len(frames))
    for whose in ("own", "skelray", "library"):
        if found := [frames[at] for at in inside if owners[at] == whose]:
            return found[-1]
    return "", 0


def _kept(error: BaseException) -> str:
    """Keeps the traceback in a file; returns where it is, in words."""
    try:
        handle, name = tempfile.mkstemp(prefix="skelray-", suffix=".traceback")
        with os.fdopen(handle, "w") as file:
            file.write(f"{make_printable(' '.join(sys.argv))}\n\n{format_traceback(error)}")
    except OSError:  # the disk is full
        return "--traceback shows the traceback"
    return f"the traceback is in {name}"


def format_traceback(error: BaseException) -> str:
    """Returns the whole traceback, made safe for a terminal or a file."""
    return make_printable("".join(traceback.format_exception(error)), keep="\n")
