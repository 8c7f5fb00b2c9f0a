"""What running a study would do: which trials are done, what is missing, and what it costs. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from skelray import ledger
from skelray.bench import FIGURES
from skelray.runner import Run
from skelray.search import example
from skelray.study import Sweep
from skelray.tables import Table
from skelray.trial import Trial


@dataclass(frozen=True)
class Plan:
    """rows: one a trial. seconds: of the missing work on one device, None if unknown. bytes: of the missing trials."""

    rows: list[dict[str, str]]
    trials: int
    missing: int
    epochs: int
    seconds: float | None
    bytes: int

    def text(self) -> str:
        header = list(self.rows[0])
        table = Table("", header, [list(row.values()) for row in self.rows], len(header), pd.DataFrame(self.rows))
        cost = "unknown (measure with `skelray bench`)" if self.seconds is None else f"about {_duration(self.seconds)}"
        return (
            f"{table.markdown().strip()}\n\n{self.trials} trials, {self.trials - self.missing} done, {self.missing} to run, "
            f"{self.epochs} epochs; time on one device {cost}; disk up to {self.bytes / 2**20:.0f} MiB"
        )


def plan(run: Run) -> Plan:
    """Of the study at the run's scale. Raises DataError where its data is not prepared."""
    speeds = _speeds(run.settings.results)
    study = run.study
    trials = _sweep(run, study) if isinstance(study, Sweep) else [(cell.name, cell.trial) for cell in run.cells()]
    rows, epochs, seconds, size, missing = [], 0, 0.0, 0, 0
    known = True
    for name, trial in trials:
        stored = run.stored(trial)
        done = ledger.complete(trial, stored)
        left = 0 if done or stored.has_encoder(trial.epochs) else trial.epochs
        rate = speeds.get((type(trial.method).__name__.lower(), trial.precision))
        known = known and (rate is not None or not left)
        seconds += left * len(run.splits(trial).train) / rate if rate else 0.0
        epochs, missing, size = epochs + left, missing + (not done), size + (0 if done else _size(trial))
        state = "done" if done else "evaluate" if not left else "run"
        rows.append({"trial": stored.id, "what": name, "epochs": str(trial.epochs), "state": state})
    return Plan(rows, len(trials), missing, epochs, seconds if known else None, size)


def _sweep(run: Run, sweep: Sweep) -> list[tuple[str, Trial]]:
    search = run.search
    if search is None:
        return []
    known = [(search.arm(s), search.trial(s)) for _, s in sorted(search.samples.items())]
    like = example(sweep, run.scale)
    return known + [(f"sample {n}, if it runs to its end", like) for n in range(len(known), search.sweep.samples)]


def _speeds(results: Path) -> dict[tuple[str, str], float]:
    """Samples per second that `skelray bench` measured here, by method and precision."""
    path = results / FIGURES
    if not path.is_file():
        return {}
    frame = pd.read_parquet(path)
    measured = zip(frame["method"], frame["precision"], frame["samples_per_second"], strict=True)
    return {(str(method), str(precision)): float(speed) for method, precision, speed in measured}


def _size(trial: Trial) -> int:
    """Checkpoint with queue and momentum, and the encoder: four bytes a number."""
    weights = 1_000_000 * (getattr(trial.backbone, "hidden_dim", 256) / 256) ** 2
    queue = getattr(trial.method, "queue", 0) * getattr(trial.method, "dim", 0)
    return int(4 * (4 * weights + queue))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
