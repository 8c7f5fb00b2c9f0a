"""The work of a study that gets more seeds until its contrasts are decided, or a budget is spent."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from skelray.checks import UserError
from skelray.results import deciding
from skelray.results.book import Book
from skelray.results.tables import COLUMNS
from skelray.results.verdicts import DECIDED, of_table
from skelray.runner.context import Context
from skelray.runner.growing import GrowingWork
from skelray.study.cell import Cell
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
        self._extended = Extended(study)
        self._stuck: set[str] = set()  # contrasts that got seeds and no pair: their trials fail

    def settle(self) -> None:
        if self._book is None:  # what a run will have
            self._book = Book(self._context.name, self._context.settings.results)
            self._put_known(self._book)
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
        """The verdicts of the rows that there are, by the evaluation that decides."""
        rows = [row for some in (self._book.rows if self._book else {}).values() for row in some]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"published": float, "value": float})
        frame.attrs["notes"] = self._extended.notes().content()
        found = of_table(frame)
        if found.empty:
            return found
        main = found["evaluation"] == getattr(self._extended.study, "published_by", "")
        return found[main] if main.any() else found

    def _step(self, found: pd.DataFrame, extended: Extended) -> Extended:
        """The study with the seeds of the next look of a contrast, or with why it ended."""
        rows = [row for row in found.to_dict("records") if row["word"] not in DECIDED]
        if not rows:
            return replace(extended, stopped=EVERY if len(found) else "no two seeds pair")
        left = math.inf if self._budget is None else self._budget - (time.monotonic() - self._began)
        told = _duration(self._budget or 0)
        if left <= 0:
            return replace(extended, stopped=SPENT.format(budget=told))
        rows = [row for row in rows if _name(row) not in self._stuck]
        margin = extended.notes().margin / 100
        ones = [deciding.Open(row["n"], row["mean"], row["sd"], row["family"], margin, self._cost(row)) for row in rows]
        number = deciding.cheapest(ones, extended.looks, left)
        if number is None:
            short = deciding.cheapest(ones, extended.looks) is not None
            why = SHORT.format(budget=told) if short else NONE.format(most=extended.looks[-1])
            return replace(extended, stopped=why)
        row = rows[number]
        look = deciding.next_look(row["n"], extended.looks)
        added = self._added(row, look - row["n"] if look else 0)
        return replace(extended, added=(*extended.added, *added))

    def _added(self, row: Mapping[Any, Any], pairs: int) -> list[Added]:
        """So many further seeds of a contrast, after those that it has, so that earlier looks saw its first pairs."""
        arms = frozenset({row["arm"], row["other"]})
        elsewhere = row["baseline"] != row["other"]  # the other arm is of another setting, which needs the seed, too
        names = {name for cell in self.cells for name in cell.coordinates}
        at = {} if elsewhere else {name: str(row[name]) for name in names if name in row}
        own = Added(0, arms, at)
        had = shared_seeds(own, self.cells)
        if len(had) > 3 * (row["n"] + pairs):  # most of its trials fail
            self._stuck.add(_name(row))
        return [replace(own, seed=seed) for seed in itertools.islice(itertools.count(max(had, default=-1) + 1), pairs)]

    def _cost(self, row: Mapping[Any, Any]) -> float:
        """Seconds of training that a pair takes, by what its arms have taken so far."""
        total = 0.0
        for arm in {row["arm"], row["other"]}:
            spent = [self._seconds(number) for number, cell in enumerate(self.cells) if cell.arm == arm]
            known = [seconds for seconds in spent if seconds > 0]
            total += sum(known) / len(known) if known else 0.0
        return max(total, 1e-3)

    def _seconds(self, number: int) -> float:
        rows = (self._book.curves if self._book else {}).get((self._places[number].id, self.cells[number].trial.epochs), [])
        return sum({row["epoch"]: row["seconds"] for row in rows}.values())


def shared_seeds(wanted: Added, cells: Iterable[Cell]) -> set[int]:
    """The seeds that all of its arms have; one that a single arm has is free for the others, which costs half."""
    seeds: dict[str, set[int]] = {}
    for cell in cells:
        if wanted.has(cell.arm, cell.coordinates):
            seeds.setdefault(cell.arm, set()).add(cell.trial.seed)
    return set.intersection(*seeds.values()) if seeds else set()


def _name(row: Mapping[Any, Any]) -> str:
    return repr([row[name] for name in ("arm", "baseline", "protocol", "stream", "evaluation", "metric", "epochs")])


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:g} s"
