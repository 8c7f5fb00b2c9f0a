"""What a search is read by in the end: the published setting and the best sample on the test split, with all their seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from skelray.search.best_weights import under_best_weights, with_held_out
from skelray.search.sample import Sample
from skelray.search.search import Search
from skelray.store.store import Store
from skelray.study.cell import Cell, Fused, scalars
from skelray.study.changes import changed
from skelray.trial import Trial


def finalists(search: Search, best: Sample | None) -> dict[str, Sample]:
    """Returns the samples that are evaluated on the test split, by the arm of their rows.

    With further objectives they are those of the Pareto front, else the best one.
    """
    first, found = search.samples.get(0), {}
    if first is not None and first.status == "done" and search.published:
        found["published (test)"] = first
    if search.sweep.objectives:
        return found | {f"front: {search.arm_label(sample)} (test)": sample for sample in search.front()}
    return found | ({f"best: {search.arm_label(best)} (test)": best} if best is not None else {})


def final_cells(search: Search, chosen: dict[str, Sample]) -> list[Cell]:
    """Returns each finalist under every seed that any was trained under, at each point that the sweep goes across."""
    seeds = list(dict.fromkeys(seed for sample in chosen.values() for seed in (*sample.trials, *sorted(sample.raced))))
    across = search.sweep.across
    found = []
    for arm, sample in chosen.items():
        for values, seed in itertools.product(itertools.product(*across.values()), seeds):
            coordinates = dict(zip(across, values, strict=True))
            trial = changed(search.final(sample, seed), coordinates)
            found.append(Cell(arm, trial if search.sweep.ensemble is None else with_held_out(trial), coordinates))
    return found


def final_ensembles(search: Search, own: Sequence[Cell]) -> list[Fused]:
    """Returns the ensembles of the finals, if the sweep fuses streams."""
    ensemble = search.sweep.ensemble
    if ensemble is None:
        return []
    alike: dict[tuple[str, str, int], dict[str, Cell]] = {}
    for cell in own:
        where = scalars({**cell.coordinates, "stream": ensemble.stream})
        alike.setdefault((cell.arm, where, cell.trial.seed), {})[cell.trial.stream] = cell
    found = []
    for (arm, _, _), by_stream in alike.items():
        members = {stream: by_stream[stream] for stream in ensemble.weights}
        one = next(iter(members.values()))
        found.append(Fused(arm, members, ensemble, {**one.coordinates, "stream": ensemble.stream}))
    return found


def weighed(own: Sequence[Fused], store: Store, data: Callable[[Trial], str], look: bool) -> list[Fused]:
    """Returns the ensembles, each followed by itself under its best weights. look: weights not chosen yet are chosen now."""
    return [one for each in own for one in (each, *under_best_weights(each, store, data(each.trial), look))]
