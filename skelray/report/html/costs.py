"""What the study cost: hours by arm, epochs that stopping and shared trials saved, hours for a point gained."""

from __future__ import annotations

from typing import Any

import pandas as pd

from skelray.report.figures.costs import costs
from skelray.report.html.blocks import Grid, Section
from skelray.report.html.figures import picture
from skelray.report.html.material import Material
from skelray.report.table import NOTHING, Table

HOUR = 3600
COLUMNS = {
    "arm": "arm",
    "trials": "trials",
    "training": "training (h)",
    "evaluation": "evaluation (h)",
    "epochs": "epochs",
    "saved": "saved",
    "per point": "h per point",
}


def section(material: Material) -> Section:
    """A figure and a table; all of it from the tables."""
    spent = by_arm(material)
    drawn = costs(spent[["arm", "training", "evaluation"]], material.places)
    lines = [[_shown(name, row[name]) for name in COLUMNS] for row in spent.to_dict("records")]
    trained, shared = _totals(material)
    caption = (
        f"{trained / HOUR:.2f} hours of training in all, one trial counted once; {shared} trials are shared by arms. "
        "Saved: epochs that were not trained because a trial was stopped. Per point: hours of all trials of the arm for "
        "each point that its mean lies above the first arm's."
    )
    marks = [material.places.marks(arm=arm) for arm in spent["arm"]]
    return Section(
        "costs", "Costs", [picture(material, drawn), Grid(Table(caption, list(COLUMNS.values()), lines, 1, spent), marks)]
    )


def by_arm(material: Material) -> pd.DataFrame:
    """A row an arm: trials, hours of training and evaluation, epochs trained and saved, hours for a point gained."""
    trials = _trials(material)
    evaluated = material.measured.drop_duplicates(["trial", "arm", "evaluation"]).groupby("arm", sort=False)["seconds"].sum()
    groups = trials.groupby("arm", sort=False)
    found = pd.DataFrame(
        {
            "trials": groups["trial"].nunique(),
            "training": groups["seconds"].sum() / HOUR,
            "evaluation": (evaluated / HOUR).reindex(groups["trial"].nunique().index).fillna(0.0),
            "epochs": groups["trained"].sum(),
            "saved": groups["saved"].sum(),
        }
    )
    gained = _gains(material).reindex(found.index)
    hours = found["training"] + found["evaluation"]
    found["per point"] = (hours / (100 * gained)).where(gained > 0)
    return found.rename_axis("arm").reset_index()


def _trials(material: Material) -> pd.DataFrame:
    """A row for each trial of each arm: seconds, and epochs trained and saved."""
    epochs = material.curves.drop_duplicates(["trial", "epoch"])
    of_trial = epochs.groupby("trial").agg(seconds=("seconds", "sum"), trained=("epoch", "max"))
    trials = material.run.drop_duplicates(["trial", "arm"], keep="last").merge(  # a sample has a row for each reading
        of_trial, "left", left_on="trial", right_index=True, suffixes=("_row", "")
    )
    trials["seconds"], trials["trained"] = trials["seconds"].fillna(0.0), trials["trained"].fillna(0).astype(int)
    trials["saved"] = (trials["epochs"] - trials["epoch"]).where(trials["status"] == "stopped", 0)
    return trials


def _gains(material: Material) -> pd.Series:
    """How far the mean of each arm lies above that of the first one, over the columns that both have; a fraction."""
    done = material.measured[(material.measured["status"] == "done") & (material.measured["metric"] != "top5")]
    if done.empty:
        return pd.Series(dtype=float)
    means = done.pivot_table("value", ["protocol", "evaluation", "metric"], "arm")
    return means.sub(means[done["arm"].iloc[0]], axis=0).mean()


def _totals(material: Material) -> tuple[float, int]:
    """Seconds of training, each trial once, and how many trials stand in several arms."""
    epochs = material.curves.drop_duplicates(["trial", "epoch"])
    arms = material.frame.groupby("trial")["arm"].nunique()
    return float(epochs["seconds"].sum()), int((arms > 1).sum())


def _shown(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return NOTHING if value != value else f"{value:.3g}"
