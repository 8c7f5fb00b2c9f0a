"""Fixed orders of joints as tensors on a device, made once: a list would be copied there at every use of it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def indices(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """(len(numbers),) int64."""
    return torch.tensor(numbers, device=device)
