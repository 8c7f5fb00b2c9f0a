"""One step of a trial on tensors that stay where they are: batch, views, loss, gradient, descent, queue, figures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from skelray.augment import Clock, CounterDraws, View
from skelray.backbones.dropout import drawing
from skelray.engine.descent import Descent
from skelray.methods import Method, Model, Step

Batch = Callable[[Tensor, CounterDraws], View]  # positions (N,) -> a fresh view of them


class StaticStep:
    """Everything that a step reads and writes; called, it makes the step that its clock is at, and moves the clock.

    order: (S N,) int64, the positions of an epoch's batches one after another. figures: (S, 1 + parts), the loss and its
    parts at each step, from the first step on; names: of them. stage_epoch: any epoch of the stage that it serves.
    """

    figures: Tensor
    names: tuple[str, ...]

    def __init__(
        self,
        method: Method,
        model: Model,
        batch: Batch,
        order: Tensor,
        batch_size: int,
        draws: CounterDraws,
        descent: Descent,
        stage_epoch: int,
    ) -> None:
        self.method, self.model, self.batch, self.draws, self.descent = method, model, batch, draws, descent
        self.clock: Clock = draws.clock
        self.order, self.stage_epoch = order, stage_epoch
        self.within = torch.arange(batch_size, device=order.device)
        self.steps = len(order) // batch_size
        self.names = ()

    def __call__(self) -> None:
        self.draws.begin()
        positions = self.order.index_select(0, self.clock.step * len(self.within) + self.within)
        views = self.method.views(self.batch(positions, self.draws))
        self.model.update_key(self.stage_epoch)
        self.descent.forget_gradients()
        with drawing(self.draws):
            step = self.method.loss(self.model, views, self.stage_epoch)
        step.loss.backward()
        self.descent.step()
        self.descent.forget_gradients()
        self.model.enqueue(step.keys)
        self._note(step)
        self.clock.step.add_(1)

    def _note(self, step: Step) -> None:
        found = {"loss": step.loss.detach(), **step.parts}
        row = torch.stack([value.detach() for value in found.values()])
        if not self.names:
            self.names = tuple(found)
            self.figures = row.new_zeros(self.steps, len(row))
        self.figures.index_copy_(0, self.clock.step[None], row[None])
