"""The classes and keys that a table's cells name, with notes on odd spellings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skelray.data.benchmark import Key
from skelray.data.own.cells import NEGATIVE, NO_NAME, NUMBER, PERHAPS, WHOLE, normalised, nothing
from skelray.data.stored import DataError


@dataclass(frozen=True)
class Labels:
    """The labels of a table, normalised, and notes on those with several spellings."""

    names: frozenset[str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, written: Iterable[str], source: Path) -> Labels:
        """Collects labels. Raises DataError if there is none."""
        ways: dict[str, list[str]] = {}
        for label in sorted(written):
            ways.setdefault(normalised(label), []).append(label)
        if not ways:
            raise DataError(f"{source} has no rows")
        for name in [name for name in ways if name.lower() in NO_NAME or NEGATIVE.fullmatch(name)]:
            del ways[name]
        if not ways:
            raise DataError(f"{source} has no label: every cell of the column is empty or a negative number")
        notes = [
            f"labels that differ in blanks or in how a letter is stored are one class: {_quoted(alike)}"
            for alike in ways.values()
            if len(alike) > 1
        ]
        small: dict[str, list[str]] = {}
        for name in ways:
            small.setdefault(name.casefold(), []).append(name)
        notes += [
            f"labels that differ in capital letters are different classes: {_quoted(alike)}"
            for alike in small.values()
            if len(alike) > 1
        ]
        if words := [name for name in ways if name.lower() in PERHAPS]:
            notes.append(f"labels that may say that there is none are classes: {_quoted(words)}")
        return cls(frozenset(ways), tuple(notes))


@dataclass(frozen=True)
class Keys:
    """The values of a column that protocols divide by: whole numbers, or texts numbered from 1."""

    column: str
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, column: str, written: Iterable[str], trains: Mapping[str, tuple[Key, list[int | str]]]) -> Keys:
        """Collects a column's keys. written: its different cells, none if it is numeric. trains: as protocols list them.

        They are texts if no cell is a whole number, or if a protocol lists texts. Raises DataError if the cells are texts
        and a
        protocol lists numbers.
        """
        said = {normalised(cell) for cell in written if not nothing(cell)}
        odd = sorted(cell for cell in said if not NUMBER.fullmatch(cell))
        listed = {name: train for name, (by, train) in trains.items() if by == column}
        if not odd or (_numbers(said) and all(_numbers(train) for train in listed.values())):
            note = f"{column}s that are no whole numbers count as unknown: {_quoted(odd)}"
            return cls(column, notes=(note,) if odd else ())
        if column == "part" or (wrong := [name for name, train in listed.items() if not _texts(train)]):
            way = "0 trains and 1 tests" if column == "part" else f"protocols.{wrong[0]}.train may list such texts instead"
            raise DataError(f"the column {column} must hold whole numbers, and holds {odd[0][:50]!r}: {way}")
        texts = tuple(sorted(said))
        numbered = some([f"{text} is {number}" for number, text in enumerate(texts, start=1)])
        return cls(column, texts, (f"{column}s are texts, which are numbered: {numbered}",))

    def numbers(self, listed: list[int | str]) -> tuple[int, ...]:
        """Translates a protocol's training list to the column's numbers. Raises DataError for values it cannot hold."""
        if not self.texts:
            if wrong := [one for one in listed if not WHOLE.fullmatch(str(one))]:
                raise DataError(
                    f"train must be a list of whole numbers, as the column {self.column} holds them, and names {wrong[0]!r}"
                )
            return tuple(int(float(one)) for one in listed)
        places = {text: place for place, text in enumerate(self.texts, start=1)}
        if wrong := [one for one in listed if normalised(str(one)) not in places]:
            raise DataError(f"train names {wrong[0]!r}; the column {self.column} holds {some(self.texts)}")
        return tuple(places[normalised(str(one))] for one in listed)


def some(names: Iterable[str]) -> str:
    """Returns the first ten names as a text."""
    listed = list(names)
    return ", ".join(listed[:10]) + (", ..." if len(listed) > 10 else "")


def _numbers(cells: Iterable[int | str]) -> bool:
    """Returns whether any cell is a whole number."""
    return any(WHOLE.fullmatch(str(cell)) for cell in cells)


def _texts(cells: Iterable[int | str]) -> bool:
    """Returns whether all cells are texts."""
    return all(isinstance(cell, str) for cell in cells)


def _quoted(names: Iterable[str]) -> str:
    return some([repr(name) for name in names])
