"""How fast the engine's static step trains, as trials on a CUDA device do."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from skelray import machine
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining
from skelray.trial import Trial

REPEATS = 5  # epochs that are timed


@dataclass(frozen=True)
class StaticRate:
    """The rate of a static step.

    seconds: of a step, the median over the epochs timed. prepared: seconds until the first replay.

    memory: peak MiB of tensors on a CUDA device, else 0. captured: whether the step could be a graph.
    """

    seconds: float
    prepared: float
    memory: float
    captured: bool


def static_pretraining(trial: Trial, device: torch.device, steps: int) -> Pretraining:
    """Returns a training of epochs of so many static steps on random sequences of the NTU shape."""
    frames, count = trial.frames or 50, steps * trial.batch_size
    x = np.random.default_rng(0).normal(size=(count, 3, frames, len(KINECT_V2.joints), 2)).astype(np.float32)
    data = SkeletonDataset("random", x, np.arange(count), pd.DataFrame(index=range(count)), KINECT_V2, (), "random")
    trial = replace(trial, monitor=None, evaluations=(), epochs=REPEATS + 1)
    return Pretraining(trial, Splits(data, data, data), device, static=True)


def measure_static_rate(trial: Trial, device: torch.device, steps: int) -> StaticRate:
    """Measures it over REPEATS epochs, after one that captures."""
    machine.compute_in(trial.precision, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trained = static_pretraining(trial, device, steps)
    began = time.perf_counter()
    trained.train_epoch()
    first = time.perf_counter() - began
    seconds = [trained.train_epoch().seconds / steps for _ in range(REPEATS)]
    step = float(np.median(seconds))
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    return StaticRate(step, max(0.0, first - steps * step), memory, trained.captured)
