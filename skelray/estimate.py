"""What training a trial takes of a machine, known from one step on two random samples, and what this machine has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from skelray import flop
from skelray.augment import Draws, View
from skelray.skeleton import Skeleton
from skelray.trial import Trial

SAMPLES = 2


@dataclass(frozen=True)
class Needs:
    """gflop: of the step of one sample. memory: bytes that a whole batch keeps for its gradient, the least it takes."""

    gflop: float
    memory: int


def needs(trial: Trial, skeleton: Skeleton, frames: int, persons: int) -> Needs:
    """Of a trial on sequences (3, frames, joints, persons)."""
    method = trial.method
    kept: dict[int, int] = {}
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = method.build(trial.backbone, skeleton, trial.stream).train()
        state = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in model.state_dict().values()}
        x = torch.randn(SAMPLES, 3, frames, len(skeleton.joints), persons)

        def keep(saved: Tensor) -> Tensor:
            storage = saved.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return saved

        with flop.counter() as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            step = method.loss(model, method.views(View.of(x, skeleton, Draws(0, 0))), epoch=1)
            step.loss.backward()
    activations = sum(size for pointer, size in kept.items() if pointer not in state)
    memory = sum(state.values()) + activations * trial.batch_size // SAMPLES
    return Needs(counter.get_total_flops() / SAMPLES / 1e9, memory)


def reading(trial: Trial, skeleton: Skeleton, frames: int, persons: int) -> float:
    """GFLOP of the trial's encoders on one sample, forward alone."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        encoders = trial.method.build(trial.backbone, skeleton, trial.stream).encoders()
        view = View.of(torch.randn(SAMPLES, 3, frames, len(skeleton.joints), persons), skeleton, Draws(0, 0))
        view = trial.method.clip(view)
        with torch.no_grad(), flop.counter() as counter:
            for encoder in encoders.values():
                encoder.eval()(view.x, view.present)
    return counter.get_total_flops() / SAMPLES / 1e9


def room(device: torch.device) -> int:
    """Bytes of memory that this machine has for a trial."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(installed, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        return installed
