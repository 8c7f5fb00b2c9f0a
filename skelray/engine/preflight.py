"""Whether a trial's step can be captured, tried on tensors that have shapes and no numbers, and in whose words if not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from skelray.augment import CannotCapture, Clock, CounterDraws, View
from skelray.engine.waits import refusing_waits
from skelray.methods import HasStages, Method, Model
from skelray.skeleton import Skeleton


def check_stages(method: Method) -> HasStages:
    """Returns the method, which says when its loss changes. Raises CannotCapture if the class of the loss does not."""
    kinds = type(method).__mro__
    loss, stage = (next((i for i, kind in enumerate(kinds) if name in vars(kind)), None) for name in ("loss", "stage"))
    if stage is None or (loss is not None and loss < stage):
        raise CannotCapture(f"{type(method).__name__} defines a loss and no stage(epoch), which says when it changes")
    return method  # type: ignore[return-value]


def own_parts(thing: Any) -> list[str]:
    """Returns the names of a trial's parts that are defined elsewhere than in skelray."""
    if isinstance(thing, (list, tuple)):
        return [name for one in thing for name in own_parts(one)]
    if is_dataclass(thing) and not isinstance(thing, type):
        inner = [name for field in fields(thing) for name in own_parts(getattr(thing, field.name))]
        return inner if is_own_code(type(thing)) else [type(thing).__qualname__, *inner]
    return [] if not callable(thing) or is_own_code(thing) else [getattr(thing, "__qualname__", repr(thing))]


def is_own_code(thing: Any) -> bool:
    """Returns whether a class or function is skelray's own."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "skelray"


def try_step(method: Method, model: Model, skeleton: Skeleton, shape: tuple[int, ...], epoch: int) -> None:
    """Makes a step on torch's meta device. shape: (N, C, T, V, M). Raises CannotCapture for what a graph cannot hold."""
    apart = copy.deepcopy(model).to("meta").train()  # type: ignore[attr-defined]
    words = [torch.empty(size, dtype=torch.int64, device="meta") for size in ((2,), (), ())]
    draws = CounterDraws(0, epoch, Clock(*words), captured=True)

    def step() -> None:
        draws.begin()
        views = method.views(View.of(torch.empty(shape, device="meta"), skeleton, draws))
        apart.update_key(epoch)
        found = method.loss(apart, views, epoch)
        found.loss.backward()
        apart.enqueue(found.keys)

    try_on_shapes(step)


def try_on_shapes(step: Callable[[], None]) -> None:
    """Makes a step on shapes. Raises CannotCapture for what a graph cannot hold.

    Twice, as before a capture: what the first makes and keeps, such as a table on the device, the second may use.
    """
    with suppress(Exception):  # what is wrong is said better by the second
        step()
    try:
        with refusing_waits():
            step()
    except CannotCapture:
        raise
    except Exception as error:
        raise CannotCapture(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
