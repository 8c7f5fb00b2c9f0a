"""The precision of a pass that casts by hand: once for each weight, and for the tensors between kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from skelray.backbones.cpu.precision import autocast_dtype


@contextmanager
def computing_by_hand(x: Tensor) -> Iterator[torch.dtype]:
    """Yields the precision of x's matrix products, autocast's if active, and turns autocast off in the block."""
    if x.is_meta:  # which has no autocast
        yield x.dtype
        return
    low = autocast_dtype(x)
    within = torch.autocast(x.device.type, enabled=False) if low != x.dtype else nullcontext()
    with within:
        yield low
