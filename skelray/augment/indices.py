"""Fixed orders of joints as tensors on a device, cached: a list would be copied to the device at every use."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def indices(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the numbers as int64 (len(numbers),) on the device."""
    return torch.tensor(numbers, device=device)
