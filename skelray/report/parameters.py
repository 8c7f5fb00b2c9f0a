"""How many parameters the encoders of a table have, measured beside published."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from skelray.report.table import NOTHING


def parameter_columns(frame: pd.DataFrame, arms: Sequence[str]) -> dict[str, list[str]]:
    """Returns columns of parameters by their heads, a cell for each row, named by arm; none if nothing is published.

    The count is of one stream's encoder without a classifier, which papers may count in.
    """
    if not frame["published_parameters"].notna().any():
        return {}
    first = frame.groupby("arm", sort=False)[["parameters", "published_parameters"]].first()
    counted = {arm: _millions(value) for arm, value in first["parameters"].items()}
    published = {arm: _millions(value) for arm, value in first["published_parameters"].items()}
    return {"encoder (M)": [counted[arm] for arm in arms], "published": [published[arm] for arm in arms]}


def _millions(count: float) -> str:
    return NOTHING if pd.isna(count) else f"{count:.3g}"
