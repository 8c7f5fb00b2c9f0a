"""The queue of keys that MoCo (He et al., CVPR 2020) takes its negatives from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Queue(nn.Module):
    """A queue of negatives. keys: (K, D) unit vectors, random at first, the oldest overwritten first.

    wrap: the write position returns to 0 after this many keys, K by default.
    """

    keys: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int, wrap: int | None = None) -> None:
        super().__init__()
        self.wrap = size if wrap is None else wrap
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Overwrites the oldest keys with these (N, D), across the end of the queue if needed."""
        size, pushed = len(self.keys), len(keys)
        keys = keys[-size:]  # of a batch larger than the queue; a place is written once
        at = (self.position + torch.arange(pushed - len(keys), pushed, device=keys.device)) % size
        self.keys[at] = keys.to(self.keys.dtype)
        self.position.copy_((self.position + pushed) % self.wrap)
