"""A check that no scale merges two cells of a study that the study tells apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skelray.checks import UserError
from skelray.identity.canonical import canonical, digest
from skelray.study.cell import Cell
from skelray.study.scale import Scale


def check_apart(cells: Sequence[Cell], written: Callable[[], list[Cell]], scale: Scale) -> None:
    """Raises UserError if two cells of one arm are the same trial, or any two only by the scale.

    written: the cells as the study has them. What a study repeats itself, under two labels, is trained once.
    """
    shared: dict[tuple[int, str], list[int]] = {}
    for number, cell in enumerate(cells):
        shared.setdefault(_encoder(cell), []).append(number)
    if len(shared) == len(cells):
        return
    plain = written()
    first: dict[Any, int] = {}
    for number in (number for same in shared.values() if len(same) > 1 for number in same):
        cell = cells[number]
        for alike in (_encoder, _content):
            one = first.setdefault(alike(cell), number)
            if alike(plain[one]) != alike(plain[number]):
                both = f"{cells[one].name!r} and {cell.name!r} differ in the study"
                raise UserError(f"{both} and would be the same trial {scale.options}: leave one of them out, or that option")
        if (one := first.setdefault((cell.arm, _encoder(cell)), number)) != number:
            both = f"cells {cells[one].name!r} and {cell.name!r} are the same trial twice"
            raise UserError(f"{both}: seeds and values of across have to differ")


def _encoder(cell: Cell) -> tuple[int, str]:
    """Returns a key that is equal for cells served by one training."""
    return cell.trial.epochs, cell.trial.id("")


def _content(cell: Cell) -> str:
    """Returns a key that is equal for cells that are measured alike, too."""
    return digest(canonical(cell.trial))
