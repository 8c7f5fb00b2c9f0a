"""A size on a command line: 50G, 500M, 1.5T."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class SizeType(click.ParamType):
    """Bytes, from a number and its unit, a power of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])i?B?", str(value), re.I)
        if found is None or not float(found[1]):
            self.fail(f"{value!r}: a number above 0 and its unit are needed, as in 50G or 500M", param, ctx)
        return int(float(found[1]) * UNITS[found[2].upper()])
