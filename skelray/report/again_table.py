"""The numbers of a trial as a table has them, beside those of running it again."""

from __future__ import annotations

import pandas as pd

from skelray.names import column_name
from skelray.report.table import NOTHING, Table


def again_table(id: str, arm: str, numbers: pd.DataFrame) -> Table:
    """Makes a table of ``runner.again.train_again``'s numbers. Differences are in points where both are there."""
    rows = [
        [
            column_name(one["evaluation"], one["metric"]),
            str(one["epoch"]),
            f"{100 * one['before']:.2f}",
            NOTHING if pd.isna(one["now"]) else f"{100 * one['now']:.2f}",
            "the same" if one["same"] else "failed" if pd.isna(one["now"]) else f"{100 * (one['now'] - one['before']):+.2g}",
        ]
        for one in numbers.to_dict("records")
    ]
    same = int(numbers["same"].sum())
    caption = f"{arm}, trial {id}, in %: {same} of {len(numbers)} numbers are the same to the last digit."
    return Table(caption, ["evaluation", "epoch", "in the table", "again", "difference"], rows, 1, numbers)
