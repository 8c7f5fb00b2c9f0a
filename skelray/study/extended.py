"""A study with further seeds for some of its arms, at some of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skelray.data import Preprocessing
from skelray.study.cell import Cell, Fused, scalars
from skelray.study.notes import Notes, notes_of
from skelray.study.scale import Scale
from skelray.study.study import Expands


@dataclass(frozen=True)
class Added:
    """A seed added for some arms. at: the values in ``across``, as text, at which it is added."""

    seed: int
    arms: frozenset[str]
    at: Mapping[str, str] = field(default_factory=dict)

    def has(self, arm: str, coordinates: Mapping[str, Any]) -> bool:
        """Returns whether the seed is added for a cell, or for one of an ensemble's."""
        shared = [name for name in self.at if name in coordinates]
        return arm in self.arms and all(
            str(coordinates[name]) in (self.at[name], *self.at[name].split("+")) for name in shared
        )


@dataclass(frozen=True)
class Extended:
    """A study with added seeds. looks, stopped: as in the notes of its table."""

    study: Expands
    added: tuple[Added, ...] = ()
    looks: tuple[int, ...] = ()
    stopped: str = ""

    @property
    def prepared(self) -> Preprocessing | None:
        return self.study.prepared

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for options that the study would ignore."""
        self.study.refuse(asked)

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Returns the study's cells, then those of the added seeds in the order of adding."""
        found = list(self.study.cells(scale))
        known = {_key(cell) for cell in found}
        for one in self.added:
            for cell in self.study.cells(replace(scale or Scale(), seeds=(one.seed,))):
                if one.has(cell.arm, cell.coordinates) and _key(cell) not in known:
                    known.add(_key(cell))
                    found.append(cell)
        return found

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """Returns the study's ensembles, and those whose every stream has the added seed."""
        found = list(self.study.fused(scale))
        if not found:
            return found
        there = {_key(cell) for cell in self.cells(scale)}
        own = {one.trial.seed for one in found}
        for seed in dict.fromkeys(one.seed for one in self.added if one.seed not in own):
            more = self.study.fused(replace(scale or Scale(), seeds=(seed,)))
            found += [one for one in more if all(_key(cell) in there for cell in one.members.values())]
        return found

    def notes(self) -> Notes:
        """Returns the study's notes, and how seeds were added."""
        return replace(notes_of(self.study), looks=self.looks, stopped=self.stopped)


def _key(cell: Cell) -> tuple[str, str, int]:
    return cell.arm, scalars(cell.coordinates), cell.trial.seed
