"""The effects of a factorial's parts as a table to be read."""

from __future__ import annotations

import pandas as pd

from skelray.names import column_name
from skelray.report.table import NOTHING, Table, cell_text
from skelray.results.attribution import effects_of_frame
from skelray.results.inference import ALPHA
from skelray.results.statistics import SETTINGS


def effects_table(frame: pd.DataFrame, margin: float | None = None) -> Table | None:
    """Returns a row for each part and pair of parts; None if the table is no factorial, or no seed is done in all arms."""
    found = effects_of_frame(frame, margin)
    if found.empty:
        return None
    own = [name for name in found.columns[: list(found.columns).index("effect")] if name not in SETTINGS]
    groups = [name for name in ("study", "benchmark", "stream", *own) if len(found[name].unique()) > 1]
    rows = [
        [
            *(cell_text(one[name]) for name in groups),
            one["effect"],
            f"{one['protocol']} {column_name(one['evaluation'], one['metric'])}",
            _points(one["mean"], one["low"], one["high"]),
            *map(_points, (one["alone"], one["last"])),
            _points(one["shapley"], one["shapley_low"], one["shapley_high"]),
            str(one["n"]),
            one["word"],
            one["reason"],
        ]
        for one in found.to_dict("records")
    ]
    header = [*groups, "part", "of", "effect [95 %]", "alone", "last", "Shapley [95 %]", "seeds", "verdict", "why"]
    return Table(_caption(found), header, rows, len(header), found)


def _caption(found: pd.DataFrame) -> str:
    sizes = found.drop_duplicates(["evaluation", "metric"]).to_dict("records")
    families = ", ".join(f"{one['family']} of {column_name(one['evaluation'], one['metric'])}" for one in sizes)
    return (
        "What each part adds, in points: on average over all that the others may be, alone, as the last of all, and its "
        "Shapley value; A x B is what both add beyond what each adds. Paired by seed, Student's 95 % interval over seeds; "
        f"verdicts by the exact sign-flip test at {100 * ALPHA:g} %, Holm over an evaluation's effects ({families})."
    )


def _points(mean: float, low: float = float("nan"), high: float = float("nan")) -> str:
    if mean != mean:
        return NOTHING
    return f"{100 * mean:+.1f}" + (f" [{100 * low:+.1f}, {100 * high:+.1f}]" if low == low else "")
