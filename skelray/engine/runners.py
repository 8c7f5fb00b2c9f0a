"""How the steps of an epoch are made: each by its own calls, or as one graph of a CUDA device that is replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from skelray.augment import CannotCapture

WARM_UP = 3  # steps before a capture: they pick algorithms and make workspaces


class Runner(Protocol):
    def run(self, steps: int) -> None:
        """Makes so many steps, one after another."""
        ...


class Stepwise:
    """Calls the step itself: what a graph replays, on any device."""

    def __init__(self, step: Callable[[], None]) -> None:
        self.step = step

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()


class Captured:
    """The step as one CUDA graph. state: every tensor that the step writes, which neither warm-up nor capture may move.

    Raises CannotCapture, with torch's own words, where the step cannot be captured.
    """

    def __init__(self, step: Callable[[], None], state: Sequence[Tensor]) -> None:
        kept, device = [t.detach().clone() for t in state], state[0].device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                step()
                restore(state, kept)  # the clock too: an epoch may have fewer steps
        torch.cuda.current_stream(device).wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph):
                step()
        except RuntimeError as error:
            raise CannotCapture(str(error).partition("\n")[0]) from error
        finally:
            restore(state, kept)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.graph.replay()


@torch.no_grad()
def restore(state: Sequence[Tensor], kept: Sequence[Tensor]) -> None:
    """Puts numbers back that tensors had before."""
    for tensor, before in zip(state, kept, strict=True):
        tensor.copy_(before)
