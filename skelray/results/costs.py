"""What a study has cost: hours by device and by arm, epochs that stopping and shared trials saved, hours for a point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from skelray.names import HELD_OUT, PUBLISHED
from skelray.results.statistics import contrasted
from skelray.study.contrasts import Contrast

HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class Costs:
    """training, evaluation: hours of all trials, one that arms share counted once. devices: hours by device.

    stopped: epochs that were not trained since a trial was stopped; shared: since another arm has trained them. arms: a row
    an arm, in the order of the table: trials, hours of training and of evaluation, epochs trained and saved by stopping, and
    ``per point``: hours for each point that it lies above the first arm, over what is paired; NaN where it does not.
    """

    training: float
    evaluation: float
    stopped: int
    shared: int
    devices: Mapping[str, float]
    arms: pd.DataFrame

    @property
    def per_point(self) -> dict[str, float]:
        """By arm, of those that lie above the first one."""
        known = self.arms.dropna(subset="per point")
        return dict(zip(known["arm"], known["per point"], strict=True))

    def sentence(self) -> str:
        """Returns one sentence on all costs, for the end of a report."""
        kinds = ", ".join(f"{hours:.2f} h on {device}" for device, hours in self.devices.items())
        told = [f"{self.training:.2f} h of training and {self.evaluation:.2f} h of evaluation ({kinds})"]
        told += [f"{self.stopped} epochs saved by stopping"] if self.stopped else []
        told += [f"{self.shared} epochs saved by trials that arms share"] if self.shared else []
        gains = ", ".join(f"{arm} {hours:.2g}" for arm, hours in self.per_point.items())
        told += [f"hours for each point gained on the first arm: {gains}"] if gains else []
        return "; ".join(told) + "."


def costs(frame: pd.DataFrame, curves: pd.DataFrame) -> Costs:
    """Returns the costs of a study.

    frame, curves: its tables. Epochs of an encoder that another study trained count if its curves are here.
    """
    trials = _trials(frame[frame["status"] != PUBLISHED], curves)
    once = trials.sort_values("trained", kind="stable").drop_duplicates("trial", keep="last")
    hours = (once["training"] + once["evaluation"]).groupby(once["device"].astype(str).str.split(",").str[0]).sum()
    return Costs(
        training=float(once["training"].sum()),
        evaluation=float(once["evaluation"].sum()),
        stopped=int(once["saved"].sum()),
        shared=int(trials["trained"].sum() - once["trained"].sum()),
        devices={str(device) or "an unknown device": float(spent) for device, spent in hours.items()},
        arms=_by_arm(frame, trials),
    )


def _trials(run: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each trial of each arm: hours of training and evaluation, epochs trained, and saved by stopping.

    An arm that reads a longer trial of another after fewer epochs has those epochs alone.
    """
    both = ["trial", "arm"]
    own = run.sort_values("epoch", kind="stable").drop_duplicates(both, keep="last").sort_index()  # the last reading
    epochs = curves.drop_duplicates(["trial", "epoch"])[["trial", "epoch", "seconds"]]
    joined = own[[*both, "epochs"]].merge(epochs, on="trial")
    trained = joined[joined["epoch"] <= joined["epochs"]].groupby(both, sort=False, observed=True)
    measured = run[run["metric"] != HELD_OUT].drop_duplicates([*both, "epochs", "evaluation"])
    found = own[[*both, "device"]].reset_index(drop=True)
    stopped = (own["epochs"] - own["epoch"]).where(own["status"] == "stopped", 0)
    spent = measured.groupby(both, sort=False, observed=True)["seconds"].sum()
    for name, of_trial in {
        "training": trained["seconds"].sum() / HOUR,
        "evaluation": spent / HOUR,
        "trained": trained["epoch"].max(),
    }.items():
        found = found.join(of_trial.rename(name), on=both)
    return found.fillna({"training": 0.0, "evaluation": 0.0, "trained": 0}).assign(saved=stopped.to_numpy())


def _by_arm(frame: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Returns a row an arm, as ``Costs.arms`` has them."""
    groups = trials.groupby("arm", sort=False, observed=True)
    found = groups.agg(
        trials=("trial", "nunique"),
        training=("training", "sum"),
        evaluation=("evaluation", "sum"),
        epochs=("trained", "sum"),
        saved=("saved", "sum"),
    ).astype({"epochs": int, "saved": int})
    hours, gained = found["training"] + found["evaluation"], _gains(frame).reindex(found.index)
    found["per point"] = (hours / gained).where((gained > 0) & (hours > 0))
    return found.reset_index()


def _gains(frame: pd.DataFrame) -> pd.Series:
    """Returns, by arm, the points by which it lies above the first one, over what is paired with that."""
    rows = frame[~frame["metric"].isin([HELD_OUT, "top5"])]
    first, *others = dict.fromkeys(rows["arm"]) or [""]
    if not others:
        return pd.Series(dtype=float)
    pairs, _ = contrasted(rows, [Contrast(arm, first) for arm in others])
    return 100 * (pairs["value"] - pairs["value_baseline"]).groupby(pairs["arm"], sort=False).mean()
