"""The epochs of a trial by a static step: as a graph where the device has them and the step allows it, else call by call."""

from __future__ import annotations

import logging
import math
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skelray import machine
from skelray.augment import CannotCapture, Clock, CounterDraws, Draws, View, view_of
from skelray.data.dataset import SkeletonDataset
from skelray.engine.descent import Descent
from skelray.engine.preflight import check_stages, own_parts, try_step
from skelray.engine.resident import Resident
from skelray.engine.runners import Captured, Runner, Stepwise
from skelray.engine.step import StaticStep
from skelray.methods import Model
from skelray.trial import Trial

log = logging.getLogger("skelray")


class Trained(NamedTuple):
    """What an epoch brought: the mean of the loss and of its parts over its steps, whether weights are finite after it.

    seconds: that it took of a device shared with others, where these were not spent in the call that gives it.
    """

    figures: dict[str, float]
    finite: bool
    seconds: float = 0.0


class Engine:
    """Trains epochs of a trial on one device, from static tensors that are the model's and the optimizer's own.

    Random numbers come from counters (``CounterDraws``), so an epoch is decided by (seed, epoch) alone, however it is run.
    Where the step cannot be captured one line of the log says why, and every step is made call by call.
    """

    def __init__(
        self, trial: Trial, data: SkeletonDataset, model: Model, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.trial, self.data, self.model, self.device = trial, data, model, device
        self.descent = Descent(optimizer)
        self.clock = Clock.of(trial.seed, device)
        self.steps = len(data) // trial.batch_size
        self.order = torch.zeros(self.steps * trial.batch_size, dtype=torch.int64, device=device)
        self.captured = True
        self._resident: Resident | None = None
        try:
            self._resident = Resident(data, trial.frames, device)
            self._check()
        except CannotCapture as reason:
            self._give_up(reason)
        self._stage: int | None = None
        self._runner: Runner
        self.step: StaticStep

    def epoch(self, number: int) -> Trained:
        """Trains an epoch."""
        runner = self.ready(number)
        with machine.seeding(self.device, Draws(self.trial.seed, number).number("dropout")):
            runner.run(self.steps)
        return self.read()

    def ready(self, number: int) -> Runner:
        """Prepares what makes the steps of an epoch, which is about to begin, and returns it."""
        if self.begin(number):
            self._runner = self._run_by()
        return self._runner

    def begin(self, number: int) -> bool:
        """Sets order, clock and rate to an epoch's start. Returns whether its step is another than before."""
        order = torch.randperm(len(self.data), generator=Draws(self.trial.seed, number)["order"])
        self.order.copy_(order[: len(self.order)])
        self.clock.epoch.fill_(number)
        self.clock.step.zero_()
        self.descent.rate.fill_(self.trial.optimizer.lr_at(number))
        return self._prepare(number)

    def step_by_step(self) -> None:
        """Makes the steps from here on call by call, from the same draws."""
        self.captured, self._stage = False, None

    def adopt(self) -> None:
        """Takes over what was loaded into the optimizer."""
        self.descent.adopt()

    def read(self) -> Trained:
        """Reads the figures of an epoch in its one transfer."""
        means = self.step.figures.double().mean(dim=0)
        weights = list(self.model.query.parameters())
        largest = torch.stack(torch._foreach_norm(weights, float("inf"))).max().double()  # type: ignore[arg-type]
        *figures, weight = torch.cat((means, largest[None])).tolist()
        return Trained(dict(zip(self.step.names, figures, strict=True)), math.isfinite(weight))

    def _prepare(self, epoch: int) -> bool:
        """Has a step for the epoch's stage; one is kept, as a stage that has passed does not come again."""
        stage = check_stages(self.trial.method).stage(epoch) if self.captured else epoch
        if stage == self._stage:
            return False
        self._stage = stage
        draws = CounterDraws(self.trial.seed, epoch, self.clock, captured=self.captured)
        self.step = StaticStep(
            self.trial.method, self.model, self._batch, self.order, self.trial.batch_size, draws, self.descent, epoch
        )
        return True

    def _run_by(self) -> Runner:
        if self.captured and self.device.type == "cuda":
            try:
                return Captured(self.step, self.state())
            except CannotCapture as reason:
                self._give_up(reason)
                self._prepare(self.step.stage_epoch)
        return Stepwise(self.step)

    def state(self) -> list[Tensor]:
        """Returns every tensor that a step writes, except the figures, which each step writes anew."""
        model: Any = self.model
        tensors = chain(model.parameters(), model.buffers(), self.descent.momenta, (self.clock.step,))
        return list({t.data_ptr(): t for t in tensors if t.numel()}.values())

    def _check(self) -> None:
        """Raises CannotCapture for a trial whose step a graph cannot hold; what is not skelray's own is tried on shapes."""
        check_stages(self.trial.method)
        if own_parts([self.trial.method, self.trial.backbone]):
            frames, persons = self.trial.frames or self.data.sequences.shape[2], self.data.sequences.shape[4]
            shape = (self.trial.batch_size, 3, frames, len(self.data.skeleton.joints), persons)
            try_step(self.trial.method, self.model, self.data.skeleton, shape, 1)

    def _give_up(self, reason: CannotCapture) -> None:
        self.step_by_step()
        log.warning("%s: each step is made call by call, as none can be captured: %s", self._name(), reason)

    def _batch(self, positions: Tensor, draws: CounterDraws) -> View:
        if self._resident is not None:
            return self._resident.view(positions, draws)
        return view_of(self.data, positions.cpu().numpy(), draws, self.trial.frames)

    def _name(self) -> str:
        own = ", ".join(own_parts([self.trial.method, self.trial.backbone]))
        return f"{type(self.trial.method).__name__}{f' with {own}' if own else ''}"
