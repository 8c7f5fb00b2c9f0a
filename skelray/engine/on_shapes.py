"""The step of several lanes on tensors that have shapes and no numbers: to try it, and to count what it launches."""

from __future__ import annotations

import copy

import torch

from skelray.augment import Clock, CounterDraws, View
from skelray.engine.lane_descent import LaneDescent
from skelray.engine.lane_step import LaneStep
from skelray.engine.numbers import tunable_numbers
from skelray.engine.stack import Stack
from skelray.methods import Model
from skelray.skeleton import Skeleton
from skelray.trial import Trial


def lanes_on_shapes(
    trial: Trial, model: Model, skeleton: Skeleton, shape: tuple[int, ...], lanes: int, epoch: int
) -> LaneStep:
    """shape: (N, C, T, V, M) of a lane's batch. Raises CannotCapture for a model that lanes cannot share."""
    stack = Stack(copy.deepcopy(model).to("meta"), lanes)  # type: ignore[attr-defined]
    like = stack.trained.whole
    there = like.new_empty(shape)

    def batch(positions: torch.Tensor, draws: CounterDraws) -> View:
        return View.of(there.index_select(0, positions), skeleton, draws)

    words = [torch.empty(size, dtype=torch.int64, device="meta") for size in ((lanes, 2), (lanes,), ())]
    order = torch.empty(lanes, shape[0], dtype=torch.int64, device="meta")
    values = {path: like.new_empty(lanes) for path in tunable_numbers(trial.method)}
    descent = LaneDescent(stack, trial.optimizer.momentum > 0, trial.optimizer.nesterov)
    share = like.new_empty(lanes, 1)
    return LaneStep(trial.method, stack, descent, batch, order, shape[0], Clock(*words), values, share, epoch)
