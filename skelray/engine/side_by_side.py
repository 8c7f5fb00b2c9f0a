"""Several trials on one card: the steps of each side by side in one graph, every trial on a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from skelray.checks import UserError
from skelray.engine.engine import Engine, Trained
from skelray.engine.runners import Captured, Runner, Stepwise


class SideBySide:
    """Trains an epoch of several trials at a time; each is computed as it is alone, from its own tensors.

    Trials may differ in anything but the device, the precision and how many steps their epochs have. Raises UserError for
    others, and for one whose step cannot be captured.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.device = engines[0].device
        self._take(engines)

    def _take(self, engines: Sequence[Engine]) -> None:
        if len({(engine.steps, engine.device, engine.trial.precision) for engine in engines}) > 1:
            raise UserError("trials side by side need epochs of equally many steps, one precision and one device")
        if not all(engine.captured for engine in engines):
            raise UserError("a trial whose step cannot be captured trains alone")
        self.engines = list(engines)
        self._runner: Runner | None = None

    def replace(self, at: int, engine: Engine) -> None:
        """Puts another trial in the place of one that has ended; the next epoch captures anew."""
        self._take([*self.engines[:at], engine, *self.engines[at + 1 :]])

    def epoch(self, numbers: Sequence[int]) -> list[Trained]:
        """Trains the epoch of that number of each trial; what ``Engine.epoch`` gives of each."""
        changed = [engine.begin(number) for engine, number in zip(self.engines, numbers, strict=True)]
        if self._runner is None or any(changed):
            self._runner = self._run_by()
        self._runner.run(self.engines[0].steps)
        return [engine.read() for engine in self.engines]

    def _in_turn(self) -> None:
        for engine in self.engines:
            engine.step()

    def _run_by(self) -> Runner:
        if self.device.type != "cuda":
            return Stepwise(self._in_turn)
        state = [tensor for engine in self.engines for tensor in engine.state()]
        return Captured(_forked([engine.step for engine in self.engines], self.device), state)


def _forked(steps: Sequence[Callable[[], None]], device: torch.device) -> Callable[[], None]:
    """Returns one step that makes each of these on a stream of its own and waits for all."""
    streams = [torch.cuda.Stream(device) for _ in steps]

    def step() -> None:
        current = torch.cuda.current_stream(device)
        for one, stream in zip(steps, streams, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                one()
        for stream in streams:
            current.wait_stream(stream)

    return step
