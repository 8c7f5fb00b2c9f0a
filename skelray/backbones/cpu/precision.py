"""The precision of hand-written operations under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Returns the dtype that autocast gives matrix products on x's device; x's own outside autocast."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def sum_dtype(x: Tensor) -> torch.dtype:
    """Returns the dtype for sums over parts of x: at least float32, as half precision would lose small terms."""
    return torch.promote_types(x.dtype, torch.float32)
