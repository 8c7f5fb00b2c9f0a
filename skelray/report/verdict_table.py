"""The verdicts of a study as a table to be read: a row for each contrast, its word and its reason."""

from __future__ import annotations

import pandas as pd

from skelray.names import column
from skelray.report.table import NOTHING, Table
from skelray.results.statistics import SETTINGS
from skelray.results.verdicts import ALPHA, of_table

LEADING = ("benchmark", "stream", "backbone", "epochs")  # shown where they vary


def verdict_table(frame: pd.DataFrame, margin: float) -> Table | None:
    """Each arm against the first one; None where no seed is done in both. margin: of equivalence, a fraction."""
    found = of_table(frame, margin)
    if found.empty:
        return None
    own = [name for name in found.columns[: list(found.columns).index("baseline")] if name not in SETTINGS]
    groups = [name for name in (*LEADING, *own) if len(found[name].unique()) > 1]
    rows = [
        [
            *(str(one[name]) for name in (*groups, "arm", "protocol")),
            column(one["evaluation"], one["metric"]),
            one["word"],
            one["reason"],
            _share(one["improvement"]),
            str(one["n"]),
        ]
        for one in found.to_dict("records")
    ]
    sizes = found.groupby(["evaluation", "metric"], sort=False).size()
    families = ", ".join(f"{size} of {column(*name)}" for name, size in sizes.items())  # type: ignore[misc]
    caption = (
        f"Against {found['baseline'].iloc[0]}, paired by seed: sign-flip test at {100 * ALPHA:g} %, Holm's correction "
        f"over each evaluation's contrasts ({families}), margin {100 * margin:g} points. P: that a run of the arm is better."
    )
    header = [*groups, "arm", "protocol", "evaluation", "verdict", "why", "P", "pairs"]
    return Table(caption, header, rows, len(groups) + 5, found)


def _share(value: float) -> str:
    return NOTHING if value != value else f"{value:.2f}"
