"""What running a study would do: which trials are done, what is missing, what it costs, and what cannot run here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from skelray import bench, ledger, machine
from skelray.estimate import Needs, needs, reading, room
from skelray.evaluation import Transfer, shared_subjects
from skelray.fusion import CHOSEN, Fusion
from skelray.runner import Run, Settings
from skelray.search import example
from skelray.store import StoredTrial
from skelray.study import Sweep
from skelray.tables import Table
from skelray.trial import Trial, canonical

SMALLER = 0.5  # of the measured trial's arithmetic: below this a machine no longer reaches the measured rate


@dataclass
class Plan:
    """rows: one a trial. seconds: of the missing training on one device, None if unknown. bytes: of the missing trials.

    evaluations: how many are missing; evaluating: their seconds, roughly, from the arithmetic of the encoders they run.
    untrained: the trials whose encoder is not there. searches: of fusion weights, how many are missing; points: of each.
    at_least: some trials are much smaller than those measured, and will take longer than their arithmetic says. threads:
    of the measurement, where it had others. notes: what cannot run here.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    missing: int = 0
    epochs: int = 0
    evaluations: int = 0
    untrained: int = 0
    searches: int = 0
    points: int = 0
    seconds: float | None = 0.0
    evaluating: float | None = 0.0
    at_least: bool = False
    threads: int | None = None
    bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        header = list(self.rows[0])
        table = Table("", header, [list(row.values()) for row in self.rows], len(header), pd.DataFrame(self.rows))
        trials = len(self.rows)
        line = (
            f"{trials} trials, {trials - self.missing} done, {self.missing} to run, {self.epochs} epochs; training on one "
            f"device takes {self._cost()}; disk up to {self.bytes / 2**20:.0f} MiB"
        )
        told = [self._searching()] if self.searches else []
        told += [self._evaluating()] if self.evaluations else []
        return "\n".join([table.markdown().strip(), "", line, *told, *dict.fromkeys(self.notes)])

    def _evaluating(self) -> str:
        """What is to be evaluated and, where no encoder is trained for it, that none is."""
        roughly = "an unknown time" if self.evaluating is None else f"roughly {_duration(self.evaluating)}"
        alone = "; every encoder is there, so none is trained" if not self.untrained else ""
        return f"{_counted(self.evaluations, 'evaluation')} to run, {roughly} of running encoders{alone}"

    def _searching(self) -> str:
        searches, points = _counted(self.searches, "search", "es"), _counted(self.points, "point")
        return f"{searches} of {points} to run, on stored held-out scores; the test split is read after that"

    def _cost(self) -> str:
        if not self.epochs:
            return "no time"
        if self.seconds is None:
            return "an unknown time (measure with `skelray bench`)"
        threads = f" with {self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads is not None else ""
        return f"{'at least' if self.at_least else 'about'} {_duration(self.seconds)}{threads}"


def plan(run: Run) -> Plan:
    """Of the study at the run's scale. Raises DataError where its data is not prepared."""
    made = Plan()
    device = _device(run.settings, made)
    speeds = _Speeds(run.settings, device)
    known: dict[Any, Any] = {}
    for name, trial, ended in _trials(run):
        stored = run.stored(trial)
        done = ended is not None or ledger.complete(trial, stored)
        trained = done or stored.has_encoder(trial.epochs)
        left, made.untrained = 0 if trained else trial.epochs, made.untrained + (not trained)
        state = ended or "done" if done else "run" if left else "evaluate"
        try:
            large = left > 0 and _add_cost(run, made, trial, left, speeds, known) > room(device)
        except Exception as error:  # in a part of the study's own: it costs this trial alone
            made.seconds, large, state = None, False, "fails"
            made.notes.append(f"{name} fails at a step of two samples: {type(error).__name__}: {error}")
        if large:
            state = "too large"
            made.notes.append(f"{name} keeps more than the {room(device) / 2**30:.1f} GiB of memory there are here")
        made.epochs, made.missing = made.epochs + left, made.missing + (not done)
        made.bytes += 0 if done else _size(trial)
        row = {"trial": stored.id, "what": name, "epochs": str(trial.epochs), "state": state}
        made.rows.append(row | {"evaluations": _add_evaluations(run, made, trial, stored, speeds, known)})
        made.notes += notes_on_subjects(trial)
    _add_searches(run, made)
    return made


def _add_searches(run: Run, made: Plan) -> None:
    """Counts the searches of a fusion that have chosen nothing yet."""
    if isinstance(run.study, Fusion):
        made.points = run.study.at(run.scale).samples
        made.searches = len(run.study.fused(run.scale)) - sum(one.arm == CHOSEN for one in run.fused())


def _add_evaluations(run: Run, made: Plan, trial: Trial, stored: StoredTrial, speeds: _Speeds, known: dict[Any, Any]) -> str:
    """Adds the missing evaluations and their time; returns their names."""
    missing = [e for e in trial.evaluations if stored.result(trial.epochs, canonical(e)) is None]
    made.evaluations += len(missing)
    if not missing:
        return ""
    found = speeds.of(trial)
    if found is None:
        made.evaluating = None
    elif made.evaluating is not None:
        splits = run.splits(trial)
        frames, persons = trial.frames or splits.train.sequences.shape[2], splits.train.sequences.shape[4]
        key = repr(("reading", trial.method, trial.backbone, trial.stream, splits.train.skeleton.name, frames, persons))
        try:
            if key not in known:
                known[key] = reading(trial, splits.train.skeleton, frames, persons)
        except Exception:  # in a part of the study's own, which the step of two samples has told of
            made.evaluating = None
        else:
            trained = sum(e.trained(len(splits.train)) for e in missing if hasattr(e, "trained"))
            read = len(splits.train) + len(splits.test) * (1 + len(missing))
            gflop = (3 * trained + read) * known[key]  # backward is twice forward
            made.evaluating += gflop / (found["gflop_per_sample"] * found["samples_per_second"])
    return ", ".join(evaluation.name for evaluation in missing)


def notes_on_subjects(trial: Trial) -> list[str]:
    """What is to be known of transfers between benchmarks recorded of the same people."""
    targets = [evaluation.benchmark for evaluation in trial.evaluations if isinstance(evaluation, Transfer)]
    return [told for target in targets if (told := shared_subjects(trial.benchmark, target))]


def _trials(run: Run) -> list[tuple[str, Trial, str | None]]:
    """Name and trial of each, and how a sweep's sample has ended."""
    search = run.search
    if isinstance(run.study, Fusion):  # with what is read on the test split once the weights are chosen
        return [(cell.name, run.bound(cell.trial), None) for cell in run.study.table().cells(run.scale)]
    if search is None or not isinstance(run.study, Sweep):
        return [(job.name, job.trial, None) for job in run.planned()]
    samples, like = search.samples, example(run.study, run.scale)
    found: list[tuple[str, Trial, str | None]] = []
    for number in range(max(search.sweep.samples, len(samples))):
        if (sample := samples.get(number)) is None:
            found.append((f"sample {number}, if it runs to its end", like, None))
        else:
            ended = sample.status if sample.status in ("done", "stopped") else None
            found.append((search.arm(sample), search.trial(sample), ended))
    return found


def _device(settings: Settings, made: Plan) -> torch.device:
    """What a trial would run on here; where it could not, the plan says so."""
    cpus = os.cpu_count() or 1
    if settings.threads > cpus:
        made.notes.append(f"a trial of {settings.threads} threads finds no node here: this machine has {cpus} CPUs")
    try:
        return machine.choose_device(settings.device)
    except ValueError as error:
        made.notes.append(f"no trial can run here: {error}")
        return torch.device("cpu")


def _add_cost(run: Run, made: Plan, trial: Trial, left: int, speeds: _Speeds, known: dict[Any, Needs]) -> int:
    """Adds the time of these epochs; returns the bytes of memory that a step keeps."""
    splits = run.splits(trial)
    data = splits.train if trial.monitor is None else splits.reduced
    frames, persons = trial.frames or data.sequences.shape[2], data.sequences.shape[4]
    key = repr((trial.method, trial.backbone, trial.stream, trial.batch_size, data.skeleton.name, frames, persons))
    if key not in known:
        known[key] = needs(trial, data.skeleton, frames, persons)
    found = speeds.of(trial)
    if found is None:
        made.seconds = None
    elif made.seconds is not None:
        share = known[key].gflop / found["gflop_per_sample"]
        made.seconds += left * len(data) * share / found["samples_per_second"]
        made.at_least |= share < SMALLER
        made.threads = None if found["threads"] == run.settings.threads else found["threads"]
    return known[key].memory


class _Speeds:
    """What `skelray bench` measured on this kind of device."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        figures, self.threads = bench.figures(settings.results), settings.threads
        here = machine.describe(device) if device.type == "cuda" else "cpu"
        self.figures = figures[figures["device"].astype(str).str.split(",").str[0] == here.split(",")[0]]

    def of(self, trial: Trial) -> dict[str, Any] | None:
        """The row of a trial's method, backbone and precision, measured with the same threads if there is one."""
        (method, backbone), figures = bench.kind(trial), self.figures
        of_kind = (figures["method"] == method) & (figures["backbone"] == backbone)
        rows: list[Any] = figures[of_kind & (figures["precision"] == trial.precision)].to_dict("records")
        return min(rows, key=lambda row: abs(row["threads"] - self.threads), default=None)


def _size(trial: Trial) -> int:
    """Checkpoint with queue and momentum, and the encoder: four bytes a number."""
    weights = 1_000_000 * (getattr(trial.backbone, "hidden_dim", 256) / 256) ** 2
    queue = getattr(trial.method, "queue", 0) * getattr(trial.method, "dim", 0)
    return int(4 * (4 * weights + queue))


def _counted(count: int, noun: str, plural: str = "s") -> str:
    return f"{count} {noun}{plural if count > 1 else ''}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
