"""What the command line and runners ask of any kind of study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from skelray.data import Preprocessing
from skelray.study.cell import Cell, Fused
from skelray.study.quoted import Quoted
from skelray.study.scale import Scale


@runtime_checkable
class Study(Protocol):
    """What a study file's ``study`` is; one whose trials are not known beforehand has its own work in ``runner``."""

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for what a user asks for that this kind of study would not listen to."""
        ...


@runtime_checkable
class Expands(Study, Protocol):
    """A study whose trials are known beforehand; nothing else need know of such a kind.

    prepared: how the data of its published numbers was, where that is not what the method's paper has.
    """

    @property
    def prepared(self) -> Preprocessing | None: ...

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Its trials at a scale, each with its place in the table and the published numbers beside it."""
        ...

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """The ensembles of these trials; none where the study fuses none."""
        ...


@runtime_checkable
class HasReferences(Protocol):
    """A study whose table has rows that are only published."""

    @property
    def labels(self) -> list[str]:
        """The rows of its table in their order."""
        ...

    def quoted(self, scale: Scale | None = None) -> list[Quoted]:
        """The numbers of those rows at a scale."""
        ...


@runtime_checkable
class Grows(Expands, Protocol):
    """A study of which results decide what comes next."""

    def grown(self, cells: Iterable[Cell], value: Callable[[Cell], float | None]) -> Expands | None:
        """The study with what comes next, once all of its cells have ended; None where nothing does.

        cells: its own, at the scale of the run. value: the main metric of a cell's last evaluation, None where it failed.
        """
        ...

    def to_come(self, scale: Scale | None = None) -> list[Cell]:
        """As many cells as are not known yet, with the trial of another in their place; none where nobody can know."""
        ...
