"""Floating point operations of a piece of work, those included that torch's counter does not know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def _matrix(a: Tensor) -> int:
    """Entries that take part in a product."""
    return int(a.values().numel()) if a.layout == torch.sparse_csr else a.numel()


def _addmm(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> int:
    return 2 * _matrix(a) * b.shape[1]


def _sampled(sample: Tensor, a: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _matrix(sample) * a.shape[1]


def _linear(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return 2 * x.numel() * len(weight)


def counter() -> FlopCounterMode:
    """A context whose ``get_total_flops()`` counts the matrix products and convolutions within, sparse ones by entries."""
    formulas: dict[Any, Any] = {torch.ops.aten.addmm: _addmm, torch.ops.aten.sparse_sampled_addmm: _sampled}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        formulas[torch.ops.mkldnn._linear_pointwise] = _linear
    for formula in formulas.values():
        formula._get_raw = True  # of the tensors themselves, not of their shapes
    return FlopCounterMode(display=False, custom_mapping=formulas)
