"""What running a study would do: which trials are done, what is missing, what it costs, and what cannot run here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pandas as pd
import torch

from skelray import machine
from skelray.bench.estimate import evaluated_bytes, machine_memory
from skelray.checks import UserError
from skelray.evaluation import Transfer, finetuned_sequences
from skelray.identity.canonical import canonical
from skelray.names import shared_subjects
from skelray.report.printable import make_printable
from skelray.report.table import Table
from skelray.results.costs import costs
from skelray.results.rows import complete
from skelray.results.tables import curves, load
from skelray.runner.context import Settings
from skelray.runner.costs import Counts, Packed, Speeds
from skelray.runner.run import Run
from skelray.runner.work import Planned
from skelray.store.pruning import is_pruned
from skelray.store.store import StoredTrial
from skelray.trial import Trial

SMALLER = 0.5  # of the measured trial's arithmetic: below this a machine no longer reaches the measured rate


@dataclass
class Plan:
    """What running a study would do, and what it would cost.

    rows: one a trial, and one for each that a search evaluates in the end. seconds: of the missing training on one device,
    None if unknown. bytes: that the missing trials and evaluations leave in the store.

    packed: seconds of the missing training in packs, None where lanes were not measured on this kind of device.

    evaluations: how many are missing; evaluating: their seconds, roughly, from the arithmetic of the encoders they run.
    untrained: the trials whose encoder is not there. searches: of fusion weights, how many are missing; points: of each.
    at_least: some trials are much smaller than those measured, and will take longer than their arithmetic says. threads:
    of the measurement, where it had others. shared: epochs that are not trained since arms share a trial; stopped: at most,
    since samples are stopped, None where nobody knows. device: of a trial, in a word. so_far: what the table's rows have
    cost, in a sentence. notes: what cannot run here.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    trials: int = 0
    missing: int = 0
    epochs: int = 0
    evaluations: int = 0
    untrained: int = 0
    searches: int = 0
    points: int = 0
    seconds: float | None = 0.0
    packed: float | None = None
    evaluating: float | None = 0.0
    at_least: bool = False
    threads: int | None = None
    bytes: int = 0
    shared: int = 0
    stopped: int | None = 0
    device: str = "cpu"
    so_far: str = ""
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        header = list(self.rows[0])
        table = Table("", header, [list(row.values()) for row in self.rows], len(header), pd.DataFrame(self.rows))
        line = (
            f"{self.trials} trials, {self.trials - self.missing} done, {self.missing} to run, {self.epochs} epochs; "
            f"training on one device takes {self._cost()}; disk up to {self.bytes / 2**20:.0f} MiB"
        )
        line += f"; {self.shared} epochs saved by trials that arms share" if self.shared else ""
        line += f"; at most {self.stopped} epochs saved by stopping" if self.stopped else ""
        told = [self._searching()] if self.searches else []
        told += [self._evaluating()] if self.evaluations else []
        if self.seconds and self.evaluating:
            told.append(f"In all roughly {_duration(self.seconds + self.evaluating)} on one device ({self.device})")
        told += [f"So far: {make_printable(self.so_far)}"] if self.so_far else []
        notes = (make_printable(" ".join(note.split())) for note in dict.fromkeys(self.notes))
        return "\n".join([table.markdown().strip(), "", line, *told, *notes])

    def _evaluating(self) -> str:
        """Returns what is to be evaluated and, if no encoder is trained for it, says so."""
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
        packed = f" ({_duration(self.packed)} in packs, as with --per-gpu)" if self.packed is not None else ""
        return f"{'at least' if self.at_least else 'about'} {_duration(self.seconds)}{threads}{packed}"


def make_plan(run: Run) -> Plan:
    """Plans the study at the run's scale. Raises DataError where its data is not prepared."""
    made = Plan()
    device = _device(run.settings, made)
    made.device, made.so_far = device.type, _so_far(run)
    counts, trained_to = Counts(run.context, Speeds(run.settings, device)), dict[str, int]()
    packed = Packed(run.settings, device)
    items, again = run.work.planned(), list[str]()
    made.trials = sum(not item.final for item in items)
    for item in items:
        stored = run.context.stored(item.trial)
        left = _add_trial(made, item, stored, counts, packed, trained_to, machine_memory(device))
        if left and not item.open and is_pruned(stored, item.trial.epochs):
            again.append(item.name)
    if made.seconds is not None and packed.seconds() < made.seconds:
        made.packed = packed.seconds()
    if again:
        some = ", ".join(again[:3]) + (f" and {len(again) - 3} more" if len(again) > 3 else "")
        made.notes.append(f"trained again from the first epoch, since what was trained has been taken away: {some}")
    made.searches, made.points = run.work.searches()
    made.shared, made.stopped = run.work.savings()
    made.notes += run.work.incomparable()
    return made


def _add_trial(
    made: Plan, item: Planned, stored: StoredTrial, counts: Counts, packed: Packed, trained_to: dict[str, int], memory: float
) -> int:
    """Adds the row of a trial, with its training and evaluations. Returns the epochs that are left of it.

    trained_to: the last epoch of each id by the rows so far. memory: bytes there are for a trial.
    """
    trial, known = item.trial, not item.open  # a sample to come, or to be evaluated in the end, is not known before
    done = known and complete(trial, stored)
    trained = done or item.stopped or item.final or (known and stored.has_encoder(trial.epochs))
    before = trained_to.get(stored.id, 0) if known else 0  # the longer of two lengths goes on from the shorter
    left = 0 if trained else max(0, trial.epochs - before)
    state = "stopped" if item.stopped else "done" if done else "run" if left else "evaluate"
    new, before_it = not known or stored.id not in trained_to, made.seconds
    try:
        large = not trained and _add_cost(made, trial, left, counts, new) > memory and left > 0
    except Exception as error:  # in a part of the study's own: it costs this trial alone
        made.seconds, large, state = None, False, "fails"
        made.notes.append(f"{item.name} fails at a step of two samples: {type(error).__name__}: {error}")
    if left and made.seconds is not None and before_it is not None:
        packed.add(trial, made.seconds - before_it)
    if large:
        state = "too large"
        made.notes.append(f"{item.name} keeps more than the {memory / 2**30:.1f} GiB of memory there are here")
    if known:
        trained_to[stored.id] = max(before, trial.epochs)
    made.untrained += not trained
    made.epochs += left
    made.missing += not (done or item.stopped or item.final)
    row = {"trial": stored.id if known else "", "what": item.name, "epochs": str(trial.epochs), "state": state}
    made.rows.append(row | {"evaluations": _add_evaluations(made, trial, stored if known else None, counts)})
    made.notes += notes_on_subjects(trial)
    return left


def _add_evaluations(made: Plan, trial: Trial, stored: StoredTrial | None, counts: Counts) -> str:
    """Adds the missing evaluations, their time and what they leave on the disk; returns their names."""
    missing = [e for e in trial.evaluations if stored is None or stored.result(trial.epochs, canonical(e)) is None]
    made.evaluations += len(missing)
    if not missing:
        return ""
    splits = counts.context.splits(trial)
    made.bytes += sum(evaluated_bytes(evaluation, splits, counts.context.load_splits) for evaluation in missing)
    with suppress(Exception):  # of a part of the study's own, which the step of two samples has told of
        made.bytes += counts.new_excerpts(trial, missing)
    found = counts.speeds.of(trial)
    if found is None:
        made.evaluating = None
    elif made.evaluating is not None:
        try:
            each = counts.reading(trial)
        except Exception:  # in a part of the study's own, which the step of two samples has told of
            made.evaluating = None
        else:
            trained = sum(finetuned_sequences(e, len(splits.train)) for e in missing)
            read = len(splits.train) + len(splits.test) * (1 + len(missing))
            gflop = (3 * trained + read) * each  # backward is twice forward
            made.evaluating += gflop / (found["gflop_per_sample"] * found["samples_per_second"])
    return ", ".join(evaluation.name for evaluation in missing)


def _so_far(run: Run) -> str:
    """Returns what the study's table has cost, and each point that an arm has gained; empty if there is no table to read."""
    try:
        frame = load(run.name, run.settings.results)
        return "" if frame.empty else costs(frame, curves(run.name, run.settings.results)).sentence()
    except UserError:
        return ""


def notes_on_subjects(trial: Trial) -> list[str]:
    """Returns notes on transfers between benchmarks that were recorded of the same people."""
    targets = [evaluation.benchmark for evaluation in trial.evaluations if isinstance(evaluation, Transfer)]
    return [told for target in targets if (told := shared_subjects(trial.benchmark, target))]


def _device(settings: Settings, made: Plan) -> torch.device:
    """Returns what a trial would run on here, or why it could not."""
    cpus = machine.cpus()
    if settings.threads > cpus:
        made.notes.append(f"a trial of {settings.threads} threads finds no node here: this process may use {cpus} CPUs")
    try:
        return machine.choose_device(settings.device)
    except UserError as error:
        made.notes.append(f"no trial can run here: {error}")
        return torch.device("cpu")


def _add_cost(made: Plan, trial: Trial, left: int, counts: Counts, new: bool) -> int:
    """Adds the time and the disk of these epochs; returns the bytes of memory that a step keeps. new: no row has its id."""
    found, speed = counts.training_cost(trial), counts.speeds.of(trial)
    made.bytes += found.disk(trial.epochs) if new else found.encoder  # trials of several lengths share a checkpoint
    if not left:
        return found.memory
    if speed is None:
        made.seconds = None
    elif made.seconds is not None:
        share = found.gflop / speed["gflop_per_sample"]
        made.seconds += left * len(counts.training_set(trial)) * share / speed["samples_per_second"]
        made.at_least |= share < SMALLER
        made.threads = None if speed["threads"] == counts.context.settings.threads else speed["threads"]
    return found.memory


def _counted(count: int, noun: str, plural: str = "s") -> str:
    return f"{count} {noun}{plural if count > 1 else ''}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
