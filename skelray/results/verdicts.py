"""What a table may claim: one word for each contrast, paired by seed, and the reason for it.

A family is the planned contrasts of one table under one evaluation; Holm's correction (Scand. J. Stat. 1979) is over it.
An exact sign-flip test decides whether a mean differs from 0, Student's interval says by how much, two one-sided t tests
(Schuirmann 1987) whether it is within a margin of 0. A BCa interval stands beside them in the frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import check_number
from skelray.names import HELD_OUT
from skelray.results import inference
from skelray.results.inference import ALPHA
from skelray.results.looks import always_valid, least, looks_reached, spending
from skelray.results.statistics import contrasted
from skelray.results.tables import load
from skelray.study.contrasts import Contrast, planned_contrasts
from skelray.study.notes import MARGIN, Notes

DECIDED = ("helps", "hurts", "equivalent")
BCA = ("bca_low", "bca_high")


@dataclass(frozen=True)
class Verdict:
    """The verdict on a contrast by n pairs; values as they came in (accuracies of 0..1).

    word: helps, hurts, equivalent, not attainable or undecided. low, high: Student's 95 % interval of the mean; where seeds
    were added until it was decided, at the level that the last look spent. p: of the sign-flip test, corrected for looks;
    holm: the same, adjusted over the family. improvement: the probability that a run of the arm is better than one of the
    other. correlation: of both over seeds; where it is 0, pairing gains nothing. claim: of what a paper says, confirmed,
    contradicted or the word of what decides nothing; empty where it says nothing.
    NaN stands for what n pairs do not tell.
    """

    word: str
    reason: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float
    holm: float
    improvement: float
    correlation: float
    claim: str = ""


def verdicts(study: str, folder: Path | str = "results", margin: float | None = None) -> pd.DataFrame:
    """Returns the verdicts of a study's table, a row for each planned contrast at each setting, with its 95 % BCa interval.

    margin: differences within it count as equivalent, a fraction; the study's own where it is not given. Raises UserError
    where there is no such table, or no margin.
    """
    return verdicts_of_frame(load(study, Path(folder)), margin)


def verdicts_of_frame(frame: pd.DataFrame, margin: float | None = None, resamples: bool = True) -> pd.DataFrame:
    """Returns the verdicts of a results frame. All contrasts of one evaluation and metric are one family.

    resamples: with the BCa intervals, which take a second of the processor and decide no word.
    """
    notes = Notes.of(frame.attrs.get("notes", {}))
    margin = notes.margin / 100 if margin is None else margin
    check_number("margin", margin, 0)
    rows = frame[~frame["metric"].isin([HELD_OUT, "top5"])]
    contrasts = planned_contrasts("first", dict.fromkeys(rows["arm"])) if notes.contrasts is None else notes.contrasts
    if not contrasts or rows.empty:
        return pd.DataFrame()
    pairs, by = contrasted(rows, contrasts)
    found = []
    for named, family in pairs.groupby(["evaluation", "metric"], sort=False):
        ones = list(family.groupby(["contrast", *by], sort=False, dropna=False))
        size = len(ones) + _waiting(rows, contrasts, set(family["contrast"]), named)
        values = [(one["value"].tolist(), one["value_baseline"].tolist()) for _, one in ones]
        judged = judge(values, margin, family=size, looks=notes.looks)
        for ((_, *setting), own), verdict in zip(ones, judged, strict=True):
            one = contrasts[own["contrast"].iloc[0]]
            told = asdict(verdict) | {"claim": _of_claim(one.claim, verdict.word)}
            if resamples:
                told |= dict(zip(BCA, _bca(own, looked=bool(notes.looks)), strict=True))
            found.append(
                {**dict(zip(by, setting, strict=True)), "baseline": one.name, "other": one.other, "family": size, **told}
            )
    return pd.DataFrame(found)


def _bca(pairs: pd.DataFrame, looked: bool) -> tuple[float, float]:
    """Returns the BCa interval; none of a table that was looked at before, as the looks would not widen it."""
    return (float("nan"),) * 2 if looked else inference.bca((pairs["value"] - pairs["value_baseline"]).to_numpy())


def _waiting(rows: pd.DataFrame, contrasts: Sequence[Contrast], seen: set[int], measured: Any) -> int:
    """Returns how many planned contrasts have no pair yet under an evaluation, of those whose arms may still get one."""
    named = dict(zip(("evaluation", "metric"), measured, strict=True))
    there = rows[(rows["evaluation"] == named["evaluation"]) & (rows["metric"] == named["metric"])]
    without = set(rows["arm"]) - set(there["arm"])  # measured, and not by this evaluation
    waiting = [one for number, one in enumerate(contrasts) if number not in seen and not {one.arm, one.other} & without]
    return sum(all(one.at.get(name, value) == value for name, value in named.items()) for one in waiting)


def _of_claim(claim: str, word: str) -> str:
    if not claim or word not in ("helps", "hurts"):
        return word if claim and word == "not attainable" else "undecided" if claim else ""
    return "confirmed" if (claim == "above") == (word == "helps") else "contradicted"


def judge(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]],
    margin: float = MARGIN / 100,
    alpha: float = ALPHA,
    *,
    family: int | None = None,
    looks: Sequence[int] = (),
) -> list[Verdict]:
    """Returns the verdicts of a family. pairs: for each contrast the arm's values and the other's, seed by seed.

    family: how many contrasts it has, where some have no pair yet. looks: the numbers of pairs at which it was looked.
    """
    used = [(np.asarray(arm, float)[:n], np.asarray(other, float)[:n]) for arm, other, n in _looked_at(pairs, looks)]
    differences = [arm - other for arm, other in used]
    size = max(len(pairs), family or 0)
    adjusted = inference.holm([always_valid(d, looks) for d in differences], size)
    best = inference.holm([least(len(d), looks) for d in differences], size)
    return [
        _verdict(arm, other, _Asked(margin, alpha, size, looks), corrected, attainable)
        for (arm, other), corrected, attainable in zip(used, adjusted, best, strict=True)
    ]


def _looked_at(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], looks: Sequence[int]
) -> Iterator[tuple[Sequence[float], Sequence[float], int]]:
    """Yields each contrast with the pairs that its last look saw; those beyond wait for the next."""
    for arm, other in pairs:
        k = looks_reached(len(arm), looks)
        yield arm, other, looks[k - 1] if k else len(arm)


@dataclass(frozen=True)
class _Asked:
    """The conditions of a family's tests: its margin, level, size, and looks."""

    margin: float
    alpha: float
    size: int
    looks: Sequence[int]

    def level(self, n: int) -> float:
        """Returns the level that is spent where n pairs are looked at."""
        return self.alpha * spending(max(1, looks_reached(n, self.looks))) if self.looks else self.alpha


def _verdict(arm: np.ndarray, other: np.ndarray, asked: _Asked, corrected: float, attainable: float) -> Verdict:
    d = arm - other
    low, high = inference.t_interval(d, 1 - asked.level(len(d)))
    word, reason = _word(d, low, high, asked, corrected, attainable)
    facts = (len(d), *inference.moments(d), low, high, always_valid(d, asked.looks), corrected)
    return Verdict(word, reason, *facts, inference.improvement(arm, other), inference.correlation(arm, other))


def _word(d: np.ndarray, low: float, high: float, asked: _Asked, p: float, attainable: float) -> tuple[str, str]:
    n, (mean, sd), level, margin = len(d), inference.moments(d), asked.level(len(d)), asked.margin
    if p < asked.alpha and (low > 0 or high < 0):
        return "helps" if mean > 0 else "hurts", f"p = {p:.2g} of {asked.size}" if asked.size > 1 else f"p = {p:.2g}"
    inner = inference.t_interval(d, 1 - 2 * level)
    if -margin < inner[0] and inner[1] < margin:
        told = f"{100 - 200 * level:.4g} % interval [{100 * inner[0]:+.1f}, {100 * inner[1]:+.1f}]"
        return "equivalent", f"within {100 * margin:g} points of 0: {told}"
    if attainable >= asked.alpha:
        needed = inference.seeds_to_pass(asked.size, asked.alpha * spending(1) if asked.looks else asked.alpha)
        return "not attainable", f"{_seeds(n)} cannot decide one of {asked.size}: {needed} are needed"
    told = f"would have seen {100 * inference.detectable(n, sd, level / asked.size):.1f} points"
    needed = inference.seeds_to_see(margin, sd, asked.size, level)
    if n < needed < inference.MOST:
        return "undecided", f"{told}; {needed - n} more seeds see {100 * margin:g}"
    return "undecided", told if math.isfinite(sd) else f"no spread is known of {_seeds(n)}"


def _seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"
