"""Refuses what a captured step may not do: wait for its device, or bring something from the host each time."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from skelray.augment import CannotCapture

# Operators whose result, or the shape of it, the host has to read before it can go on.
READS = {
    "_local_scalar_dense",
    "item",
    "equal",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "unique_dim",
    "_unique2",
    "bincount",
}
TO_HOST = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"}
FROM_HOST = {"tensor", "as_tensor", "asarray", "from_numpy", "scalar_tensor"}
_OWN = Path(torch.__file__).parent


@contextmanager
def refusing_waits() -> Iterator[None]:
    """Raises CannotCapture, within the block, for whatever makes the host wait for another device, or sends it something.

    Meant for tensors of torch's meta device, which have shapes and no numbers: where they go through, a captured step may.
    """
    with _Functions(), _Operators():
        yield


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, given = func._schema.name.split("::")[1], _pytree.tree_leaves((args, kwargs))
        tensors = [one for one in given if isinstance(one, Tensor)]
        away = [t for t in tensors if t.device.type != "cpu"]
        if name in READS and away:
            raise _refusal(f"{name} waits for its numbers")
        if name.startswith("index") and any(t.dtype in (torch.bool, torch.uint8) for t in _indices(args)):
            raise _refusal("an index by a mask has a size that only its numbers decide")
        if away and any(t.device.type == "cpu" and t.dim() for t in tensors):
            raise _refusal(f"{name} takes a tensor of the host")
        if any(isinstance(one, torch.Generator) for one in given):
            raise _refusal(f"{name} draws from a torch.Generator")
        target = (kwargs or {}).get("device")
        if name == "_to_copy" and target is not None and {torch.device(target).type} != {t.device.type for t in tensors}:
            raise _refusal("a tensor moves between host and device")
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in TO_HOST and isinstance(args[0], Tensor) and args[0].device.type != "cpu":
            raise _refusal(f"{name} waits for its numbers")
        if name in ("__getitem__", "__setitem__") and any(isinstance(i, (list, np.ndarray)) for i in _tuple(args[1])):
            raise _refusal("an index by a list is a tensor of the host")
        if name in FROM_HOST and torch.device(kwargs.get("device") or "cpu").type != "cpu":
            raise _refusal(f"{name} sends numbers of the host")
        return func(*args, **kwargs)


def _tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _indices(args: Any) -> list[Tensor]:
    """Returns the tensors that an operator takes for indices: those within a list."""
    return [t for one in args if isinstance(one, (list, tuple)) for t in one if isinstance(t, Tensor)]


def _refusal(what: str) -> CannotCapture:
    """Returns the refusal, with the innermost line that is neither torch's nor of this file."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(str(_OWN)) and frame.filename not in (__file__, *_MACHINERY):
            return CannotCapture(f"{what} ({Path(frame.filename).name}, line {frame.lineno})")
    return CannotCapture(what)


_MACHINERY = (traceback.__file__,)
