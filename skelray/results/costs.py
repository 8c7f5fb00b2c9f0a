"""What a study has cost: hours by device, epochs that stopping and shared trials saved, hours for each point gained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from skelray.names import HELD_OUT
from skelray.results.statistics import contrasted
from skelray.study.contrasts import Contrast

HOUR = 3600.0


@dataclass(frozen=True)
class Costs:
    """training, evaluation: hours of all trials, one that arms share counted once. devices: hours by device.

    stopped: epochs that were not trained since a trial was stopped; shared: since another arm has the same trial. per_point:
    by arm, the hours of its trials for each point that its mean lies above the first arm's; of those that lie above.
    """

    training: float
    evaluation: float
    stopped: int
    shared: int
    devices: Mapping[str, float] = field(default_factory=dict)
    per_point: Mapping[str, float] = field(default_factory=dict)

    def sentence(self) -> str:
        """All of it, for the end of a report."""
        kinds = ", ".join(f"{hours:.2f} h on {device}" for device, hours in self.devices.items())
        told = [f"Cost: {self.training:.2f} h of training and {self.evaluation:.2f} h of evaluation ({kinds})"]
        told += [f"{self.stopped} epochs saved by stopping"] if self.stopped else []
        told += [f"{self.shared} epochs saved by trials that arms share"] if self.shared else []
        gains = ", ".join(f"{arm} {hours:.2g}" for arm, hours in self.per_point.items())
        told += [f"hours for each point gained on the first arm: {gains}"] if gains else []
        return "; ".join(told) + "."


def costs(frame: pd.DataFrame, curves: pd.DataFrame) -> Costs:
    """frame, curves: a study's tables. Epochs of an encoder that another study trained count where its curves are here."""
    epochs = curves.drop_duplicates(["trial", "epoch"])
    seconds = epochs.groupby("trial")["seconds"].sum()
    trained = epochs.groupby("trial")["epoch"].max()
    arms = frame.drop_duplicates(["trial", "arm"])
    trials = frame.sort_values("epoch", kind="stable").drop_duplicates("trial", keep="last")
    measured = frame[frame["metric"] != HELD_OUT].drop_duplicates(["trial", "evaluation"])
    evaluation = measured.groupby("trial")["seconds"].sum()
    spent = trials.set_index("trial")["device"].to_frame()
    spent["hours"] = (seconds.reindex(spent.index).fillna(0.0) + evaluation.reindex(spent.index).fillna(0.0)) / HOUR
    of_device = spent.assign(device=spent["device"].astype(str).str.split(",").str[0]).groupby("device")["hours"].sum()
    stopped = trials[trials["status"] == "stopped"]
    again = arms[arms.duplicated("trial")]
    own = [trial for trial in spent.index if trial in seconds.index]
    return Costs(
        training=float(seconds.reindex(own).sum()) / HOUR,
        evaluation=float(evaluation.sum()) / HOUR,
        stopped=int((stopped["epochs"] - stopped["epoch"]).sum()),
        shared=int(trained.reindex(again["trial"]).fillna(0).sum()),
        devices={str(device) or "an unknown device": float(hours) for device, hours in of_device.items()},
        per_point=_per_point(frame, arms.assign(hours=arms["trial"].map(spent["hours"]))),
    )


def _per_point(frame: pd.DataFrame, arms: pd.DataFrame) -> dict[str, float]:
    """Over what is paired with the first arm; an ensemble's hours are not known, and it has none."""
    rows = frame[~frame["metric"].isin([HELD_OUT, "top5"])]
    first, *others = dict.fromkeys(rows["arm"]) or [""]
    if not others:
        return {}
    pairs, _ = contrasted(rows, [Contrast(arm, first) for arm in others])
    gains = 100 * (pairs["value"] - pairs["value_baseline"]).groupby(pairs["arm"], sort=False).mean()
    hours = arms.groupby("arm", sort=False)["hours"].sum()
    each = (hours.reindex(gains.index) / gains)[(gains > 0) & (hours.reindex(gains.index) > 0)]
    return {str(arm): float(cost) for arm, cost in each.items()}
