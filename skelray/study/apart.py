"""Holds the cells of a study apart: no scale may make one trial of two that the study tells apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skelray.checks import UserError
from skelray.identity.canonical import canonical, digest
from skelray.study.cell import Cell
from skelray.study.scale import Scale


def check_apart(cells: Sequence[Cell], written: Callable[[], list[Cell]], scale: Scale) -> None:
    """Raises UserError for two cells of one arm that are one trial, and for any two that only the scale makes one.

    written: what the cells are in the study as it stands. What a study says twice itself, under two labels, is trained once.
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
                raise UserError(f"{both} and would be the same trial {scale.said}: leave one of them out, or that")
        if (one := first.setdefault((cell.arm, _encoder(cell)), number)) != number:
            both = f"cells {cells[one].name!r} and {cell.name!r} are the same trial twice"
            raise UserError(f"{both}: seeds and values of across have to differ")


def _encoder(cell: Cell) -> tuple[int, str]:
    """Equal for cells that one training serves."""
    return cell.trial.epochs, cell.trial.id("")


def _content(cell: Cell) -> str:
    """Equal for cells that are measured alike, too."""
    return digest(canonical(cell.trial))
