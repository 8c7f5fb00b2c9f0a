"""`skelray report STUDY --log TRACKER`: curves, hyperparameters and figures of a study to the tracker of a lab."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from skelray.checks import UserError

TRACKERS = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}  # and what each needs


def export_to(study: str, results: Path, tracker: str, to: str | None) -> str:
    """Exports trials, and returns one sentence: how many are new to the tracker, and where.

    Raises UserError if it is not installed.
    """
    from skelray.report.trackers import mlflow, tensorboard, wandb
    from skelray.report.trackers.tracked import read_tracked
    from skelray.results.tables import curves, load

    try:
        import_module(TRACKERS[tracker])
    except ModuleNotFoundError as error:
        raise UserError(
            f"--log {tracker}: {error.name} is not installed; pip install 'skelray[{tracker}]' has it"
        ) from error
    frame = load(study, results)
    export = {"tensorboard": tensorboard.export, "mlflow": mlflow.export, "wandb": wandb.export}[tracker]
    new, where = export(read_tracked(frame, curves(study, results)), to)
    return f"{new} of {frame['trial'].nunique()} trials are new to {tracker}, in {where}"
