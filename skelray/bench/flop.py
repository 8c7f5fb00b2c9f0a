"""Floating point operations of a piece of work, those included that torch's counter does not know."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def _entries(a: Tensor) -> int:
    """Counts the entries that take part in a product."""
    return int(a.values().numel()) if a.layout == torch.sparse_csr else a.numel()


def _product_added(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> int:
    """Counts a product of (..., R, K) and (..., K, C) that is added to something."""
    return 2 * _entries(a) * b.shape[-1]


def _entries_of_product(sample: Tensor, a: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _entries(sample) * a.shape[1]


def _recurrence(x: Tensor, *weights: Any, **__: Any) -> int:
    """Counts one direction of a layer of torch's LSTM on a CPU: input and state times their weights, at each step."""
    return 2 * x.numel() // x.shape[-1] * (weights[0].numel() + weights[1].numel())


def _recurrence_backward(*given: Any, **options: Any) -> int:
    return 2 * _recurrence(*given, **options)


def _formulas() -> dict[Any, Any]:
    aten, added = torch.ops.aten, (torch.ops.aten.addmm, torch.ops.aten.addmm_, torch.ops.aten.baddbmm_)
    formulas: dict[Any, Any] = dict.fromkeys(added, _product_added)
    formulas[aten.sparse_sampled_addmm] = _entries_of_product
    formulas[aten.mkldnn_rnn_layer], formulas[aten.mkldnn_rnn_layer_backward] = _recurrence, _recurrence_backward
    return formulas


def _of_shapes(formula: Any) -> Any:
    """Returns torch's formula of shapes as one of tensors, without torch's own wrapping, which inspects everything."""

    def of_tensors(*given: Any, out_val: Any, **options: Any) -> int:
        return int(formula(*map(_shape, given), out_shape=_shape(out_val), **options))

    return of_tensors


def _shape(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    return [_shape(one) for one in value] if isinstance(value, (tuple, list)) else value


# By packet of operators; torch's own that read more than shapes are not wrapped.
FORMULAS = {
    op: _of_shapes(f.__wrapped__) if hasattr(f, "__wrapped__") else f for op, f in flop_registry.items()
} | _formulas()


class Counter(TorchDispatchMode):
    """Counts the matrix products and convolutions within, sparse ones by entries, from where they are dispatched.

    torch's FlopCounterMode finds the same and takes three times as long as the step that it counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to guard against it costs as much as to count

    def get_total_flops(self) -> int:
        return self._flops

    def add(self, flops: int) -> None:
        """Counts what is known and not computed again."""
        self._flops += flops

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula, composed = _known(func)
        if composed:
            with self:
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        if formula is not None:
            self._flops += formula(*args, **kwargs, out_val=out)
        return out


@cache
def _known(func: Any) -> tuple[Any, bool]:
    """Returns the formula of an operator, and whether it is taken apart because it has none."""
    formula = FORMULAS.get(func._overloadpacket)
    return formula, formula is None and _is_composed(func)


def _is_composed(func: Any) -> bool:
    """Returns whether an operator is made of others; outside inference mode torch takes it apart itself."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def count_flops() -> Counter:
    """Returns a context whose ``get_total_flops()`` counts the operations within."""
    return Counter()
