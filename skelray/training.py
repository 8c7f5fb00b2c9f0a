"""Training one trial: a plain iterator of reports that knows nothing of Ray, studies or files."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from skelray import machine
from skelray.augment import CannotCapture, Draws, View, view_of
from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.data.dataset import Splits
from skelray.engine.engine import Engine, Trained
from skelray.engine.pack import Lane, Pack
from skelray.evaluation import Diverged, FrozenEncoder, Load, measure
from skelray.methods import HasMaskValues, HasProjectors, Method, Model, Step, Views
from skelray.names import HELD_OUT
from skelray.trial import Trial

State = dict[str, Any]
log = logging.getLogger("skelray")


@dataclass
class Report:
    """The result of an epoch. metrics: mean loss and its parts, and the monitor if it was due."""

    epoch: int
    metrics: dict[str, float]
    seconds: float
    replayed: bool = field(default=False, compare=False)  # read back from a store, not trained now


def optimisation_step(method: Method, model: Model, optimizer: torch.optim.Optimizer, views: Views, epoch: int) -> Step:
    """Makes one step: momentum update with the weights before it, loss, backward, SGD, and the keys into the queue."""
    model.update_key(epoch)
    step = method.loss(model, views, epoch)
    optimizer.zero_grad(set_to_none=True)
    step.loss.backward()
    optimizer.step()
    model.enqueue(step.keys)
    return step


class Pretraining:
    """The training of a trial, one epoch at a time, with its whole state at hand.

    (seed, epoch) decides all randomness: epoch 0 that of weights and queue, later ones data order, augmentation and
    dropout. A state therefore holds no generators, and a run interrupted at any epoch resumes to identical results.
    """

    def __init__(self, trial: Trial, splits: Splits, device: torch.device, static: bool | None = None) -> None:
        """Starts at epoch 0. static: whether an ``Engine`` makes the epochs, by default on a CUDA device."""
        self.trial, self.device = trial, device
        self.static = device.type == "cuda" if static is None else static
        machine.compute_in(trial.precision, device)
        self.data = splits.train if trial.monitor is None else splits.reduced
        if trial.epochs and len(self.data) < trial.batch_size:
            raise UserError(
                f"batch_size {trial.batch_size}: {trial.benchmark} {trial.protocol} has only {len(self.data)} "
                "sequences to train on"
            )
        self.splits = splits
        self.epoch = 0
        self.history: list[Report] = []
        self.model = self._untrained()
        self.model.to(device)
        self.model.autocast = torch.bfloat16 if trial.precision == "bfloat16" else None
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = trial.optimizer.build(parameters)
        self._engine: Engine | Lane | None = None
        self._place: int | None = None  # of the lane that a loaded state was in: sums on a CPU depend on where numbers lie

    def train_epoch(self) -> Report:
        """Trains the next epoch. Raises Diverged if the loss or a weight is not finite."""
        return call_contained(self._train_epoch)

    def _train_epoch(self) -> Report:
        started, trial = time.perf_counter(), self.trial
        epoch = self.epoch + 1
        machine.compute_in(trial.precision, self.device)
        self.optimizer.param_groups[0]["lr"] = trial.optimizer.lr_at(epoch)
        self.model.train()
        engine = self._engine_or_none()
        trained = engine.epoch(epoch) if engine else self._plain_epoch(epoch)
        metrics = trained.figures
        if not math.isfinite(metrics["loss"]):
            raise Diverged(f"the loss is {metrics['loss']} in epoch {epoch}")
        if not trained.finite:
            raise Diverged(f"weights are not numbers after epoch {epoch}")  # the last step's, which no loss has read
        self.epoch = epoch
        if trial.monitor is not None and trial.monitor.due(epoch, trial.epochs):
            metrics[HELD_OUT] = self.held_out_top1()
        self.history.append(Report(epoch, metrics, time.perf_counter() - started + trained.seconds))
        return self.history[-1]

    @property
    def captured(self) -> bool:
        """Whether epochs replay, or on a CUDA device would replay, a captured graph."""
        return self._engine is not None and self._engine.captured

    def step_by_step(self) -> None:
        """Makes the engine run each step call by call, for steps that cannot be captured."""
        if engine := self._engine_or_none():
            engine.step_by_step()

    def join(self, pack: Pack) -> None:
        """Has its epochs trained as a lane of a pack that it fits."""
        self._engine = pack.join(self.trial, self.model, self.optimizer, self._place)

    @property
    def lane(self) -> Lane | None:
        """Its lane in the pack that trains it, if it is in one."""
        return self._engine if isinstance(self._engine, Lane) else None

    @property
    def at_its_epoch(self) -> bool:
        """Whether the weights are those at the end of its epoch; not where its pack is within a later one, or beyond it."""
        return self.lane is None or not self.lane.ahead

    def leave(self) -> None:
        """Leaves the pack that it is in; what it has stays, in tensors of its own."""
        if self.lane is not None:
            self.lane.leave()
            self._engine = None

    def _engine_or_none(self) -> Engine | Lane | None:
        """Returns None for the plain loop: if it is asked for, or if no static step is written for the optimizer."""
        if self.static and self._engine is None:
            try:
                self._engine = Engine(self.trial, self.data, self.model, self.optimizer, self.device)
            except CannotCapture as reason:
                self.static = False
                log.warning("each step is made call by call, as none can be captured: %s", reason)
        return self._engine

    def _plain_epoch(self, epoch: int) -> Trained:
        with machine.seeding(self.device, Draws(self.trial.seed, epoch).number("dropout")):
            metrics = self._mean([self._step(views, epoch) for views in self._views(epoch)])
        return Trained(metrics, bool(torch.stack([p.isfinite().all() for p in self.model.query.parameters()]).all()))

    def batches(self, epoch: int) -> Iterator[View]:
        """Yields views of whole batches in the epoch's order; an incomplete last batch is dropped."""
        draws = Draws(self.trial.seed, epoch, self.device)
        order = torch.randperm(len(self.data), generator=Draws(self.trial.seed, epoch)["order"]).numpy()
        for start in range(0, len(order) - self.trial.batch_size + 1, self.trial.batch_size):
            positions = order[start : start + self.trial.batch_size]
            yield view_of(self.data, positions, draws, self.trial.frames)

    def _views(self, epoch: int) -> Iterator[Views]:
        for batch in self.batches(epoch):
            views = self.trial.method.views(batch)
            del batch  # it does not outlast its views
            yield views

    def _step(self, views: Views, epoch: int) -> dict[str, torch.Tensor]:
        step = optimisation_step(self.trial.method, self.model, self.optimizer, views, epoch)
        return {"loss": step.loss.detach(), **step.parts}

    @staticmethod
    def _mean(steps: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Averages the steps with one transfer from the device."""
        means = torch.stack([torch.stack([step[name] for step in steps]).double().mean() for name in steps[0]])
        return dict(zip(steps[0], means.tolist(), strict=True))

    def _untrained(self) -> Any:
        """Returns the model with its initial weights, decided by the seed."""
        trial = self.trial
        with machine.seeding(self.device, Draws(trial.seed, 0).number("weights")):
            return call_contained(trial.method.build, trial.backbone, self.data.skeleton, trial.stream)

    def frozen_encoder(self, load: Load | None = None) -> FrozenEncoder:
        """Returns the encoder for evaluations; load: reads other benchmarks, for evaluations that use one."""
        trial, model = self.trial, self.model

        def fresh() -> tuple[Mapping[str, torch.nn.Module], Mapping[str, torch.Tensor]]:
            untrained = self._untrained()
            return untrained.encoders(), mask_values(untrained)

        return FrozenEncoder(
            model.encoders(),
            self.device,
            trial.method.clip,
            trial.frames,
            trial.seed,
            projectors=model.projectors() if isinstance(model, HasProjectors) else None,
            autocast=model.autocast,
            mask_values=mask_values(model),
            fresh=fresh,
            load=load,
        )

    def held_out_top1(self) -> float:
        """Returns the monitor's top-1 on the held-out training subjects."""
        if self.trial.monitor is None:
            raise UserError("a trial without a monitor holds nothing out")
        evaluation = self.trial.monitor.evaluation
        metrics = measure(evaluation, self.frozen_encoder(), self.data, self.splits.held_out).metrics
        if "top1" not in metrics:
            raise UserError(f"a monitor reads top-1, and {evaluation.name} classifies nothing")
        return metrics["top1"]

    def encoder_state(self) -> State:
        """Returns the part of the model that evaluations read: the query branch and each stream's mask value."""
        masks = {stream: value.detach().clone() for stream, value in mask_values(self.model).items()}
        return self._own({"model": self.model.query.state_dict(), "masks": masks})

    def load_encoder(self, state: State) -> None:
        """Loads an ``encoder_state``. Mask values keep their start if the file predates them.

        Raises RuntimeError for the weights of another model.
        """
        self.model.query.load_state_dict(state["model"])
        with torch.no_grad():
            for stream, value in mask_values(self.model).items():
                value.copy_(state.get("masks", {}).get(stream, value))

    def state(self) -> State:
        """Returns everything that a later process needs to resume: weights, queue, optimiser, epoch and history."""
        return self._own(
            {
                "epoch": self.epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "history": [[r.epoch, r.metrics, r.seconds] for r in self.history],
                **({} if self.lane is None else {"lane": self.lane.place}),
            }
        )

    def _own(self, state: State) -> State:
        """Returns a state whose tensors are not views of a pack's, which a file would hold whole."""
        return _apart(state) if self.lane is not None else state

    def load_state(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self._engine is not None:
            self._engine.adopt()
        self.epoch, self._place = state["epoch"], state.get("lane")
        self.history = [Report(*entry) for entry in state["history"]]


def _apart(state: Any) -> Any:
    """Returns a copy with tensors of its own."""
    if isinstance(state, dict):
        return {name: _apart(value) for name, value in state.items()}
    return state.clone() if isinstance(state, torch.Tensor) else state


def mask_values(model: Any) -> Mapping[str, torch.Tensor]:
    """Returns the value (1,) of masked joints in each stream; empty for a model that has none."""
    return model.mask_values() if isinstance(model, HasMaskValues) else {}


def run(trial: Trial, splits: Splits, device: torch.device | str = "cpu") -> Iterator[Report]:
    """Trains a trial from its first epoch to its last, yielding each epoch's report; for a notebook or a debugger."""
    pretraining = Pretraining(trial, splits, torch.device(device))
    while pretraining.epoch < trial.epochs:
        yield pretraining.train_epoch()
