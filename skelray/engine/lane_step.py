"""One step of several trials at once: each lane its own weights, batch, draws and numbers; one set of operations for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from skelray.augment import Clock, CounterDraws
from skelray.backbones.dropout import drawing
from skelray.engine.lane_descent import LaneDescent
from skelray.engine.numbers import Path, with_numbers
from skelray.engine.stack import Stack
from skelray.engine.step import Batch
from skelray.methods import Method, Step


class LaneStep:
    """The step of every lane that the clock is at, as ``StaticStep`` makes it of one trial; then moves the clock.

    method: of the lanes' structure. numbers: (lanes,) at the paths where theirs differ; share: (lanes, 1), 1 - m. clock:
    key (lanes, 2), epoch (lanes,), step (). order: (lanes, S N) int64. figures: (S, lanes, 1 + parts).
    """

    figures: Tensor
    names: tuple[str, ...]

    def __init__(
        self,
        method: Method,
        stack: Stack,
        descent: LaneDescent,
        batch: Batch,
        order: Tensor,
        batch_size: int,
        clock: Clock,
        numbers: Mapping[Path, Tensor],
        share: Tensor,
        stage_epoch: int,
    ) -> None:
        self.method, self.stack, self.descent, self.batch = method, stack, descent, batch
        self.order, self.clock, self.numbers, self.share = order, clock, dict(numbers), share
        self.stage_epoch = stage_epoch
        self.within = torch.arange(batch_size, device=order.device)
        self.steps = order.shape[1] // batch_size
        self.names = ()
        self._within_model = _Within(stack.template)

    def __call__(self) -> None:
        stack, clock = self.stack, self.clock
        stack.follow(self.stage_epoch, self.share)
        self.descent.forget_gradients()
        losses, keys, parts = vmap(self._loss)(
            stack.leaves, stack.frozen, stack.buffers, self.numbers, clock.key, clock.epoch, self.order
        )
        losses.sum().backward()
        self.descent.step()
        self.descent.forget_gradients()
        with torch.no_grad():
            vmap(self._enqueue)(stack.buffers, keys)
        self._note(losses, parts)
        clock.step.add_(1)

    def _loss(
        self,
        leaves: dict[str, Tensor],
        frozen: dict[str, Tensor],
        buffers: dict[str, Tensor],
        numbers: dict[Path, Tensor],
        key: Tensor,
        epoch: Tensor,
        order: Tensor,
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Returns the loss of one lane, its keys and the parts of its loss."""
        draws = CounterDraws(0, self.stage_epoch, Clock(key, epoch, self.clock.step), captured=True)
        positions = order.index_select(0, self.clock.step * len(self.within) + self.within)
        method: Method = with_numbers(self.method, numbers)
        views = method.views(self.batch(positions, draws))

        def loss(model: Any) -> Step:
            with drawing(draws):
                return method.loss(model, views, self.stage_epoch)

        found = self._call(leaves | frozen | buffers, loss)
        return found.loss, found.keys, {name: part.detach() for name, part in found.parts.items()}

    def _enqueue(self, buffers: dict[str, Tensor], keys: Any) -> Tensor:
        self._call(buffers, lambda model: model.enqueue(keys))
        return self.within.new_zeros(())  # as vmap takes no function that gives nothing

    def _call(self, tensors: Mapping[str, Tensor], work: Callable[[Any], Any]) -> Any:
        """Does the work on a model of these tensors."""
        there = {f"model.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self._within_model, there, (work,))

    @torch.no_grad()
    def _note(self, losses: Tensor, parts: dict[str, Tensor]) -> None:
        found = {"loss": losses.detach(), **parts}
        row = torch.stack(list(found.values()), dim=1)  # (lanes, 1 + parts)
        if not self.names:
            self.names = tuple(found)
            self.figures = row.new_zeros(self.steps, *row.shape)
        self.figures.index_copy_(0, self.clock.step[None], row[None])


class _Within(nn.Module):
    """A model as part of a module whose call is any work on it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[Any], Any]) -> Any:
        return work(self.model)
