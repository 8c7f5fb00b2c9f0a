"""A figure with its name, its caption and its numbers; and marks, by which a page finds its parts."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MARK = re.compile(r"mark(?:-a(\d+))?(?:-p(\d+))?(?:-s(\d+))?-n\d+")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawn figure. name: of its files. caption: one sentence. data: what it shows, row by row."""

    name: str
    caption: str
    figure: Figure
    data: pd.DataFrame


@dataclass(frozen=True)
class Marks:
    """The numbers of the arm, protocol and seed by which the page's filters know a thing; None if it has no single one."""

    arm: int | None = None
    protocol: int | None = None
    seed: int | None = None


class Places:
    """The arms, protocols and seeds of a study, each by its number in the order of the table."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.arms = list(dict.fromkeys(frame["arm"]))
        self.protocols = list(dict.fromkeys(frame["protocol"]))
        self.seeds = sorted({int(seed) for seed in frame["seed"]})
        self._numbers = count()

    @cached_property
    def _of(self) -> dict[str, dict[Any, int]]:
        lists = {"arm": self.arms, "protocol": self.protocols, "seed": self.seeds}
        return {name: {value: place for place, value in enumerate(values)} for name, values in lists.items()}

    def marks(self, **values: Any) -> Marks:
        """Returns the marks of an arm, a protocol and a seed."""
        return Marks(**{name: self._of[name].get(value) for name, value in values.items()})

    def mark(self, artist: Artist, **values: Any) -> None:
        """Marks a part of a figure as one of an arm, a protocol, a seed."""
        told = [
            f"-{letter}{place}"
            for letter, place in zip("aps", astuple(self.marks(**values)), strict=True)
            if place is not None
        ]
        artist.set_gid(f"mark{''.join(told)}-n{next(self._numbers)}")
