"""MLflow: an experiment for the study, a run for each trial, in a database or on a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skelray.checks import UserError
from skelray.report.trackers.tracked import Tracked

TAG = "skelray.trial"
METRICS, PARAMS, LONGEST = 900, 90, 6000  # of one request, and signs of a value, by MLflow's limits


def export(trials: Iterator[Tracked], to: str | None) -> tuple[int, str]:
    """Exports trials to MLflow, except those whose finished run is there.

    Raises UserError if MLflow refuses or no server answers.

    to: a folder, which gets the database mlflow.db, or an address like MLFLOW_TRACKING_URI, which is the default.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seconds until a server is said to be away, not minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    new = 0
    try:
        client = MlflowClient(tracking_uri=_address(to))
        for trial in trials:
            new += _added(client, trial)
    except MlflowException as error:
        raise UserError(f"--log mlflow: {str(error).splitlines()[0]}") from error
    return new, client.tracking_uri


def _address(to: str | None) -> str | None:
    """Returns an address as it is, of a folder that of a database in it: MLflow writes no plain folders any more."""
    if to is None or ":" in to or to == "databricks":
        return to
    Path(to).mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{Path(to) / 'mlflow.db'}"


def _added(client: Any, trial: Tracked) -> bool:
    """Writes a trial, unless its finished run is there, and says whether it did."""
    found = client.get_experiment_by_name(trial.study)
    experiment = client.create_experiment(trial.study) if found is None else found.experiment_id
    asked = f"tags.`{TAG}` = '{trial.id}' and attributes.status = 'FINISHED'"
    if client.search_runs([experiment], asked, max_results=1):
        return False
    _write(client, experiment, trial)
    return True


def _write(client: Any, experiment: str, trial: Tracked) -> None:
    from mlflow.entities import Metric, Param

    began = int(1000 * trial.began)
    run = client.create_run(experiment, began, {TAG: trial.id}, trial.name).info.run_id
    metrics = [Metric(_named(name), value, began, epoch) for name, some in trial.curves.items() for epoch, value in some]
    metrics += [Metric(_named(f"figure {name}"), value, began, 0) for name, value in trial.figures.items()]
    params = [Param(_named(name), str(value)[:LONGEST]) for name, value in trial.settings.items()]
    for at in range(0, len(metrics), METRICS):
        client.log_batch(run, metrics=metrics[at : at + METRICS])
    for at in range(0, len(params), PARAMS):
        client.log_batch(run, params=params[at : at + PARAMS])
    client.set_terminated(run)


def _named(name: str) -> str:
    """Returns a name with the characters that MLflow allows."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)
