"""Says which precision an operation written by hand takes under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Returns the dtype that autocast gives matrix products on x's device; x's own outside autocast."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def sum_dtype(x: Tensor) -> torch.dtype:
    """The dtype that sums over parts of x are kept in: float32 at least, as half precision would lose the later ones."""
    return torch.promote_types(x.dtype, torch.float32)
