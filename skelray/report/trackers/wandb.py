"""Weights & Biases: a project for the study, a run for each trial, offline in a folder until `wandb sync` sends it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skelray.checks import UserError
from skelray.report.trackers.tracked import Tracked


def export(trials: Iterator[Tracked], to: str | None) -> tuple[int, str]:
    """Exports trials to W&B, except those whose run is in the folder. Nothing is sent, unless WANDB_MODE says online.

    Raises UserError where Weights & Biases refuses, such as online without a key.
    """
    import wandb

    root, new = Path(to or "."), 0
    root.mkdir(parents=True, exist_ok=True)
    for trial in trials:
        if not list(root.glob(f"wandb/*run-*-{trial.id}")):
            try:
                _write(trial, root)
            except wandb.Error as error:
                raise UserError(f"--log wandb: {str(error).splitlines()[0]}") from error
            new += 1
    return new, f"{root / 'wandb'}: wandb sync {root / 'wandb'}/offline-run-*"


def _write(trial: Tracked, root: Path) -> None:
    import wandb

    run = wandb.init(
        project=trial.study,
        id=trial.id,
        name=trial.name,
        config=dict(trial.settings),
        dir=str(root),
        mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
        settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
    )
    by_epoch: dict[int, dict[str, Any]] = {}
    for metric, points in trial.curves.items():
        for epoch, value in points:
            by_epoch.setdefault(epoch, {})[metric] = value if math.isfinite(value) else None
    for epoch in sorted(by_epoch):
        run.log(by_epoch[epoch], step=epoch)
    run.summary.update({f"figure/{name}": value for name, value in trial.figures.items()})
    run.finish()
