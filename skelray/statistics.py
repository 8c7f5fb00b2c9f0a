"""What a results frame says: means over seeds, and differences paired by seed."""

from __future__ import annotations

import json
import math

import pandas as pd

from skelray.checks import UserError

SETTINGS = ("study", "arm", "benchmark", "protocol", "stream", "backbone", "evaluation", "metric", "epochs")
OWN = ("stream", "backbone", "epochs")  # settings that an arm may be about
WEIGHTS = "weights"  # scalar of an ensemble's cell, no setting: a search finds others under each seed


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd (ddof 1; NaN for one seed), n, failed and published of each setting, arms in order of appearance.

    A setting is SETTINGS and whatever scalar of the cell varies within an arm. n counts the trials that are done, each
    by its last value; failed those that failed; a trial stopped early counts in neither.
    """
    rows, by = _last(frame)
    failed = (rows["status"] == "failed").rename("failed")
    done = rows.assign(value=rows["value"].where(rows["status"] == "done"), failed=failed)
    groups = done.groupby(by, sort=False, dropna=False)
    return groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        failed=("failed", "sum"),
        published=("published", "first"),
    ).reset_index()


def paired(frame: pd.DataFrame, arm: str, baseline: str) -> pd.DataFrame:
    """Arm minus baseline over the seeds both have done: mean, sd, n and 95 % t interval (low, high) of each setting.

    A seed fixes initial weights, data order and augmentation draws in every arm, so a difference within a seed is free
    of what seeds do. With one pair sd, low and high are NaN. Where the arms differ in stream, backbone or epochs, that is
    part of the difference, and the columns are the arm's.
    """
    rows, by = _last(frame)
    rows = rows[rows["status"] == "done"]
    arms = list(dict.fromkeys(frame["arm"]))
    if unknown := [name for name in (arm, baseline) if name not in arms]:
        raise UserError(f"no arm {unknown[0]!r}; the arms are {', '.join(arms)}")
    by = [name for name in by if name != "arm"]
    left, right = (rows.loc[rows["arm"] == name, [*by, "seed", "value"]] for name in (arm, baseline))
    shared = [name for name in by if name not in OWN or max(left[name].nunique(), right[name].nunique()) > 1]
    pairs = left.merge(right[[*shared, "seed", "value"]], on=[*shared, "seed"], suffixes=("", "_baseline"))
    pairs["value"] -= pairs["value_baseline"]
    groups = pairs.groupby(by, sort=False, dropna=False)
    table = groups.agg(mean=("value", "mean"), sd=("value", "std"), n=("value", "count")).reset_index()
    half = table["sd"] / table["n"] ** 0.5 * table["n"].map(lambda n: t_quantile(n - 1) if n > 1 else math.nan)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def spread(cells: pd.Series) -> pd.DataFrame:
    """The JSON objects of a ``cell`` column as one column a scalar; NaN where a cell lacks it."""
    parsed = {text: json.loads(text) for text in cells.unique()}
    plain = {
        text: {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in cell.items()}
        for text, cell in parsed.items()
    }
    return pd.DataFrame([plain[text] for text in cells], index=cells.index, dtype=object)  # object: k stays 3, not 3.0


def t_quantile(freedom: int, confidence: float = 0.95) -> float:
    """The t for which a Student t variable of integer freedom lies in -t..t with this confidence."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(-t < T < t): the finite sum for integer freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + total) if odd else total


def _last(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The last row of each trial and setting, arm after arm, and the columns that make a setting."""
    frame = frame.reset_index(drop=True)
    cells = spread(frame["cell"])
    arms = [frame["study"], frame["arm"]]
    extra = [
        name
        for name in cells.columns.difference([*frame.columns, WEIGHTS], sort=False)
        if cells[name].groupby(arms).nunique(dropna=False).gt(1).any()
    ]
    by = [*SETTINGS, *extra]
    rows = pd.concat([frame, cells[extra]], axis=1)
    rows = rows.sort_values("epoch", kind="stable").drop_duplicates([*by, "trial"], keep="last").sort_index()
    if (twice := rows.duplicated([*by, "seed"])).any():
        row = rows[twice].iloc[0]
        raise UserError(
            f"arm {row['arm']!r} has two trials for seed {row['seed']}, {row['protocol']}, {row['evaluation']}"
            f" (one is {row['trial']!r}): a mean would count the seed twice"
        )
    order = rows.groupby(["study", "arm"], sort=False).ngroup().sort_values(kind="stable")
    return rows.loc[order.index], by
