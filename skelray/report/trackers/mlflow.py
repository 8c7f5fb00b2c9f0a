"""MLflow: an experiment for the study, a run for each trial, in a folder, a database or a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skelray.report.trackers.tracked import Tracked

TAG = "skelray.trial"
METRICS, PARAMS, LONGEST = 900, 90, 6000  # of one request, and signs of a value, by MLflow's limits


def export(trials: Iterator[Tracked], to: str | None) -> tuple[int, str]:
    """A trial whose finished run is there is left alone. to: as MLFLOW_TRACKING_URI, which is the default."""
    from mlflow import MlflowClient

    client, new = MlflowClient(tracking_uri=to), 0
    for trial in trials:
        found = client.get_experiment_by_name(trial.study)
        experiment = client.create_experiment(trial.study) if found is None else found.experiment_id
        asked = f"tags.`{TAG}` = '{trial.id}' and attributes.status = 'FINISHED'"
        if not client.search_runs([experiment], asked, max_results=1):
            _write(client, experiment, trial)
            new += 1
    return new, client.tracking_uri


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
    """A name with the signs that MLflow allows."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)
