"""Two kinds of noise: how far a difference would move with other seeds, and with other seeds and other people.

Scores of every test sequence are stored with the subject who performed it. Seeds and subjects are resampled together, as in
the multi-bootstrap (Sellam et al., arXiv 2106.16163), by subject, since sequences of one person are not independent. Here in
closed form: the variance over seeds, plus that over subjects, less that of single cells, which is in both; as clusters of
two kinds are counted by Cameron, Gelbach and Miller (2011). Student's interval with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.data.dataset import open_dataset
from skelray.ensemble import Arrays
from skelray.results.inference import moments, sign_flip, t_interval
from skelray.results.scores import stored_arrays
from skelray.results.statistics import contrasted
from skelray.results.tables import load
from skelray.store.store import Store
from skelray.study.contrasts import planned_contrasts
from skelray.study.notes import Notes

CARRIED = ("value", "trial", "spec", "epoch", "target", "data")


@dataclass(frozen=True)
class SequenceNoise:
    """A difference in accuracy over the same test sequences. n: seeds; subjects: people of the test split.

    low, high: the 95 % interval over seeds alone; both_low, both_high: over seeds and subjects together. more, fewer: test
    sequences, on average over seeds, that the arm alone gets right, and the other alone; mcnemar: the exact p of McNemar's
    test (1947) that they are as many, of the first seed; p_subjects: of a sign-flip over subjects. missing: what keeps the
    rest from being told.
    """

    n: int
    subjects: int
    mean: float
    low: float
    high: float
    both_low: float = math.nan
    both_high: float = math.nan
    more: float = math.nan
    fewer: float = math.nan
    mcnemar: float = math.nan
    p_subjects: float = math.nan
    missing: str = ""


def noise(
    study: str, folder: Path | str = "results", store: Path | str = "store", data: Path | str | None = "data"
) -> pd.DataFrame:
    """Returns both intervals of each planned contrast that has scores, a row for each setting.

    data: prepared data, which tells the subjects of scores that were stored before subjects were.
    """
    return noise_of_frame(load(study, Path(folder)), Store(str(store)), None if data is None else Path(data))


def noise_of_frame(frame: pd.DataFrame, store: Store, data: Path | None) -> pd.DataFrame:
    """Returns the noise of a results frame, as ``noise`` does."""
    notes = Notes.of(frame.attrs.get("notes", {}))
    rows = frame[frame["metric"] == "top1"]
    contrasts = planned_contrasts("first", dict.fromkeys(rows["arm"])) if notes.contrasts is None else notes.contrasts
    if not contrasts or rows.empty:
        return pd.DataFrame()
    pairs, by = contrasted(rows, contrasts, CARRIED)
    found = []
    for (_, *setting), own in pairs.groupby(["contrast", *by], sort=False, dropna=False):
        told = dict(zip(by, setting, strict=True))
        one = _of_pairs(own.to_dict("records"), store, data)
        found.append({**told, "baseline": contrasts[own["contrast"].iloc[0]].name, **asdict(one)})
    return pd.DataFrame(found)


def _of_pairs(pairs: list[dict[Any, Any]], store: Store, data: Path | None) -> SequenceNoise:
    d = np.array([pair["value"] - pair["value_baseline"] for pair in pairs])
    low, high = t_interval(d)
    plain = SequenceNoise(len(d), 0, moments(d)[0], low, high)
    right, other, first = [], [], None
    for pair in pairs:
        arrays = [_arrays(store, pair, end) for end in ("", "_baseline")]
        if any(one is None or "scores" not in one for one in arrays):
            return replace(plain, missing="no scores are stored")
        arm, base = arrays
        first = arm if first is None else first
        if any(not np.array_equal(one["rows"], first["rows"]) for one in (arm, base)):
            return replace(plain, missing="the arms were scored on other sequences")
        right.append(arm["scores"].argmax(axis=1) == arm["labels"])  # the first of equals, as in the table
        other.append(base["scores"].argmax(axis=1) == base["labels"])
    subjects = None if first is None else _subjects(first, store, pairs[0], data)
    return _compared(np.array(right), np.array(other), subjects, plain)


def _arrays(store: Store, pair: dict[Any, Any], end: str) -> Any:
    try:
        return stored_arrays(store, pair[f"trial{end}"], pair["evaluation"], pair[f"epoch{end}"], pair[f"spec{end}"])
    except UserError:  # the store has nothing of this trial
        return None


def _subjects(arrays: Arrays, store: Store, pair: dict[Any, Any], data: Path | None) -> np.ndarray | None:
    """Returns (N,) who performed each sequence; None if nobody knows."""
    if "subjects" in arrays:
        found = arrays["subjects"]
    elif data is not None and pair["target"] is None:
        try:
            dataset = open_dataset(data, pair["benchmark"])
        except UserError:
            return None
        if dataset.fingerprint != pair["data"]:
            return None
        found = dataset.samples["subject"].fillna(-1).to_numpy()[arrays["rows"]]
    else:
        return None
    return None if (found < 0).any() else found


def _compared(right: np.ndarray, other: np.ndarray, subjects: np.ndarray | None, plain: SequenceNoise) -> SequenceNoise:
    """Compares right and other, (S, N) whether a seed's run gets a sequence right."""
    more, fewer = (right & ~other).sum(axis=1), (other & ~right).sum(axis=1)
    p = mcnemar(int(more[0]), int(fewer[0]))
    counted = replace(plain, more=float(more.mean()), fewer=float(fewer.mean()), mcnemar=p)
    if subjects is None:
        return replace(counted, missing="the subjects of the test sequences are not stored")
    sums, sizes = by_subject(right.astype(float) - other.astype(float), subjects)
    low, high = both_interval(sums, sizes)
    p_subjects = sign_flip(sums.mean(axis=0))
    return replace(counted, subjects=len(sizes), both_low=low, both_high=high, p_subjects=p_subjects)


def mcnemar(more: int, fewer: int) -> float:
    """Returns the exact p of McNemar's test: that each of two rows is as often the only one to get a sequence right."""
    from scipy import stats

    return float(stats.binomtest(more, more + fewer).pvalue) if more + fewer else 1.0


def by_subject(d: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (S, G) sums over each subject's sequences of (S, N) differences, and (G,) how many each has."""
    known, place = np.unique(subjects, return_inverse=True)
    sums = np.zeros((len(d), len(known)))
    np.add.at(sums.T, place, d.T)
    return sums, np.bincount(place, minlength=len(known))


def both_interval(sums: np.ndarray, sizes: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the interval of the mean over seeds and subjects together; NaN for fewer than two of either.

    sums: (S, G) of the differences by seed and subject; sizes: (G,) sequences of each subject.
    """
    from scipy.special import stdtrit

    seeds, people = sums.shape
    if seeds < 2 or people < 2:
        return math.nan, math.nan
    total = sizes.sum()
    mean = sums.sum() / (seeds * total)
    away = sums - mean * sizes  # (S, G)
    of_seeds = float(((away.sum(axis=1) / total) ** 2).sum()) / seeds / (seeds - 1)
    of_people = float(((away.mean(axis=0) / total) ** 2).sum()) * people / (people - 1)
    alone = away - away.mean(axis=0) - away.mean(axis=1, keepdims=True) + away.mean()
    of_cells = float(((alone / total) ** 2).sum()) * people / (people - 1) / (seeds - 1) / seeds
    level = (1 + confidence) / 2
    by_seed = float(stdtrit(seeds - 1, level)) ** 2 * of_seeds  # which has the cells
    by_person = float(stdtrit(people - 1, level)) ** 2 * max(0.0, of_people - of_cells)
    half = math.sqrt(by_seed + by_person)
    return float(mean - half), float(mean + half)
