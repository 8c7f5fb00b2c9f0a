"""The rows of a table: arms, which are run, and references, which are only published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skelray.checks import UserError, check_label, check_positive
from skelray.study.published import Published, list_figures

Places = Sequence[tuple[str, str]]  # benchmark and protocol


@dataclass(frozen=True)
class Arm:
    """One row of a table. changes: fields by name. published: top-1 in percent for each protocol of the paper.

    For more numbers, published maps to such numbers by the name of an evaluation ("semi 1%", "clustering nmi"), a stream (an
    ensemble's: joint+bone+motion), a benchmark, or one value in the study's ``across``: ("epochs", 300). In a study on
    several places, numbers in a row, [77.8, 83.4, None], are theirs in that order. Each number belongs to one cell; metrics
    that are no accuracy, such as NMI, are fractions, as papers print them.

    at: further changes for the benchmark, protocol or stream of this name, as {"ntu120": {"mask_ratio": 0.2}}.
    on: the study's benchmarks and protocols that it runs on; all by default. params: of the encoder, in millions, as
    published.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: Published = field(default_factory=dict)
    at: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on: Places | None = None
    params: float | None = None

    def __post_init__(self) -> None:
        check_label("arm", self.label)
        _check_numbers("arm", self.label, self.published, self.params)

    def changes_at(self, coordinates: Mapping[str, Any], trial: Mapping[str, Any]) -> dict[str, Any]:
        """Returns its changes at a point. trial: benchmark, protocol and stream there."""
        found = {**coordinates, **self.changes}
        for name in (found.get(kind, trial[kind]) for kind in ("benchmark", "protocol", "stream")):
            found |= self.at.get(name, {})
        return found


@dataclass(frozen=True)
class Reference:
    """A row that is only published: another method's figures, given as an arm's, shown in its place and marked.

    stream, backbone: as the paper names them ("3s", "gru"); empty if it does not say. params: in millions.
    """

    label: str
    published: Published
    stream: str = ""
    backbone: str = ""
    params: float | None = None

    def __post_init__(self) -> None:
        check_label("reference", self.label)
        _check_numbers("reference", self.label, self.published, self.params)
        if not self.published:
            raise UserError(f"reference {self.label!r} has no published number: give it one, or leave it out")


def _check_numbers(kind: str, label: str, published: Published, params: float | None) -> None:
    try:
        list_figures(published)
    except UserError as error:
        raise UserError(f"{kind} {label!r} has {error}") from None
    if params is not None:
        check_positive("params", params)
