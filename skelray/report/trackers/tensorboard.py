"""TensorBoard: a folder of event files for each trial, under TO/<study>."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from skelray.report.trackers.tracked import Tracked


def export(trials: Iterator[Tracked], to: str | None) -> tuple[int, str]:
    """Exports trials to TensorBoard. A folder that is there is left alone; a half-written one is written again."""
    root, new = Path(to or "runs"), 0
    for trial in trials:
        folder = root / trial.study / f"{re.sub(r'[^A-Za-z0-9]+', '_', trial.name).strip('_')}-{trial.id[:8]}"
        if folder.exists():
            continue
        half = folder.with_name(f".{folder.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        _write(trial, half)
        half.rename(folder)
        new += 1
    return new, f"{root}: tensorboard --logdir {root}"


def _write(trial: Tracked, folder: Path) -> None:
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    with SummaryWriter(str(folder)) as writer:
        if writer.file_writer is None:
            raise OSError(f"{folder} cannot be written")
        for summary in hparams(dict(trial.settings), {f"figure/{name}": value for name, value in trial.figures.items()}):
            writer.file_writer.add_summary(summary)
        for metric, points in trial.curves.items():
            for epoch, value in points:
                writer.add_scalar(metric, value, epoch)
        for name, value in trial.figures.items():
            writer.add_scalar(f"figure/{name}", value, 0)
