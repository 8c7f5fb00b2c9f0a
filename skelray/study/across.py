"""Checks of what a study goes across, its streams and its seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skelray.checks import MOST_SEED, MOST_SEEDS, UserError, check_whole, quote_value
from skelray.ensemble import Ensemble


def check_across(across: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Returns the series of a study's ``across`` as tuples. Raises UserError for a value that is no series."""
    for name, values in across.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise UserError(f"across {name} {values!r}: a list of values is needed")
    return {name: tuple(values) for name, values in across.items()}


def check_ensemble(ensemble: Ensemble | None, across: Mapping[str, Sequence[Any]]) -> None:
    """Raises UserError for an ensemble of streams that a study does not go across."""
    streams = across.get("stream", ())
    if ensemble is not None and (missing := [s for s in ensemble.weights if s not in streams]):
        known = f"goes across {', '.join(streams)}" if streams else "does not go across streams"
        raise UserError(f"the ensemble fuses stream {missing[0]!r}, and the study {known}: add it to across")


def whole_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """Returns seeds as a tuple, also from a generator. Raises UserError for invalid ones and for too many."""
    if not isinstance(seeds, Iterable):
        raise UserError(f"seeds {quote_value(seeds)}: several are needed, as in range(3)")
    found = tuple(itertools.islice(seeds, MOST_SEEDS + 1))
    if len(found) > MOST_SEEDS:
        raise UserError(f"seeds {quote_value(seeds)}: at most {MOST_SEEDS} of them")
    for seed in found:
        check_whole("seed", seed, 0, MOST_SEED)
    return found
