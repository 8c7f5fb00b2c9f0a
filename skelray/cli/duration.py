"""A span of time on a command line: 4h, 30m, 90s."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class DurationType(click.ParamType):
    """Seconds, from a number and its unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(value))
        if found is None or not float(found[1]):
            self.fail(f"{value!r}: a number above 0 and its unit are needed, as in 4h, 30m or 90s", param, ctx)
        return float(found[1]) * UNITS[found[2]]
