"""Floating point operations of a piece of work, those included that torch's counter does not know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def _entries(a: Tensor) -> int:
    """That take part in a product."""
    return int(a.values().numel()) if a.layout == torch.sparse_csr else a.numel()


def _product_added(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> int:
    """Of (..., R, K) and (..., K, C), added to something."""
    return 2 * _entries(a) * b.shape[-1]


def _entries_of_product(sample: Tensor, a: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _entries(sample) * a.shape[1]


def _linear(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return 2 * x.numel() * len(weight)


def _recurrence(x: Tensor, *weights: Any, **__: Any) -> int:
    """Of one direction of a layer of torch's LSTM on a CPU: input and state times their weights, at each step."""
    return 2 * x.numel() // x.shape[-1] * (weights[0].numel() + weights[1].numel())


def _recurrence_backward(*given: Any, **options: Any) -> int:
    return 2 * _recurrence(*given, **options)


def _formulas() -> dict[Any, Any]:
    aten, added = torch.ops.aten, (torch.ops.aten.addmm, torch.ops.aten.addmm_, torch.ops.aten.baddbmm_)
    formulas: dict[Any, Any] = dict.fromkeys(added, _product_added)
    formulas[aten.sparse_sampled_addmm] = _entries_of_product
    formulas[aten.mkldnn_rnn_layer], formulas[aten.mkldnn_rnn_layer_backward] = _recurrence, _recurrence_backward
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        formulas[torch.ops.mkldnn._linear_pointwise] = _linear
    for formula in formulas.values():
        formula._get_raw = True  # torch gives it the tensors themselves, not their shapes
    return formulas


FORMULAS = _formulas()


def counter() -> FlopCounterMode:
    """A context whose ``get_total_flops()`` counts the matrix products and convolutions within, sparse ones by entries."""
    return FlopCounterMode(display=False, custom_mapping=FORMULAS)
