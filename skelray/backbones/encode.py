"""The only way from a view to an encoder's output: everything that a view carries reaches the encoder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from skelray.augment import View, encoder_input


def encode(
    encoder: Callable[..., Tensor], view: View, stream: str, mask_value: Tensor, autocast: torch.dtype | None = None
) -> Tensor:
    """Encodes a view, (N, dim): its stream after the deferred operations, its present persons and its rewired graph.

    mask_value: (1,), the value of masked joints. autocast: precision of matrix products, None for the view's own.
    """
    x = encoder_input(view, stream, mask_value)
    with precision(x, autocast):
        return encoder(x, view.present, view.rewire)


def precision(x: Tensor, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Runs the block's matrix products on x's device in this precision, None for x's own. The meta device ignores it."""
    if x.is_meta:
        return nullcontext()
    return torch.autocast(x.device.type, dtype, enabled=dtype is not None)
