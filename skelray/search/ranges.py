"""What a parameter of a sweep ranges over: its choices, or its lowest and highest value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution

from skelray.search.from_table import ReadSample


@dataclass(frozen=True)
class Range:
    """The range of a parameter.

    choices: of a category, as text; None for a number from low to high, drawn as ``log`` says.
    """

    name: str
    choices: tuple[str, ...] | None = None
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def fraction(self, value: Any) -> float:
        """Returns where a value lies between the ends, 0..1; NaN for None or NaN."""
        if value is None or value != value:
            return math.nan
        if self.choices is not None:
            return self.choices.index(str(value)) / max(1, len(self.choices) - 1)
        low, high, at = (math.log(one) if self.log else float(one) for one in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Returns the labels on an axis of ``fraction``, by their place on it."""
        if self.choices is not None:
            return [(self.fraction(choice), choice) for choice in self.choices]
        return [(0.0, f"{self.low:.3g}"), (1.0, f"{self.high:.3g}")]


def ranges(told: Sequence[ReadSample]) -> dict[str, Range]:
    """Returns the range of each parameter that varies, in the order in which the space asks for them first."""
    names = dict.fromkeys(name for sample in told for name in sample.params)
    drawn = {name: [sample.distributions[name] for sample in told if name in sample.distributions] for name in names}
    values = {name: [sample.params[name] for sample in told if name in sample.params] for name in names}
    return {name: range_of(name, drawn[name], values[name]) for name in names if len(set(map(str, values[name]))) > 1}


def range_of(name: str, drawn: Sequence[Any], values: Sequence[Any]) -> Range:
    """Returns a parameter's range.

    drawn: its distributions, which may differ between samples; none if a table lacks them.
    """
    if any(isinstance(one, CategoricalDistribution) for one in drawn):
        return Range(name, tuple(dict.fromkeys(str(choice) for one in drawn for choice in one.choices)))
    if not all(isinstance(value, (int, float)) for value in values):
        return Range(name, tuple(dict.fromkeys(map(str, values))))
    low = min([*values, *(one.low for one in drawn)])
    high = max([*values, *(one.high for one in drawn)])
    return Range(name, None, low, high, low > 0 and any(one.log for one in drawn))
