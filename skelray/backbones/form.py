"""The choice of a backbone's form, plain or for a CPU or GPU, on the same parameters."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from skelray.checks import UserError

FORMS = ("plain", "cpu", "gpu")
SWITCH = "SKELRAY_PLAIN"  # in the environment, neither empty nor 0: the plain form everywhere


def check_form(form: str | None) -> None:
    """Raises UserError for a form that does not exist."""
    if form is not None and form not in FORMS:
        raise UserError(f"form {form!r} is none of {', '.join(FORMS)}; None chooses by device and size")


def cpu_form(form: str | None, x: Tensor, size: int, least: int) -> bool:
    """Returns whether the CPU's form runs on x.

    form: "plain" or "cpu" decides whatever the size; None chooses the CPU's from ``least`` on. ``size`` is that of one
    sequence, so that a trial's settings decide and not the batch: an epoch's last batch is computed as the others.
    """
    if x.device.type != "cpu" or form in ("plain", "gpu") or _plain_everywhere():
        return False
    return form == "cpu" or size >= least


def gpu_form(form: str | None, x: Tensor) -> bool:
    """Returns whether the GPU's form runs on x: if x lies on a CUDA device, or if it is asked for.

    Tensors of the meta device, on which a step is tried before it is captured, are taken for a GPU's, and so are lanes.
    """
    if form is not None or _plain_everywhere():
        return form == "gpu" and not _plain_everywhere()
    return x.device.type in ("cuda", "meta") or is_in_lanes(x)


def is_in_lanes(x: Tensor) -> bool:
    """Returns whether x is of several trials at once."""
    return bool(torch._C._functorch.is_batchedtensor(x))


def _plain_everywhere() -> bool:
    return os.environ.get(SWITCH, "0") not in ("", "0")
