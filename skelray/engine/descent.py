"""Stochastic gradient descent whose rate is a tensor, so that a captured step reads the one of its epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from skelray.augment import CannotCapture


class Descent:
    """The step of torch's SGD on the same parameters and momenta; momenta are zeros before the first, and never move.

    optimizer: whose state is kept and loaded; it takes no step itself. Raises CannotCapture where it is not torch's SGD.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        if type(optimizer) is not torch.optim.SGD:
            raise CannotCapture(f"its optimizer is {type(optimizer).__name__}, not torch's SGD")
        self.optimizer, (self.group,) = optimizer, optimizer.param_groups
        self.parameters: list[Tensor] = self.group["params"]
        self.rate = torch.zeros((), device=self.parameters[0].device)
        self.momenta = [torch.zeros_like(p) for p in self.parameters] if self.group["momentum"] else []
        self.adopt()

    @torch.no_grad()
    def adopt(self) -> None:
        """Takes the momenta that the optimizer has, as after loading them, and gives it its own in their place."""
        for parameter, momentum in zip(self.parameters, self.momenta, strict=False):
            state = self.optimizer.state[parameter]
            found = state.get("momentum_buffer")
            if found is None:
                momentum.zero_()
            elif found is not momentum:
                momentum.copy_(found)
            state["momentum_buffer"] = momentum

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        group = self.group
        live = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        parameters = [self.parameters[i] for i in live]
        direction: list[Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        if group["weight_decay"]:
            direction = list(torch._foreach_add(direction, parameters, alpha=group["weight_decay"]))
        if self.momenta:
            momenta = [self.momenta[i] for i in live]
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_add_(momenta, direction)
            nesterov = group["nesterov"]
            direction = list(torch._foreach_add(direction, momenta, alpha=group["momentum"])) if nesterov else momenta
        torch._foreach_sub_(parameters, torch._foreach_mul(direction, self.rate))

    def forget_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
