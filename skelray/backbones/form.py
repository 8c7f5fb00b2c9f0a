"""Which form of a backbone runs: the plain one, or the one in ``cpu/`` that is faster on a CPU, by the same parameters."""

from __future__ import annotations

import os

from torch import Tensor

from skelray.checks import UserError

FORMS = ("plain", "cpu")
SWITCH = "SKELRAY_PLAIN"  # in the environment, neither empty nor 0: the plain form everywhere


def check_form(form: str | None) -> None:
    """Raises UserError for a form that does not exist."""
    if form is not None and form not in FORMS:
        raise UserError(f"form {form!r} is none of {', '.join(FORMS)}; None chooses by size")


def cpu_form(form: str | None, x: Tensor, size: int, least: int) -> bool:
    """Whether the CPU's form is to run on x.

    form: "plain" or "cpu" whatever the size; None takes the CPU's from ``least`` on. ``size`` is that of one sequence, so
    that a trial's settings decide and neither the batch nor a clock: the last batch of an epoch is computed as the others.
    Elsewhere than on a CPU the plain form runs.
    """
    if x.device.type != "cpu" or form == "plain" or os.environ.get(SWITCH, "0") not in ("", "0"):
        return False
    return form == "cpu" or size >= least
