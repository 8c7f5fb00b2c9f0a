"""What a table may claim: one word for each contrast, paired by seed, and the reason for it.

A family is the planned contrasts of one table under one evaluation; Holm's correction (Scand. J. Stat. 1979) is over it.
An exact sign-flip test decides whether a mean differs from 0, a BCa interval (Efron 1987) says by how much, two one-sided
t tests (Schuirmann 1987) whether it is within a margin of 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from skelray.checks import check_number
from skelray.names import HELD_OUT
from skelray.results.statistics import pairs_of
from skelray.results.tables import load

ALPHA, POWER = 0.05, 0.8
MARGIN = 0.01  # one point of accuracy
EXACT = 14  # pairs up to which all 2^n signs are tried; beyond, 99 999 random ones
MOST = 10_000  # pairs beyond which no study goes


@dataclass(frozen=True)
class Verdict:
    """What n pairs say of a contrast; values as they came in (accuracies of 0..1).

    word: helps, hurts, equivalent, not attainable or undecided. low, high: the 95 % BCa interval of the mean. p: of the
    sign-flip test; holm: the same, adjusted over the family. improvement: the probability that a run of the arm is better
    than one of the baseline. correlation: of arm and baseline over seeds; where it is 0, pairing gains nothing.
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


def verdicts(study: str, folder: Path | str = "results", margin: float = MARGIN) -> pd.DataFrame:
    """The verdicts of a study's table, a row for each contrast: each arm against the first one, at each setting.

    margin: differences within it count as equivalent. Raises UserError where there is no such table, or no margin.
    """
    return of_table(load(study, Path(folder)), margin)


def of_table(frame: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """The same of a results frame. All contrasts of one evaluation and metric are one family."""
    check_number("margin", margin, 0)
    rows = frame[~frame["metric"].isin([HELD_OUT, "top5"])]
    first, *others = dict.fromkeys(rows["arm"]) or [""]
    if not others:
        return pd.DataFrame()
    pairs, by = pairs_of(rows, first, others)
    found = []
    for _, family in pairs.groupby(["evaluation", "metric"], sort=False):
        contrasts = list(family.groupby(by, sort=False, dropna=False))
        judged = judge([(one["value"].tolist(), one["value_baseline"].tolist()) for _, one in contrasts], margin)
        for (setting, _), verdict in zip(contrasts, judged, strict=True):
            found.append({**dict(zip(by, setting, strict=True)), "baseline": first, **asdict(verdict)})
    return pd.DataFrame(found)


def judge(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], margin: float = MARGIN, alpha: float = ALPHA
) -> list[Verdict]:
    """The verdicts of a family. pairs: for each contrast the arm's values and the baseline's, seed by seed."""
    differences = [np.asarray(arm, float) - np.asarray(baseline, float) for arm, baseline in pairs]
    p = [sign_flip(d) for d in differences]
    adjusted, least = holm(p), holm([floor(len(d)) for d in differences])
    found = []
    for (arm, baseline), d, one, corrected, best in zip(pairs, differences, p, adjusted, least, strict=True):
        low, high = bca(d, 1 - alpha)
        facts = (len(d), *_moments(d), low, high, one, corrected)
        word, reason = _word(d, low, high, corrected, best, len(pairs), margin, alpha)
        found.append(Verdict(word, reason, *facts, improvement(arm, baseline), _correlation(arm, baseline)))
    return found


def _word(
    d: np.ndarray, low: float, high: float, p: float, best: float, family: int, margin: float, alpha: float
) -> tuple[str, str]:
    n, (mean, sd) = len(d), _moments(d)
    if p < alpha and (low > 0 or high < 0):
        interval = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        return "helps" if mean > 0 else "hurts", f"{100 * mean:+.1f} points {interval}, p = {p:.2g}"
    inner = t_interval(d, 1 - 2 * alpha)
    if -margin < inner[0] and inner[1] < margin:
        return (
            "equivalent",
            f"within {100 * margin:g} points of 0: 90 % interval [{100 * inner[0]:+.1f}, {100 * inner[1]:+.1f}]",
        )
    if best >= alpha:
        needed = seeds_to_pass(family, alpha)
        return "not attainable", f"{n} seeds cannot decide one of {family}: {needed} are needed"
    told = f"would have seen {100 * detectable(n, sd, alpha / family):.1f} points"
    needed = seeds_to_see(margin, sd, family, alpha)
    return "undecided", f"{told}; {needed - n} more seeds see {100 * margin:g}" if n < needed < MOST else told


def sign_flip(d: np.ndarray) -> float:
    """The two-sided p of a mean of 0, where every difference is as likely to have had the other sign. NaN without any."""
    from scipy import stats

    if len(d) == 0:
        return math.nan
    if len(d) == 1:
        return 1.0  # either sign is as far from 0
    tries = np.inf if len(d) <= EXACT else 99_999
    test = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=tries, vectorized=True, rng=0)
    return float(test.pvalue)


def floor(n: int) -> float:
    """The smallest p that a sign-flip test over n pairs can give."""
    return min(1.0, 2.0 ** (1 - n))


def holm(p: Sequence[float]) -> list[float]:
    """The p values adjusted for their number by Holm's step-down rule; NaN counts as 1."""
    filled = np.nan_to_num(np.asarray(p, float), nan=1.0)
    order = np.argsort(filled, kind="stable")
    steps = filled[order] * np.arange(len(filled), 0, -1)
    adjusted = np.empty_like(filled)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(filled) else steps
    return adjusted.tolist()


def bca(d: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval of the mean; NaN for fewer than 3 pairs.

    Of normal differences it covers the mean in 86, 90 and 92 % of cases at 6, 8 and 20 pairs (2000 simulated each), so that
    a verdict asks for the sign-flip test too.
    """
    from scipy import stats

    if len(d) < 3:
        return math.nan, math.nan
    if np.ptp(d) == 0:
        return float(d[0]), float(d[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of differences that are nearly equal: the interval is then NaN
        found = stats.bootstrap((d,), np.mean, confidence_level=confidence, method="BCa", rng=0).confidence_interval
    return float(found.low), float(found.high)


def t_interval(d: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean; NaN for fewer than 2 pairs."""
    from scipy import stats

    if len(d) < 2:
        return math.nan, math.nan
    mean, sd = _moments(d)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * sd / math.sqrt(len(d))
    return mean - half, mean + half


def detectable(n: int, sd: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest mean that a paired t test over n pairs finds at two-sided alpha with this power. NaN for 1 pair."""
    from scipy import optimize, stats

    if n < 2 or not math.isfinite(sd):
        return math.nan
    freedom, critical = n - 1, stats.t.ppf(1 - alpha / 2, n - 1)

    def lacking(shift: float) -> float:  # shift: the mean in standard errors; the other tail is below 1e-4 where it matters
        return power - float(stats.nct.sf(critical, freedom, shift))

    return float(optimize.brentq(lacking, 0, 10 * critical)) * sd / math.sqrt(n)


def seeds_to_pass(family: int, alpha: float = ALPHA) -> int:
    """The fewest pairs whose smallest p passes Holm's first step over a family."""
    return next(n for n in range(1, MOST) if family * floor(n) < alpha)


def seeds_to_see(difference: float, sd: float, family: int = 1, alpha: float = ALPHA) -> int:
    """The fewest pairs that find a difference at Holm's first step with power 0.8, ``MOST`` at most."""
    low = seeds_to_pass(family, alpha) - 1
    if not math.isfinite(sd) or detectable(MOST, sd, alpha / family) > difference:
        return MOST
    high = max(2, low + 1)
    while detectable(high, sd, alpha / family) > difference:
        low, high = high, min(MOST, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(middle, sd, alpha / family) <= difference else (middle, high)
    return high


def improvement(arm: Sequence[float], baseline: Sequence[float]) -> float:
    """P(a run of the arm > a run of the baseline), ties half (Agarwal et al., NeurIPS 2021)."""
    from scipy import stats

    if not len(arm):
        return math.nan
    return float(stats.mannwhitneyu(arm, baseline, method="asymptotic").statistic) / (len(arm) * len(baseline))


def _moments(d: np.ndarray) -> tuple[float, float]:
    mean = float(d.mean()) if len(d) else math.nan
    return mean, float(d.std(ddof=1)) if len(d) > 1 else math.nan


def _correlation(arm: Sequence[float], baseline: Sequence[float]) -> float:
    if len(arm) < 3 or np.ptp(arm) == 0 or np.ptp(baseline) == 0:
        return math.nan
    return float(np.corrcoef(arm, baseline)[0, 1])
