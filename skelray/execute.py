"""One trial against a store: what is there is read back, what is missing is trained, evaluated and kept."""

from __future__ import annotations

import datetime
import subprocess
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from skelray import machine
from skelray.checks import UserError
from skelray.data.dataset import Splits
from skelray.evaluation import Diverged, Evaluation, Load, Transfer, measure, parts
from skelray.names import HELD_OUT
from skelray.recognised import SKELETON
from skelray.store import StoredTrial, evaluated
from skelray.training import Pretraining, Report
from skelray.trial import Trial, canonical

CHECKPOINT_SHARE = 0.05  # saving the state takes at most about so much of the time, and one epoch is saved at least


class EvaluationsFailed(RuntimeError):
    """Some evaluations of a trial failed, and all others are stored. failures: by the name of their stored result."""

    def __init__(self, failures: dict[str, dict[str, Any]]) -> None:
        super().__init__(failures)  # all of it, so that it can be sent to another process
        self.failures = failures


def execute(
    trial: Trial, splits: Splits, stored: StoredTrial, device: torch.device, load: Load | None = None
) -> Generator[Report, None, None]:
    """Reports of every epoch, first those read back, then those trained now; after the last, evaluations are stored.

    load: reads other benchmarks, for evaluations that ask for them. Close the iterator to stop early; the state at the
    last report is kept wherever the monitor was read. Raises EvaluationsFailed once all evaluations were tried, ValueError
    for imported weights that are not there or do not fit.
    """
    if load is not None:
        trial = bound(trial, splits, load)
    joints = len(splits.train.skeleton.joints)
    if trial.imported is not None and joints != len(SKELETON.joints):
        raise UserError(f"imported weights are of {len(SKELETON.joints)} joints; {trial.benchmark} has {joints}")
    with stored.claim():
        stored.save_spec({"trial": canonical(trial), "data": splits.train.fingerprint})
        pretraining = None
        finished = stored.encoder(trial.epochs)
        if finished is None and trial.imported is not None:
            finished = stored.store.weights(trial.imported)
            stored.save_encoder(trial.epochs, finished)
        if finished is not None:
            yield from _replay(finished["history"])
        else:
            pretraining = Pretraining(trial, splits, device)
            yield from _train(trial, pretraining, stored)
        if missing := [e for e in trial.evaluations if stored.result(trial.epochs, canonical(e)) is None]:
            if pretraining is None:
                pretraining = Pretraining(trial, splits, device)
                _fill(pretraining, finished, stored.state())  # type: ignore[arg-type]
            _evaluate(trial, pretraining, stored, missing, load)
        stored.clear_failure(trial.epochs)


def bound(trial: Trial, splits: Splits, load: Load) -> Trial:
    """The trial whose evaluations on other benchmarks name those by the fingerprint of their data.

    Their results are stored by it. Raises DataError where such a benchmark is not prepared or does not fit.
    """
    if not any(isinstance(evaluation, Transfer) for evaluation in trial.evaluations):
        return trial
    skeleton = splits.train.skeleton
    evaluations = (e.bound(load, skeleton) if isinstance(e, Transfer) else e for e in trial.evaluations)
    return replace(trial, evaluations=tuple(evaluations))


def _fill(pretraining: Pretraining, encoder: dict[str, Any], state: dict[str, Any] | None) -> None:
    """Raises UserError, in one sentence, for weights of another model, as where a study changes what was imported.

    state: the training state, which has the mask values of an encoder from before these were kept with it.
    """
    try:
        if "masks" not in encoder and state is not None and state["history"] == encoder["history"]:
            pretraining.load_state(state)
        pretraining.load_encoder(encoder)
    except RuntimeError as error:
        raise UserError(f"the weights do not fit this backbone and method: {str(error).splitlines()[-1].strip()}") from None


def _replay(history: list[list[Any]]) -> Iterator[Report]:
    for entry in history:
        epoch, metrics, seconds = entry
        yield Report(epoch, metrics, seconds, replayed=True)


def _train(trial: Trial, pretraining: Pretraining, stored: StoredTrial) -> Iterator[Report]:
    state = stored.state()
    if state is not None and state["epoch"] <= trial.epochs:
        pretraining.load_state(state)
        yield from _replay(state["history"])
    if pretraining.epoch == trial.epochs:  # untrained, or killed between the last checkpoint and the encoder
        _keep(pretraining, stored, state)
    longer = state is not None and state["epoch"] > trial.epochs  # of a longer trial, which is not set back for this one
    trained = cost = 0.0  # seconds since the last save, and that a save takes
    while pretraining.epoch < trial.epochs:
        report = pretraining.train_epoch()
        trained += report.seconds
        if not longer and (HELD_OUT in report.metrics or cost < CHECKPOINT_SHARE * trained):
            clock = time.perf_counter()
            stored.save_state(pretraining.state())
            trained, cost = 0.0, time.perf_counter() - clock
        if pretraining.epoch == trial.epochs:
            _keep(pretraining, stored, state)
        yield report


def _keep(pretraining: Pretraining, stored: StoredTrial, found: dict[str, Any] | None) -> None:
    """The encoder, and the whole state so that a longer trial can go on; a longer trial's own state is not replaced."""
    state = pretraining.state()
    if found is None or found["epoch"] <= state["epoch"]:
        stored.save_state(state)
    stored.save_encoder(state["epoch"], {**pretraining.encoder_state(), "history": state["history"]})


def _evaluate(
    trial: Trial, pretraining: Pretraining, stored: StoredTrial, evaluations: list[Evaluation], load: Load | None
) -> None:
    frozen, failures = pretraining.frozen(load), {}
    for evaluation in evaluations:
        train, test = parts(evaluation, pretraining.splits)
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        try:
            outcome = measure(evaluation, frozen, train, test)
        except Exception as error:  # it costs itself alone
            failures[evaluated(trial.epochs, canonical(evaluation))] = {**failure(error), "evaluation": evaluation.name}
            continue
        result: dict[str, Any] = {
            "evaluation": evaluation.name,
            "metrics": dict(outcome.metrics),
            "files": sorted(outcome.files),
            "seconds": time.perf_counter() - clock,
            "started": started.isoformat(),
            **provenance(pretraining.device),
        }
        arrays = dict(outcome.arrays)
        if outcome.scores is not None and outcome.test is not None:
            arrays |= {"scores": outcome.scores.numpy(), "labels": outcome.test.labels, "rows": outcome.test.rows}
            result["test"] = {"benchmark": outcome.test.name, "data": outcome.test.fingerprint}  # whose rows they are
        stored.save_scores(trial.epochs, canonical(evaluation), arrays, result, outcome.files)
    if failures:
        raise EvaluationsFailed(failures)


def provenance(device: torch.device) -> dict[str, str]:
    """Where a number comes from: device, versions and, in a checkout, the commit."""
    version = f"skelray {metadata.version('skelray')}, torch {torch.__version__}"
    return {"device": machine.describe(device), "version": version, "commit": _commit()}


@cache
def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def failure(error: BaseException) -> dict[str, Any]:
    """Why a trial failed: cause, one line, and the traceback. transient: whether another attempt may end otherwise.

    evaluations: where these alone failed, the same of each, by the name of its stored result.
    """
    if isinstance(error, EvaluationsFailed):
        first, *others = error.failures.values()
        line = f"{first['evaluation']}: {first['line']}{f' (and {len(others)} more)' if others else ''}"
        transient = any(one["transient"] for one in error.failures.values())
        return {**first, "line": line, "transient": transient, "evaluations": error.failures}
    cause = "error"
    if isinstance(error, Diverged):
        cause = "diverged"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        cause = "out of memory"
    elif isinstance(error, OSError):
        cause = "input or output"
    text = "".join(traceback.format_exception(error))
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return {"cause": cause, "line": line, "traceback": text, "transient": cause in ("out of memory", "input or output")}
