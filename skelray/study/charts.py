"""The figures of a study, drawn from its table alone: lines over a number, or grouped bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from skelray.checks import check_label


@dataclass(frozen=True)
class Lines:
    """A line for each arm over a numeric column, such as "epochs"; published numbers are open marks beside it.

    evaluation: as tables name it ("linear", "knn", "clustering nmi"); by default the published one. at: values of columns
    that select cells, as {"stream": "joint+bone+motion"}. Each combination of what else varies has its own panel.
    """

    kind: ClassVar[str] = "lines"

    x: str
    evaluation: str = ""
    at: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_label("x", self.x)


@dataclass(frozen=True)
class Bars(Lines):
    """A group of bars for each value of a column, as "stream", in it a bar for each arm. "place": benchmark and protocol."""

    kind: ClassVar[str] = "bars"

    x: str = "place"


def chart_as_data(chart: Lines) -> dict[str, Any]:
    """Returns the figure as plain data, for the table's notes."""
    return {"kind": chart.kind, "x": chart.x, "evaluation": chart.evaluation, "at": dict(chart.at)}


def chart_from_data(content: Mapping[str, Any]) -> Lines:
    """Rebuilds a figure from plain data."""
    known = {name: content[name] for name in ("x", "evaluation", "at") if name in content}
    return Bars(**known) if content.get("kind") == Bars.kind else Lines(**known)
