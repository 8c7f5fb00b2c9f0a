"""The work of a study that gets more seeds until its contrasts are decided, or a budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from skelray.checks import UserError
from skelray.results import deciding
from skelray.results.book import Book
from skelray.results.schema import COLUMNS
from skelray.results.verdicts import DECIDED, verdicts_of_frame
from skelray.runner.context import Context
from skelray.runner.growing import GrowingWork
from skelray.study.cell import Cell, scalars
from skelray.study.extended import Added, Extended
from skelray.study.notes import notes_of
from skelray.study.study import Expands, Grows

EVERY = "every contrast is decided"
NONE = "no contrast that is not decided is likely to be with {most} pairs"
SPENT = "the budget of {budget} is spent"
SHORT = "what is left of the budget of {budget} is not likely to decide any further contrast"


class DecidingWork(GrowingWork):
    """Adds seeds by the rule of ``results.deciding``. budget: seconds of this run, None for as long as it takes.

    Contrasts are decided by the evaluation that the study's published numbers are from, if the table has it, else by all.
    """

    def __init__(self, study: Expands, context: Context, budget: float | None = None) -> None:
        if isinstance(study, Grows) or not isinstance(study, Expands) or notes_of(study).contrasts == ():
            raise UserError(f"--until-decided: a {type(study).__name__} plans no contrasts that more seeds could decide")
        super().__init__(Extended(study), context)
        self._budget, self._began = budget, time.monotonic()
        self._before: float | None = None  # seconds of training that the store had when the run began
        self._extended = Extended(study)
        self._stuck: set[str] = set()  # contrasts that got seeds and no pair: their trials fail

    def settle(self) -> None:
        if self._book is None:  # what a run will have
            self._book = Book(self._context.name, self._context.settings.results)
            self._put_known(self._book)
        self._before = self._trained() if self._before is None else self._before
        super().settle()

    def next_study(self) -> Expands | None:
        if self._extended.stopped:
            return None
        found, extended = self._found(), self._extended
        if not extended.looks and len(found):
            extended = replace(extended, looks=deciding.looks_for(found["family"].tolist(), found["n"].tolist()))
        self._extended = self._step(found, extended)
        return self._extended

    def _found(self) -> pd.DataFrame:
        """Returns the verdicts on the rows so far, by the evaluation that decides."""
        rows = [row for some in (self._book.rows if self._book else {}).values() for row in some]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"published": float, "value": float})
        frame.attrs["notes"] = self._extended.notes().as_json()
        found = verdicts_of_frame(frame, resamples=False)
        if found.empty:
            return found
        main = found["evaluation"] == getattr(self._extended.study, "published_by", "")
        return found[main] if main.any() else found

    def _step(self, found: pd.DataFrame, extended: Extended) -> Extended:
        """Returns the study with the seeds of a contrast's next look, or with why no more are added."""
        rows = [row for row in found.to_dict("records") if row["word"] not in DECIDED]
        if not rows:
            return replace(extended, stopped=EVERY if len(found) else "no two seeds pair")
        left = math.inf if self._budget is None else self._budget - (time.monotonic() - self._began)
        told = _duration(self._budget or 0)
        if left <= 0:
            return replace(extended, stopped=SPENT.format(budget=told))
        rows = [row for row in rows if _name(row) not in self._stuck]
        margin, rate = extended.notes().margin / 100, self._rate()
        ones = [
            deciding.Open(row["n"], row["mean"], row["sd"], row["family"], margin, self._cost(row, extended.looks) / rate)
            for row in rows
        ]
        number = deciding.cheapest(ones, extended.looks, left)
        if number is None:
            short = deciding.cheapest(ones, extended.looks) is not None
            why = SHORT.format(budget=told) if short else NONE.format(most=extended.looks[-1])
            return replace(extended, stopped=why)
        row = rows[number]
        wanted, pairs = self._wanted(row), _pairs(row, extended.looks)
        had = shared_seeds(wanted, self.cells)
        if len(had) > 3 * (row["n"] + pairs):  # most of its trials fail
            self._stuck.add(_name(row))
        return replace(extended, added=(*extended.added, *(replace(wanted, seed=seed) for seed in _next(had, pairs))))

    def _wanted(self, row: Mapping[Any, Any]) -> Added:
        """Returns the trials that a contrast needs under one more seed."""
        arms = frozenset({row["arm"], row["other"]})
        elsewhere = row["baseline"] != row["other"]  # the other arm is of another setting, which needs the seed, too
        names = {name for cell in self.cells for name in cell.coordinates}
        at = {} if elsewhere else {name: str(row[name]) for name in names if name in row}
        return Added(0, arms, at)

    def _cost(self, row: Mapping[Any, Any], looks: Sequence[int]) -> float:
        """Returns the seconds that a pair trains, by what its arms took so far; an arm that has the seed costs nothing."""
        wanted = self._wanted(row)
        seeds = _next(shared_seeds(wanted, self.cells), _pairs(row, looks))
        total = sum(self._of_arm(arm, wanted, seeds) for arm in wanted.arms)
        return max(total / max(len(seeds), 1), 1e-3)

    def _of_arm(self, arm: str, wanted: Added, seeds: Collection[int]) -> float:
        """Returns the seconds that an arm's missing seeds take: at each place the mean, of several lengths the longest."""
        spent: dict[str, dict[int, float]] = {}
        for number, cell in enumerate(self.cells):
            if cell.arm == arm and wanted.has(arm, cell.coordinates):
                place = scalars({name: value for name, value in cell.coordinates.items() if name != "epochs"})
                of_place = spent.setdefault(place, {})
                of_place[cell.trial.seed] = max(self._seconds(number), of_place.get(cell.trial.seed, 0.0))
        total = 0.0
        for of_place in spent.values():
            known = [seconds for seconds in of_place.values() if seconds > 0]
            total += len(set(seeds) - set(of_place)) * (sum(known) / len(known) if known else 0.0)
        return total

    def _rate(self) -> float:
        """Returns the trained seconds in a second of this run: above 1 if trials run side by side; 1 until one has ended."""
        trained = self._trained() - (self._before or 0.0)
        return trained / max(time.monotonic() - self._began, 1e-9) if trained > 0 else 1.0

    def _trained(self) -> float:
        """Returns the seconds of training of the whole study, each trial counted once."""
        ids = {place.id: number for number, place in enumerate(self._places)}
        return sum(self._seconds(number) for number in ids.values())

    def _seconds(self, number: int) -> float:
        rows = (self._book.curves if self._book else {}).get((self._places[number].id, self.cells[number].trial.epochs), [])
        return sum({row["epoch"]: row["seconds"] for row in rows}.values())


def _pairs(row: Mapping[Any, Any], looks: Sequence[int]) -> int:
    """Returns how many pairs a contrast lacks for its next look."""
    look = deciding.next_look(row["n"], looks)
    return look - row["n"] if look else 0


def _next(had: Collection[int], pairs: int) -> list[int]:
    """Returns so many further seeds, after the present ones, so that earlier looks saw the first pairs."""
    return list(range(max(had, default=-1) + 1, max(had, default=-1) + 1 + pairs))


def shared_seeds(wanted: Added, cells: Iterable[Cell]) -> set[int]:
    """Returns the seeds that all its arms have. A seed of a single arm is half paid for, and is used first."""
    seeds: dict[str, set[int]] = {}
    for cell in cells:
        if wanted.has(cell.arm, cell.coordinates):
            seeds.setdefault(cell.arm, set()).add(cell.trial.seed)
    return set.intersection(*seeds.values()) if seeds else set()


def _name(row: Mapping[Any, Any]) -> str:
    return repr([row[name] for name in ("arm", "baseline", "protocol", "stream", "evaluation", "metric", "epochs")])


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:g} s"
