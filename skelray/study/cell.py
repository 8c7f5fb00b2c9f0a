"""The content of a study's table: cells, and ensembles of cells that differ in stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skelray.ensemble import Ensemble
from skelray.identity.canonical import canonical
from skelray.study.points import Coordinates
from skelray.trial import Trial


@dataclass(frozen=True)
class Cell:
    """One arm at one point of ``across`` under one seed. published: the paper's 0..1, by column of the table.

    params: of the encoder, in millions, as published.
    """

    arm: str
    trial: Trial
    coordinates: Coordinates
    published: Mapping[str, float] = field(default_factory=dict)
    params: float | None = None

    @property
    def name(self) -> str:
        return " ".join([self.arm, *(str(v) for v in self.coordinates.values()), f"seed {self.trial.seed}"])


@dataclass(frozen=True)
class Fused:
    """An ensemble of cells that differ in stream only, by stream. coordinates: with the ensemble's own stream."""

    arm: str
    members: Mapping[str, Cell]
    ensemble: Ensemble
    coordinates: Coordinates
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def params(self) -> float | None:
        """The published parameters of one stream's encoder, in millions."""
        return next(iter(self.members.values())).params

    @property
    def name(self) -> str:
        return " ".join([self.arm, *(str(v) for v in self.coordinates.values()), f"seed {self.trial.seed}"])

    @property
    def trial(self) -> Trial:
        """The trial of one of its streams."""
        return next(iter(self.members.values())).trial

    def with_trials(self, changed: Callable[[Trial], Trial]) -> Fused:
        members = {stream: replace(cell, trial=changed(cell.trial)) for stream, cell in self.members.items()}
        return replace(self, members=members)


def scalars(coordinates: Mapping[str, Any], **more: Mapping[str, float]) -> str:
    """Returns a cell's coordinates in its study as JSON, for the table's ``cell`` column."""
    return json.dumps({**{name: canonical(value) for name, value in coordinates.items()}, **more}, sort_keys=True)
