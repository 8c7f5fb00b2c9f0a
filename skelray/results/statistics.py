"""What a results frame says: means over seeds, and differences paired by seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.names import streams_in_order
from skelray.study.contrasts import Contrast

SETTINGS = ("study", "arm", "benchmark", "protocol", "stream", "backbone", "evaluation", "metric", "epochs")
SHOWN = ("benchmark", "protocol", "stream", "epochs")  # settings that say all that a scalar of that name does
OWN = ("stream", "backbone", "epochs")  # settings that an arm may be about
FACTS = ("mean", "sd", "n", "failed", "published", "low", "high")  # what the tables here add to settings
WEIGHTS = "weights"  # an ensemble's, in its cell: no setting, as a search finds others under each seed


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns mean, sd (ddof 1; NaN for one seed), n, failed and published of each setting, arms in order of appearance.

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
    """Returns arm minus baseline over the seeds both have done: mean, sd, n and 95 % t interval (low, high) of each setting.

    A seed fixes initial weights, data order and augmentation draws in every arm, so a difference within a seed is free
    of what seeds do. With one pair sd, low and high are NaN. Where the arms differ in stream, backbone or epochs, that is
    part of the difference, and the columns are the arm's.
    """
    return against(frame, baseline, [arm]).drop(columns="arm")


def against(frame: pd.DataFrame, baseline: str, arms: Sequence[str]) -> pd.DataFrame:
    """Returns each arm minus the baseline, as ``paired`` does for one, with a column for the arm."""
    pairs, by = pairs_of(frame, baseline, arms)
    pairs["value"] -= pairs["value_baseline"]
    groups = pairs.groupby(by, sort=False, dropna=False)
    table = groups.agg(mean=("value", "mean"), sd=("value", "std"), n=("value", "count")).reset_index()
    half = table["sd"] / table["n"] ** 0.5 * t_quantile(table["n"] - 1)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def pairs_of(frame: pd.DataFrame, baseline: str, arms: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Returns a row with both values for each seed that arm and baseline have done, and the columns of a setting."""
    rows, by = done_rows(frame)
    known = list(dict.fromkeys(frame["arm"]))
    if unknown := [name for name in (*arms, baseline) if name not in known]:
        raise UserError(f"no arm {unknown[0]!r}; the arms are {', '.join(known)}")
    pairs = _merged(rows[rows["arm"].isin(arms)], rows[rows["arm"] == baseline], by)
    order = pd.Categorical(pairs["arm"], list(dict.fromkeys(arms)))  # the arms as they were asked for
    return pairs.iloc[np.argsort(order.codes, kind="stable")].copy(), by


def done_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Returns the last row of each done trial and setting, and the columns of a setting."""
    rows, by = _last(frame)
    return rows[rows["status"] == "done"], by


def contrasted(
    frame: pd.DataFrame, contrasts: Sequence[Contrast], carried: Sequence[str] = ("value",)
) -> tuple[pd.DataFrame, list[str]]:
    """Returns pairs of planned contrasts, with a column ``contrast`` for the number of each, in the order of seeds.

    carried: columns that come from both arms, the other's as NAME_baseline.
    """
    rows, by = done_rows(frame)
    rows = rows.sort_values("seed", kind="stable")
    alike: dict[tuple[Any, ...], dict[str, int]] = {}  # contrasts with one baseline at one place are paired at once
    for number, one in enumerate(contrasts):
        key = (one.other, tuple(one.at.items()), tuple(one.other_at.items()))
        alike.setdefault(key, {})[one.arm] = number
    parts = []
    for (other, at, other_at), arms in alike.items():
        left, right = _at(rows, dict(at)), _at(rows, {**dict(at), **dict(other_at)})
        right = right[right["arm"] == other].assign(**{name: dict(at)[name] for name, _ in other_at})
        pairs = _merged(left[left["arm"].isin(list(arms))], right, by, carried)
        parts.append(pairs.assign(contrast=pairs["arm"].map(arms).astype(int)))
    return pd.concat(parts, ignore_index=True).sort_values("contrast", kind="stable"), by


def _at(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """Returns the rows with these values, as text, of a column or of the cell."""
    for name, value in where.items():
        own = rows if name in rows.columns else cell_columns(rows["cell"])
        rows = rows[own[name].astype(str) == str(value)] if name in own.columns else rows.iloc[:0]
    return rows


def _merged(left: pd.DataFrame, right: pd.DataFrame, by: list[str], carried: Sequence[str] = ("value",)) -> pd.DataFrame:
    """Returns rows of arms beside those of a baseline, joined on the seed and all settings that neither is about."""
    own = list(OWN)
    several = left.groupby("arm", sort=False)[own].nunique().gt(1) | right[own].nunique().gt(1)
    parts = []
    for pattern, alike in several.groupby(own, sort=False):  # arms that pair by the same settings
        open_ = {name for name, settles in zip(own, tuple(pattern), strict=True) if not settles}
        shared = [name for name in by if name not in {"arm", *open_}]
        some = left.loc[left["arm"].isin(alike.index), [*by, "seed", *carried]]
        parts.append(some.merge(right[[*shared, "seed", *carried]], on=[*shared, "seed"], suffixes=("", "_baseline")))
    if not parts:
        return left.iloc[:0][[*by, "seed", *carried]].assign(**{f"{name}_baseline": [] for name in carried})
    return pd.concat(parts, ignore_index=True)


def cell_columns(cells: pd.Series) -> pd.DataFrame:
    """Returns the JSON objects of a ``cell`` column as a column for each scalar; NaN where a cell lacks it."""
    parsed = {text: json.loads(text) for text in cells.unique()}
    plain = {
        text: {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in cell.items()}
        for text, cell in parsed.items()
    }
    return pd.DataFrame([plain[text] for text in cells], index=cells.index, dtype=object)  # object: k stays 3, not 3.0


def t_quantile(freedom: Any, confidence: float = 0.95) -> Any:
    """Returns t so that a Student t variable of these degrees of freedom lies in -t..t with this confidence; NaN for 0."""
    from scipy.special import stdtrit

    return stdtrit(freedom, (1 + confidence) / 2)


def _last(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Returns the last row of each trial and setting, arm after arm, and the columns of a setting."""
    frame = frame.reset_index(drop=True)
    frame = frame.assign(stream=frame["stream"].astype(str).map(streams_in_order))
    cells = cell_columns(frame["cell"])
    if WEIGHTS in cells:  # an ensemble's are an object by stream; a method's of that name are a setting
        cells[WEIGHTS] = cells[WEIGHTS].mask(cells[WEIGHTS].astype(str).str.startswith("{"))
    arms = [frame["study"], frame["arm"]]
    extra = {}
    for name in cells.columns.difference(list(SHOWN), sort=False):
        within = [*arms, frame["backbone"]] if name == "backbone" else arms  # whose kind a column of the table has
        if cells[name].groupby(within).nunique(dropna=False).gt(1).any():
            extra[name] = f"{name} of the cell" if name in {*frame.columns, *FACTS} else name
    by = [*SETTINGS, *extra.values()]
    rows = pd.concat([frame, cells[[*extra]].rename(columns=extra)], axis=1)
    rows = rows.sort_values("epoch", kind="stable").drop_duplicates([*by, "trial"], keep="last").sort_index()
    if (twice := rows.duplicated([*by, "seed"])).any():
        row = rows[twice].iloc[0]
        raise UserError(
            f"arm {row['arm']!r} has two trials for seed {row['seed']}, {row['protocol']}, {row['evaluation']}"
            f" (one is {row['trial']!r}): a mean would count the seed twice"
        )
    order = rows.groupby(["study", "arm"], sort=False).ngroup().sort_values(kind="stable")
    return rows.loc[order.index], by
