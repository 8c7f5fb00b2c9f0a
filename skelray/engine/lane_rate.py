"""How fast trials of one structure train as lanes of one step, and in how many lanes they had best."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from skelray.data.dataset import SkeletonDataset
from skelray.engine.engine import Engine
from skelray.engine.pack import Pack
from skelray.methods import Model
from skelray.trial import Trial

WARM_UP, STEPS = 2, 20
GAIN = 1.1  # what twice the lanes have to bring
SHARE = 0.85  # of the memory that is free, which lanes may take


@dataclass(frozen=True)
class LaneRate:
    """seconds: of a step of all lanes. memory: peak bytes that they take of a CUDA device, 0 elsewhere."""

    lanes: int
    seconds: float
    memory: int

    @property
    def steps(self) -> float:
        """Steps of trials in a second."""
        return self.lanes / self.seconds


def doubled(most: int) -> list[int]:
    """Returns 1, 2, 4, ... and at last the most."""
    return [*(2**i for i in range(most.bit_length()) if 2**i < most), most]


def lane_rates(
    trial: Trial, data: SkeletonDataset, model: Model, device: torch.device, counts: Sequence[int]
) -> Iterator[LaneRate]:
    """Measures these numbers of lanes, each larger, until memory is short; one lane is the trial alone, by an ``Engine``.

    model: of the trial; it stays as it is. Raises CannotCapture where no step can serve several such trials.
    """
    cuda = device.type == "cuda"
    for lanes in counts:
        gc.collect()
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        free, before = torch.cuda.mem_get_info(device)[0] if cuda else 0, torch.cuda.memory_allocated(device) if cuda else 0
        try:
            seconds = _seconds(lanes, trial, data, model, device)
        except torch.OutOfMemoryError:
            return
        memory = torch.cuda.max_memory_allocated(device) - before if cuda else 0
        yield LaneRate(lanes, seconds, memory)
        if cuda and 2 * memory > SHARE * free:
            return


def best(rates: Iterable[LaneRate]) -> int:
    """Returns the number of lanes to train in, by measurements asked for as long as each gains on the one before."""
    found: LaneRate | None = None
    for one in rates:
        if found is not None and one.steps < GAIN * found.steps:
            break
        found = one
    return 1 if found is None else found.lanes


def _seconds(lanes: int, trial: Trial, data: SkeletonDataset, model: Model, device: torch.device) -> float:
    """Returns the seconds of a step of so many lanes. They hold no trial: the operations are the same."""
    made: Engine | Pack
    if lanes == 1:
        own: Any = copy.deepcopy(model)
        optimizer = trial.optimizer.build([p for p in own.parameters() if p.requires_grad])
        made = Engine(trial, data, own, optimizer, device)
    else:
        made = Pack(lanes, trial, data, model, device)
    runner = made.ready(1)

    def run(steps: int) -> float:
        made.clock.step.zero_()
        began = time.perf_counter()
        runner.run(steps)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / steps

    run(min(WARM_UP, made.steps))
    return run(min(STEPS, made.steps))
