"""How many trials may share a GPU, on a command line: a number, or auto."""

from __future__ import annotations

from typing import Any

import click

MOST = 1000
AUTO = 0
LANES = 64  # of auto at most; how many gain is measured, and that ends long before


class PerGpu(click.ParamType):
    """A number of trials from 1; auto: as many as are measured to gain."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            return AUTO
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= MOST:
            self.fail(f"{value!r}: a number of 1..{MOST} or auto is needed", param, ctx)
        return number


def lanes_of(per_gpu: int | None) -> int | None:
    """Returns the most trials that may train as lanes of one step."""
    return LANES if per_gpu == AUTO else per_gpu
