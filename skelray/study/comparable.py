"""Whether published numbers are comparable with the data at hand: its preprocessing and its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from skelray.data import Preprocessing
from skelray.data.dataset import Splits
from skelray.evaluation import Transfer
from skelray.papers import preprocessing_of
from skelray.study.cell import Cell, Fused
from skelray.trial import Trial

T = TypeVar("T", Cell, Fused)
Load = Callable[[str, str], Splits]

# Training and test sequences of the papers, without those of missing skeletons (methods.md, 1.2).
SEQUENCES = {
    ("ntu60", "xsub"): (40_091, 16_487),
    ("ntu60", "xview"): (37_646, 18_932),
    ("ntu120", "xsub"): (63_026, 50_919),
    ("ntu120", "xset"): (54_468, 59_477),
}
SHARE = 0.01  # by which a split may be larger or smaller: those of missing skeletons are 0.6 % of all


def why_data_differs(trial: Trial, benchmark: str, protocol: str, splits: Splits, wanted: Preprocessing | None) -> str:
    """Returns a sentence on how data differs from that of a trial's published numbers; empty if it does not."""
    wanted, data = wanted or preprocessing_of(trial), splits.train
    frames = trial.frames or data.sequences.shape[2]
    method = type(trial.method).__name__
    if wanted is not None and data.path is not None and (data.path, frames) != (wanted.path, wanted.frames):
        how = f"--path {wanted.path} --frames {wanted.frames}"
        return (
            f"no published numbers stand beside {method} on {benchmark}: they are of {wanted.frames} frames prepared with "
            f"--path {wanted.path}, and here it reads {frames} frames of --path {data.path}; "
            f"`skelray prepare {benchmark} SOURCE {how} --data ANOTHER` makes theirs"
        )
    there, official = (len(splits.train), len(splits.test)), SEQUENCES.get((benchmark, protocol))
    if official is not None and any(abs(n - known) > SHARE * known for n, known in zip(there, official, strict=True)):
        return (
            f"no published numbers stand beside {benchmark} {protocol} as it is here: {there[0]} training and {there[1]} "
            f"test sequences, where the papers have {official[0]} and {official[1]}"
        )
    return ""


def why_incomparable(one: Cell | Fused, load: Load, wanted: Preprocessing | None) -> dict[str, str]:
    """Returns why published numbers of a cell or an ensemble are not comparable, by column, for those that are not."""
    trial = one.trial
    own = why_data_differs(trial, trial.benchmark, trial.protocol, load(trial.benchmark, trial.protocol), wanted)
    found = dict.fromkeys(one.published, own)
    for evaluation in trial.evaluations:
        if isinstance(evaluation, Transfer) and not own:
            at = evaluation.benchmark, evaluation.protocol
            columns = [name for name in one.published if name == evaluation.name or name.startswith(f"{evaluation.name} ")]
            there = replace(trial, benchmark=at[0])  # as the method's authors prepared the target
            found |= dict.fromkeys(columns, why_data_differs(there, *at, load(*at), wanted) if columns else "")
    return found


def keep_comparable(one: T, load: Load, wanted: Preprocessing | None) -> T:
    """Returns a cell or an ensemble with only those published numbers that are comparable."""
    if not one.published:
        return one
    why = why_incomparable(one, load, wanted)
    return replace(one, published={name: value for name, value in one.published.items() if not why[name]})
