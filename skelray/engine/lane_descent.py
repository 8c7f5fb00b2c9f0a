"""The descent of several trials at once: that of ``Descent``, with a rate, a decay and a momentum for each lane."""

from __future__ import annotations

from typing import Any

import torch

from skelray.engine.stack import Stack


class LaneDescent:
    """Moves the trained parameters of a stack; what has no gradient stays where it is, as torch's SGD has it.

    rate, decay, momentum: (lanes, 1). momenta: (lanes, P), zeros before the first step.
    """

    def __init__(self, stack: Stack, momentum: bool, nesterov: bool) -> None:
        self.stack, self.with_momentum, self.nesterov = stack, momentum, nesterov
        whole = stack.trained.whole
        self.rate, self.decay, self.momentum = (whole.new_zeros(len(whole), 1) for _ in range(3))
        self.momenta, self._gradient = torch.zeros_like(whole), torch.zeros_like(whole)
        self._parts = stack.trained.parts(self._gradient)

    @torch.no_grad()
    def step(self) -> None:
        leaves, whole = self.stack.leaves, self.stack.trained.whole
        live = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        torch._foreach_copy_([self._parts[name] for name in live], list(live.values()))
        direction = torch.addcmul(self._gradient, whole, self.decay)
        if still := [part for name, part in self.stack.trained.parts(direction).items() if name not in live]:
            torch._foreach_zero_(still)
        if self.with_momentum:
            self.momenta.mul_(self.momentum).add_(direction)
            direction = torch.addcmul(direction, self.momenta, self.momentum) if self.nesterov else self.momenta
        whole.addcmul_(direction, self.rate, value=-1)

    def forget_gradients(self) -> None:
        for leaf in self.stack.leaves.values():
            leaf.grad = None

    @torch.no_grad()
    def take(self, lane: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Puts an optimizer's momenta into a lane, zeros where it has none yet, and has it read and write them there."""
        self.momenta[lane].zero_()
        if not self.with_momentum:
            return
        own = dict(model.named_parameters())
        for name, there in self.stack.trained.parts(self.momenta).items():
            state: dict[str, Any] = optimizer.state[own[name]]
            found = state.get("momentum_buffer")
            if found is not None:
                there[lane].copy_(found)
            state["momentum_buffer"] = there[lane]

    @staticmethod
    def give_back(optimizer: torch.optim.Optimizer) -> None:
        """Has an optimizer keep its momenta in tensors of its own again."""
        for state in optimizer.state.values():
            if state.get("momentum_buffer") is not None:
                state["momentum_buffer"] = state["momentum_buffer"].clone(memory_format=torch.contiguous_format)
