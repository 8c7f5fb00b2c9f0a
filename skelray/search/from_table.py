"""A sweep as its table tells it: its samples, and a study of Optuna's at each rung. Neither store nor torch is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from skelray.names import HELD_OUT, SEARCH

Row = Mapping[str, Any]
STATES = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
LEAST = 10  # samples at a rung, below which no importance is told
TOP = 5  # of the best, at least, which importance compares with all


@dataclass(frozen=True, eq=False)
class ReadSample:
    """A sample as its rows tell it. readings: held-out accuracy by epoch, the mean over its seeds; epochs: it would train
    for; trained: epochs under all its seeds, which took ``seconds``; figures: further objectives, which are to be small.
    """

    arm: str
    number: int
    status: str
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    readings: Mapping[int, float]
    epochs: int
    trained: int
    seeds: int
    seconds: float
    started: datetime
    figures: Mapping[str, float]

    @property
    def value(self) -> float | None:
        """The latest reading."""
        return self.readings[max(self.readings)] if self.readings else None


def samples_from_rows(rows: Iterable[Row]) -> list[ReadSample]:
    """Returns the samples of a sweep's table, by number. A sample has failed if it failed under any seed."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["metric"] == HELD_OUT:
            found.setdefault(row["arm"], []).append(row)
    return sorted((_told(arm, own) for arm, own in found.items()), key=lambda sample: sample.number)


def _told(arm: str, rows: list[Row]) -> ReadSample:
    rows = sorted(rows, key=lambda row: row["epoch"])
    read = [row for row in rows if row["value"] == row["value"]]  # the row of a failure has no value
    last = {row["trial"]: row for row in rows}  # of each seed
    reached = {row["trial"]: row for row in read}
    search = json.loads(rows[0]["spec"]).get(SEARCH, {})
    statuses = {row["status"] for row in last.values()}
    by_epoch = {epoch: [row["value"] for row in read if row["epoch"] == epoch] for epoch in {row["epoch"] for row in read}}
    return ReadSample(
        arm,
        0 if arm == "published" else int(arm.rpartition(" ")[2]),
        next((status for status in ("failed", "stopped") if status in statuses), "done"),
        json.loads(rows[0]["cell"]),
        distributions(rows[0]["spec"]),
        {epoch: fmean(values) for epoch, values in sorted(by_epoch.items())},
        rows[0]["epochs"],
        sum(row["epoch"] for row in reached.values()),
        len(last),
        sum(row["seconds"] for row in reached.values()),
        min(row["started"] for row in rows),
        search.get("figures", {}),
    )


def distributions(spec: str) -> dict[str, BaseDistribution]:
    """Returns what the parameters of a sample's row were drawn from; none if its table is of an older version."""
    return {
        name: json_to_distribution(text) for name, text in json.loads(spec).get(SEARCH, {}).get("distributions", {}).items()
    }


def read_epochs(told: Sequence[ReadSample]) -> list[int]:
    """Returns the epochs at which any sample was read."""
    return sorted({epoch for sample in told for epoch in sample.readings})


def optuna_study_from_samples(told: Sequence[ReadSample], rung: int | None = None) -> optuna.Study:
    """Returns the sweep as a study of Optuna's.

    rung: every sample that was read there counts as complete, with its reading there.

    Without one, samples have the states in which they ended; those that ran to their end also their further objectives.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = sorted({name for sample in told for name in sample.figures}) if rung is None else []
    directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(names)]
    made = optuna.create_study(directions=directions)
    for sample in told:
        if rung is None or rung in sample.readings:
            made.add_trial(_frozen(sample, rung, names))
    return made


def _frozen(sample: ReadSample, rung: int | None, names: Sequence[str]) -> FrozenTrial:
    """Returns a sample as a trial of Optuna's, without parameters where the table does not say what they were drawn from."""
    state = STATES[sample.status] if rung is None else TrialState.COMPLETE
    if state == TrialState.COMPLETE and not sample.readings:
        state = TrialState.FAIL
    read = {epoch: value for epoch, value in sample.readings.items() if rung is None or epoch <= rung}
    values = [read[max(read)], *(sample.figures[name] for name in names)] if state == TrialState.COMPLETE else None
    trial = optuna.trial.create_trial(
        state=state,
        values=values,
        params={name: value for name, value in sample.params.items() if name in sample.distributions},
        distributions=dict(sample.distributions),
        intermediate_values=read,
        user_attrs={"arm": sample.arm},
    )
    trial.datetime_start = sample.started
    trial.datetime_complete = sample.started + timedelta(seconds=sample.seconds)
    return trial


def importance(told: Sequence[ReadSample], rung: int) -> dict[str, float] | None:
    """Returns each parameter's share in what sets the best tenth (at least five samples) apart from all that reached a rung.

    PED-ANOVA (Watanabe et al., IJCAI 2023), which follows conditions (Conditional PED-ANOVA, KDD 2026). None where fewer
    than ``LEAST`` samples came there, or none of their parameters differ.
    """
    return _importance(tuple(sample for sample in told if rung in sample.readings and sample.distributions), rung)


@lru_cache(maxsize=64)
def _importance(there: tuple[ReadSample, ...], rung: int) -> dict[str, float] | None:
    """Asks Optuna once: of a thousand samples it takes seconds, and a figure and a table ask."""
    varied = {name for sample in there for name in sample.distributions if _varies(there, name)}
    if len(there) < LEAST or not varied:
        return None
    made = optuna_study_from_samples(there, rung)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, TOP / len(there))))
    found = optuna.importance.get_param_importances(made, evaluator=evaluator, params=sorted(varied), normalize=True)
    return {name: float(share) for name, share in found.items()}


def _varies(told: Sequence[ReadSample], name: str) -> bool:
    return len({json.dumps(sample.params[name]) for sample in told if name in sample.params}) > 1


def conditional_parameters(told: Sequence[ReadSample]) -> set[str]:
    """Returns the parameters that only some samples have."""
    every = {name for sample in told for name in sample.params}
    return {name for name in every if any(name not in sample.params for sample in told)}
