"""What each part of a factorial earns: main effects, interactions and exact Shapley values, with intervals over seeds.

v(S) is the accuracy with the parts S on, under one seed. The effect of a set T of parts is the mean over the sets S of other
parts of the alternating sum of v over S with the subsets of T: for one part what it adds on average over all that the others
may be, for two what they add together beyond what each adds. The Shapley value (1953) of a part is the mean over all orders
of putting parts on of what it adds; over the parts these sum to what all of them earn together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelray.names import HELD_OUT
from skelray.results.inference import t_interval
from skelray.results.statistics import done_rows
from skelray.results.tables import load
from skelray.results.verdicts import judge
from skelray.study.notes import Notes

BETWEEN = " x "  # the parts of an interaction
TOLD = ("n", "mean", "sd", "low", "high", "p", "holm", "word", "reason")  # of a verdict


def attribution(study: str, folder: Path | str = "results", margin: float | None = None) -> pd.DataFrame:
    """Returns the effects of a factorial's parts: a row for each part and pair of parts at each setting of its table.

    margin: effects within it count as equivalent to none, a fraction; the study's own where it is not given.
    """
    return effects_of_frame(load(study, Path(folder)), margin)


def effects_of_frame(frame: pd.DataFrame, margin: float | None = None) -> pd.DataFrame:
    """Returns the effects of a results frame; none if it is of no factorial, or no seed is done in all arms.

    All effects under one evaluation and metric are one family of tests.
    """
    notes = Notes.of(frame.attrs.get("notes", {}))
    margin = notes.margin / 100 if margin is None else margin
    parts = factorial_parts(notes.parts)
    if not parts:
        return pd.DataFrame()
    rows, by = done_rows(frame[~frame["metric"].isin([HELD_OUT, "top5"])])
    shared = [name for name in by if name not in ("arm", "backbone", "epochs")]
    found: list[dict[str, Any]] = []
    for _, family in rows.groupby(["evaluation", "metric"], sort=False):
        own: list[tuple[dict[str, Any], np.ndarray]] = []
        for setting, cells in family.groupby(shared, sort=False, dropna=False):
            values = _values(cells, notes.parts, parts)
            own += [({**dict(zip(shared, setting, strict=True)), **one}, d) for one, d in _effects(values, parts)]
        judged = judge([(d.tolist(), [0.0] * len(d)) for _, d in own], margin)
        for (one, _), verdict in zip(own, judged, strict=True):
            told = {
                name: getattr(verdict, name) for name in ("n", "mean", "sd", "low", "high", "p", "holm", "word", "reason")
            }
            found.append({**one, **told, "family": len(own)})
    return pd.DataFrame(found)


def factorial_parts(on: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the parts of a table that has an arm for each set of them, in the order of the study; else none."""
    names = list(dict.fromkeys(part for arm in on.values() for part in arm))
    arms = {frozenset(arm) for arm in on.values()}
    return names if names and len(arms) == 2 ** len(names) else []


def _values(cells: pd.DataFrame, on: Mapping[str, Sequence[str]], parts: Sequence[str]) -> np.ndarray:
    """Returns (seeds, 2^k) accuracies of the seeds that all arms have done; bit i of a column's number: part i is on."""
    number = {arm: sum(1 << parts.index(part) for part in own) for arm, own in on.items()}
    places = cells["arm"].map(number)
    table = cells.assign(place=places).pivot_table(index="seed", columns="place", values="value")
    return table.reindex(columns=range(2 ** len(parts))).dropna().to_numpy()


def _effects(v: np.ndarray, parts: Sequence[str]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Returns main effects, alone, last and by Shapley, then interactions of two, each with the values of its seeds."""
    if not len(v):
        return []
    found = []
    for i, part in enumerate(parts):
        value = shapley(v, i)
        low, high = t_interval(value)
        alone, last = v[:, 1 << i] - v[:, 0], v[:, -1] - v[:, -1 - (1 << i)]
        told = {
            "alone": alone.mean(),
            "last": last.mean(),
            "shapley": value.mean(),
            "shapley_low": low,
            "shapley_high": high,
        }
        found.append(({"effect": part, "order": 1, **told}, effect(v, (i,))))
    for pair in itertools.combinations(range(len(parts)), 2):
        found.append(({"effect": BETWEEN.join(parts[i] for i in pair), "order": 2}, effect(v, pair)))
    return found


def effect(v: np.ndarray, of: Sequence[int]) -> np.ndarray:
    """Returns (seeds,) the effect of a set of parts by number, from (seeds, 2^k) accuracies."""
    mask = sum(1 << i for i in of)
    total = np.zeros(len(v))
    for s in (s for s in range(v.shape[1]) if not s & mask):
        for size in range(len(of) + 1):
            for chosen in itertools.combinations(of, size):
                total += (-1) ** (len(of) - size) * v[:, s | sum(1 << i for i in chosen)]
    return total * 2 ** len(of) / v.shape[1]


def shapley(v: np.ndarray, i: int) -> np.ndarray:
    """Returns (seeds,) the exact Shapley value of part i, from (seeds, 2^k) accuracies."""
    k = v.shape[1].bit_length() - 1
    total = np.zeros(len(v))
    for s in (s for s in range(v.shape[1]) if not s >> i & 1):
        size = s.bit_count()
        weight = math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k)
        total += weight * (v[:, s | 1 << i] - v[:, s])
    return total
