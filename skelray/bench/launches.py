"""How many kernels a step launches on a GPU, counted without one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skelray.augment import Clock, CounterDraws, View
from skelray.engine.descent import Descent
from skelray.engine.on_shapes import lanes_on_shapes
from skelray.engine.step import StaticStep
from skelray.skeleton import KINECT_V2
from skelray.trial import Trial

MAKES_ROOM = {
    "promote_types",
    "_unsafe_view",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "detach",
    "lift_fresh",
}


class Launches(TorchDispatchMode):
    """Counts the operators within that launch a kernel or several: views and allocations launch none."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _is_view(func):
            self.by_name[func._schema.name.split("::")[1]] += 1
        return func(*args, **(kwargs or {}))


@cache
def _is_view(func: Any) -> bool:
    """Returns whether an operator only renames memory, or reserves it."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    view = any(alias is not None and not alias.is_write for alias in aliases)
    return view or func._schema.name.split("::")[1] in MAKES_ROOM


def count_step(trial: Trial, epoch: int = 1, samples: int = 4) -> Counter[str]:
    """Operators of one static step by name, in the forms for a GPU; made on shapes, so their number is the batch's size.

    samples: of the batch, which does not change the number.
    """
    trial, frames = replace(trial, batch_size=samples), trial.frames or 50
    model = trial.method.build(trial.backbone, KINECT_V2, trial.stream).to("meta").train()
    descent = Descent(trial.optimizer.build([p for p in model.parameters() if p.requires_grad]))
    words = [torch.empty(size, dtype=torch.int64, device="meta") for size in ((2,), (), ())]
    draws = CounterDraws(0, epoch, Clock(*words), captured=True)
    x = torch.empty(samples, 3, frames, len(KINECT_V2.joints), 2, device="meta")
    order = torch.empty(samples, dtype=torch.int64, device="meta")
    batch = lambda positions, draws: View.of(x.index_select(0, positions).float(), KINECT_V2, draws)  # noqa: E731
    step = StaticStep(trial.method, model, batch, order, samples, draws, descent, epoch)
    step()  # makes what is kept from step to step
    with Launches() as found:
        step()
    return found.by_name


def count_lane_step(trial: Trial, lanes: int, epoch: int = 1, samples: int = 4) -> Counter[str]:
    """Operators of one step of so many trials at once, in the forms for a GPU, counted as those of ``count_step``."""
    model = trial.method.build(trial.backbone, KINECT_V2, trial.stream)
    shape = (samples, 3, trial.frames or 50, len(KINECT_V2.joints), 2)
    step = lanes_on_shapes(trial, model, KINECT_V2, shape, lanes, epoch)
    step()
    with Launches() as found:
        step()
    return found.by_name
