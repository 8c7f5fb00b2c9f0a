"""Several trials of one structure on one device as lanes of one step: filled, refilled, and each stored as if alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from skelray.augment import CannotCapture, Clock, Draws
from skelray.augment.counters import hashed
from skelray.data.dataset import SkeletonDataset
from skelray.engine.engine import Trained
from skelray.engine.lane_descent import LaneDescent
from skelray.engine.lane_step import LaneStep
from skelray.engine.numbers import Path, shape_digest, tunable_numbers
from skelray.engine.on_shapes import lanes_on_shapes
from skelray.engine.preflight import check_stages, own_parts, try_on_shapes
from skelray.engine.resident import Resident
from skelray.engine.runners import Captured, Runner, Stepwise, restore
from skelray.engine.stack import Stack
from skelray.methods import Model
from skelray.trial import Trial

log = logging.getLogger("skelray")


class Lane:
    """The engine of one trial of a pack: gives what the pack has trained of it. Leaves the pack when it is closed."""

    captured = True

    def __init__(self, pack: Pack, place: int, trial: Trial, model: Model, optimizer: torch.optim.Optimizer) -> None:
        self.pack, self.place, self.trial, self.model, self.optimizer = pack, place, trial, model, optimizer
        self.trained: dict[int, Trained] = {}

    def epoch(self, number: int) -> Trained:
        """Returns what the pack found in this epoch; if it has not trained it yet, it trains this lane alone."""
        if number not in self.trained:
            self.pack.train({self: number})
        return self.trained.pop(number)

    def adopt(self) -> None:
        self.pack.descent.take(self.place, self.model, self.optimizer)  # type: ignore[arg-type]

    def step_by_step(self) -> None:
        """A pack makes its steps in one way for all."""

    @property
    def ahead(self) -> bool:
        """Whether its tensors have gone on from the last epoch that it was asked for: within one, or past one."""
        return self.pack.within or bool(self.trained)

    def leave(self) -> None:
        """Frees the lane; the trial keeps what it has in tensors of its own."""
        self.pack.leave(self)


class Begun(NamedTuple):
    """The step of a stage, and its runner."""

    step: LaneStep
    runner: Runner


class Pack:
    """Lanes on a device for trials that are alike by ``shape_digest``; the first to join decides what they are.

    Trials at different stages of their method train one stage after the other, while the others' lanes stay as they are.
    """

    def __init__(self, lanes: int, trial: Trial, data: SkeletonDataset, model: Model, device: torch.device) -> None:
        """Raises CannotCapture where no one step can serve several such trials."""
        self.kind, self.size, self.device, self.data = shape_digest(trial), lanes, device, data
        self.method, self.batch_size = check_stages(trial.method), trial.batch_size
        self.steps = len(data) // trial.batch_size
        self.resident = Resident(data, trial.frames, device)
        if own_parts([trial.method, trial.backbone]):
            frames, persons = trial.frames or data.sequences.shape[2], data.sequences.shape[4]
            shape = (trial.batch_size, 3, frames, len(data.skeleton.joints), persons)
            try_on_shapes(lanes_on_shapes(trial, model, data.skeleton, shape, 2, 1))
        self.stack = Stack(model, lanes)  # type: ignore[arg-type]
        self.descent = LaneDescent(self.stack, trial.optimizer.momentum > 0, trial.optimizer.nesterov)
        zeros = torch.zeros(lanes, 2, dtype=torch.int64, device=device)
        self.clock = Clock(zeros, zeros[:, 0].clone(), zeros[0, 0].clone())
        self.order = zeros.new_zeros(lanes, self.steps * trial.batch_size)
        like = self.stack.trained.whole
        self.numbers: dict[Path, Tensor] = {path: like.new_ones(lanes) for path in tunable_numbers(trial.method)}
        self.share = like.new_zeros(lanes, 1)
        self.lanes: list[Lane | None] = [None] * lanes
        self.within = False  # an epoch that has begun and not ended; it stays so where one is cut
        self._stages: dict[int, Begun] = {}

    def fits(self, trial: Trial, data: SkeletonDataset) -> bool:
        """Returns whether a trial is like those of the pack, on the same sequences."""
        same = data.fingerprint == self.data.fingerprint and (data.rows == self.data.rows).all()
        return bool(same) and shape_digest(trial) == self.kind

    @property
    def full(self) -> bool:
        return None not in self.lanes

    def join(self, trial: Trial, model: Model, optimizer: torch.optim.Optimizer, place: int | None = None) -> Lane:
        """Gives a trial that fits a free lane, that of ``place`` if it is; its model and optimizer live there then."""
        if place is None or place >= self.size or self.lanes[place] is not None:
            place = self.lanes.index(None)
        lane = self.lanes[place] = Lane(self, place, trial, model, optimizer)
        self.stack.take(place, model)  # type: ignore[arg-type]
        self.descent.take(place, model, optimizer)  # type: ignore[arg-type]
        self.clock.key[place].copy_(torch.tensor(hashed(str(trial.seed))))
        for path, value in tunable_numbers(trial.method).items():
            self.numbers[path][place] = value
        self.share[place] = 1 - tunable_numbers(trial.method)[("m",)]
        self.descent.decay[place] = trial.optimizer.weight_decay
        self.descent.momentum[place] = trial.optimizer.momentum
        return lane

    def leave(self, lane: Lane) -> None:
        if self.lanes[lane.place] is lane:
            self.lanes[lane.place] = None
            self.stack.give_back(lane.model)  # type: ignore[arg-type]
            self.descent.give_back(lane.optimizer)

    def train(self, due: Mapping[Lane, int]) -> None:
        """Trains the epoch of that number of each of these lanes.

        Where that is cut by an error, no lane has weights that can be gone on from.
        """
        self.within = True
        for lane, number in due.items():
            order = torch.randperm(len(self.data), generator=Draws(lane.trial.seed, number)["order"])
            self.order[lane.place].copy_(order[: self.order.shape[1]])
            self.clock.epoch[lane.place] = number
            self.descent.rate[lane.place] = lane.trial.optimizer.lr_at(number)
        stages = {lane: check_stages(lane.trial.method).stage(number) for lane, number in due.items()}
        for stage in dict.fromkeys(stages.values()):
            self._train_stage(stage, {lane: due[lane] for lane in due if stages[lane] == stage})
        self.within = False

    def _train_stage(self, stage: int, due: Mapping[Lane, int]) -> None:
        started = time.perf_counter()
        others = [lane.place for lane in self.lanes if lane is not None and lane not in due]
        kept = [[tensor[place].clone() for tensor in self._tensors()] for place in others]
        step, runner = self._begun(stage, next(iter(due.values())))
        self.clock.step.zero_()
        runner.run(self.steps)
        for place, before in zip(others, kept, strict=True):
            restore([tensor[place] for tensor in self._tensors()], before)
        found = self._read(step)
        seconds = (time.perf_counter() - started) / len(due)
        for lane, number in due.items():
            figures, finite = found[lane.place]
            lane.trained[number] = Trained(figures, finite, seconds)

    def _tensors(self) -> list[Tensor]:
        return [*self.stack.tensors(), self.descent.momenta]

    def ready(self, epoch: int) -> Runner:
        """Prepares what makes the steps of an epoch, and returns it; trials do not go on from what it does to them."""
        return self._begun(self.method.stage(epoch), epoch).runner

    def _begun(self, stage: int, epoch: int) -> Begun:
        if stage not in self._stages:
            self._stages[stage] = self._begin(epoch)
        return self._stages[stage]

    def _begin(self, epoch: int) -> Begun:
        """Returns the step of an epoch's stage, captured if the device has graphs."""
        step = LaneStep(
            self.method,  # type: ignore[arg-type]
            self.stack,
            self.descent,
            self.resident.view,
            self.order,
            self.batch_size,
            self.clock,
            self.numbers,
            self.share,
            epoch,
        )
        if self.device.type == "cuda":
            try:
                return Begun(step, Captured(step, [*self._tensors(), self.clock.step]))
            except CannotCapture as reason:
                log.warning("the steps of a pack are made call by call, as none can be captured: %s", reason)
        return Begun(step, Stepwise(step))

    def _read(self, step: LaneStep) -> list[tuple[dict[str, float], bool]]:
        """Returns the mean figures of each lane over an epoch, and whether its weights are numbers, in one transfer."""
        means = step.figures.double().mean(dim=0)
        largest = self.stack.trained.whole.abs().amax(dim=1, keepdim=True).double()
        rows = torch.cat((means, largest), dim=1).tolist()
        return [(dict(zip(step.names, row[:-1], strict=True)), math.isfinite(row[-1])) for row in rows]
