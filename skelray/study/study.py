"""The contract of a study: what the command line and runners need of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from skelray.data import Preprocessing
from skelray.study.cell import Cell, Fused
from skelray.study.quoted import Quoted
from skelray.study.scale import Scale


@runtime_checkable
class Study(Protocol):
    """A study file's ``study``; one whose trials are not known beforehand has its own work in ``runner``."""

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for options that this kind of study would ignore."""
        ...


@runtime_checkable
class Expands(Study, Protocol):
    """A study whose trials are known beforehand; this protocol is all that others need to know of it.

    prepared: the preprocessing behind its published numbers, if not the method's.
    """

    @property
    def prepared(self) -> Preprocessing | None: ...

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Returns its trials at a scale, each with its place in the table and its published numbers."""
        ...

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """Returns the ensembles of these trials; none if the study has none."""
        ...


@runtime_checkable
class HasReferences(Protocol):
    """A study whose table has rows that are only published."""

    @property
    def row_labels(self) -> list[str]:
        """Returns the rows of its table in their order."""
        ...

    def quoted(self, scale: Scale | None = None) -> list[Quoted]:
        """Returns the numbers of those rows at a scale."""
        ...


@runtime_checkable
class Grows(Expands, Protocol):
    """A study whose next trials depend on results."""

    def grown(self, cells: Iterable[Cell], value: Callable[[Cell], float | None]) -> Expands | None:
        """Returns the study with its next trials, once all of its cells have ended; None if there are none.

        cells: its own, at the scale of the run. value: the main metric of a cell's last evaluation, None if it failed.
        """
        ...

    def to_come(self, scale: Scale | None = None) -> list[Cell]:
        """Returns a stand-in for each cell that is not known yet, with another's trial; none if their number is unknown."""
        ...
