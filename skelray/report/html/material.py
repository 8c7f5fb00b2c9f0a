"""All that a page is made of: the tables of a study and what the store has beside them. No data set, no training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from skelray.checks import UserError
from skelray.names import HELD_OUT, PUBLISHED
from skelray.report.figures.drawing import Places
from skelray.results.tables import curves, load
from skelray.store.files import Files


@dataclass(frozen=True, eq=False)
class Material:
    """frame, curves: the study's tables. store: None where it is not at hand. margin: a fraction, within which
    differences count as equivalent; None for the study's own."""

    study: str
    frame: pd.DataFrame
    curves: pd.DataFrame
    results: Path
    store: Files | None = None
    margin: float | None = None

    @cached_property
    def run(self) -> pd.DataFrame:
        """Without the rows that are only published."""
        return self.frame[self.frame["status"] != PUBLISHED]

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows of evaluations; the others are readings of a search."""
        return self.frame[self.frame["metric"] != HELD_OUT]

    @cached_property
    def searched(self) -> pd.DataFrame:
        """The readings of a search, on held-out training subjects."""
        return self.frame[self.frame["metric"] == HELD_OUT]

    @cached_property
    def places(self) -> Places:
        return Places(self.frame)


def gather_material(study: str, results: Path, store: str | None, margin: float | None = None) -> Material:
    """Returns the material of a study. Raises UserError if it has no table, or an empty one."""
    there = None if store is None or ("://" not in store and not Path(store).is_dir()) else Files(store)
    frame = load(study, results)
    if frame.empty:
        raise UserError(f"the table of {study} is empty: none of its trials has a number yet")
    return Material(study, frame, curves(study, results), Path(results), there, margin)
