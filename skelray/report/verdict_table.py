"""The contrasts of a study as a table to be read: a row for each, its difference, its word and its reason."""

from __future__ import annotations

import pandas as pd

from skelray.names import column_name
from skelray.report.table import NOTHING, Table, cell_text, stream_order
from skelray.results.inference import ALPHA
from skelray.results.looks import spending
from skelray.results.statistics import SETTINGS
from skelray.results.verdicts import BCA, verdicts_of_frame
from skelray.study.notes import Notes

LEADING = ("study", "benchmark", "stream", "backbone", "epochs")  # shown where they vary


def verdict_table(frame: pd.DataFrame, margin: float | None = None, bca: bool = False) -> Table | None:
    """Returns each planned contrast at each setting; None if no two seeds pair.

    margin: a fraction; None for the study's own. bca: with the BCa intervals, where there are pairs enough for any.
    """
    if frame.groupby("arm", sort=False)["seed"].nunique().max() < 2:
        return None
    found = verdicts_of_frame(frame, margin, bca)
    if found.empty or not (found["n"] > 1).any():
        return None
    found = _ordered(found)
    bca = bca and bool(found[BCA[0]].notna().any())
    groups = leading(found)
    several, claims = len(found["baseline"].unique()) > 1, found["claim"].ne("").any()
    rows = [
        [
            *(cell_text(one[name]) for name in groups),
            *([one["arm"], one["baseline"]] if several else [one["arm"]]),
            f"{one['protocol']} {column_name(one['evaluation'], one['metric'])}",
            _points(one),
            *([_interval(one, *BCA)] if bca else []),
            str(one["n"]),
            *map(_share, (one["improvement"], one["correlation"])),
            *([one["claim"] or NOTHING] if claims else []),
            one["word"],
            one["reason"],
        ]
        for one in found.to_dict("records")
    ]
    header = [
        *groups,
        "arm",
        *(["minus"] if several else []),
        "of",
        "points [95 %]",
        *(["BCa"] if bca else []),
        "seeds",
        "P",
        "r",
    ]
    header += [*(["claim"] if claims else []), "verdict", "why"]
    return Table(_caption(found, frame, margin, several, bca), header, rows, len(header), found)


def leading(found: pd.DataFrame) -> list[str]:
    """Returns what tells the rows of one contrast apart beside protocol and evaluation: the settings that vary."""
    own = [name for name in found.columns[: list(found.columns).index("baseline")] if name not in SETTINGS]
    return [name for name in (*LEADING, *own) if len(found[name].unique()) > 1]


def _ordered(found: pd.DataFrame) -> pd.DataFrame:
    """Returns contrasts evaluation by evaluation, within one as they were planned, streams in the papers' order."""
    places = [pd.factorize(found[name])[0] for name in ("evaluation", "metric", "baseline", "arm")]
    keys = pd.DataFrame(dict(zip("abcd", places, strict=True)), index=found.index).assign(e=stream_order(found["stream"]))
    return found.loc[keys.sort_values(list("abcde"), kind="stable").index].reset_index(drop=True)


def _caption(found: pd.DataFrame, frame: pd.DataFrame, margin: float | None, several: bool, bca: bool) -> str:
    notes = Notes.of(frame.attrs.get("notes", {}))
    points = notes.margin if margin is None else 100 * margin
    sizes = found.drop_duplicates(["evaluation", "metric"])
    families = ", ".join(
        f"{one['family']} of {column_name(one['evaluation'], one['metric'])}" for one in sizes.to_dict("records")
    )
    first = "Contrasts" if several else f"Minus {found['baseline'].iloc[0]}"
    also = ", beside it the BCa bootstrap's, which decides nothing" if bca else ""
    return (
        f"{first}, paired by seed: mean and Student's 95 % interval over seeds{also}; P that a run of the arm is better, "
        f"r over seeds. Verdicts: exact sign-flip test at {100 * ALPHA:g} %, Holm over an evaluation's contrasts "
        f"({families}), margin {points:g} points.{_sequential(notes)}"
    )


def _sequential(notes: Notes) -> str:
    if not notes.looks:
        return ""
    counts = ", ".join(map(str, notes.looks[:4]))
    why = f" It ended: {notes.stopped}." if notes.stopped else ""
    return (
        f" Seeds were added until decided: looked at after {counts}, ... pairs, look k at {100 * ALPHA:g} % / (k (k + 1)), "
        f"the first {100 * ALPHA * spending(1):g} %; p and intervals are corrected for it.{why}"
    )


def _points(one: dict) -> str:
    """Returns mean [low, high] in percentage points."""
    if not one["n"]:
        return NOTHING
    interval = f" {_interval(one, 'low', 'high')}" if one["n"] > 1 else ""
    return f"{100 * one['mean']:+.1f}{interval}"


def _interval(one: dict, low: str, high: str) -> str:
    """Returns [low, high] in percentage points."""
    return NOTHING if one[low] != one[low] else f"[{100 * one[low]:+.1f}, {100 * one[high]:+.1f}]"


def _share(value: float) -> str:
    return NOTHING if value != value else f"{value:.2f}"
