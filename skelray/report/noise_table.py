"""Both intervals of each contrast as a table to be read: over seeds alone, and over seeds and test subjects together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from skelray.report.table import NOTHING, Table, cell_text
from skelray.results.noise import noise_of_frame
from skelray.results.statistics import SETTINGS
from skelray.store.store import Store


def noise_table(frame: pd.DataFrame, store: Store, data: Path | None) -> Table | None:
    """Returns a row for each contrast at each setting; None if the table has no contrast."""
    found = noise_of_frame(frame, store, data)
    if found.empty:
        return None
    own = [name for name in found.columns[: list(found.columns).index("baseline")] if name not in SETTINGS]
    groups = [name for name in ("benchmark", "stream", "backbone", "epochs", *own) if len(found[name].unique()) > 1]
    rows = [
        [
            *(cell_text(one[name]) for name in groups),
            f"{one['arm']} – {one['baseline']}",
            f"{one['protocol']} {one['evaluation']}",
            f"{100 * one['mean']:+.1f}",
            _interval(one["low"], one["high"]),
            _interval(one["both_low"], one["both_high"]),
            f"{one['n']}, {one['subjects'] or NOTHING}",
            NOTHING if one["more"] != one["more"] else f"{one['more']:.1f} : {one['fewer']:.1f}",
            *(cell_text(one[name], 2) for name in ("mcnemar", "p_subjects")),
            one["missing"],
        ]
        for one in found.to_dict("records")
    ]
    header = [*groups, "contrast", "of", "points", "over seeds", "over seeds and subjects", "seeds, subjects"]
    header += ["alone right", "McNemar p", "subjects p", "lacks"]
    caption = (
        "Differences in points with 95 % intervals: over seeds, how far other seeds would move them; over seeds and "
        "subjects, how far other people would, too. Alone right: test sequences that only the arm, and only the other, gets "
        "right, mean over seeds; McNemar's exact test of them under the first seed; sign-flip test over subjects."
    )
    return Table(caption, header, rows, len(header), found)


def _interval(low: float, high: float) -> str:
    return NOTHING if low != low else f"[{100 * low:+.1f}, {100 * high:+.1f}]"
