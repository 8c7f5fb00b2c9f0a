"""One trial against a store: what is there is read back, what is missing is trained, evaluated and kept."""

from __future__ import annotations

import datetime
import logging
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from skelray.checks import UserError
from skelray.contained import Escaped, call_contained
from skelray.data.dataset import Splits
from skelray.evaluation import Diverged, Evaluation, Load, Transfer, measure, scores_are_votes, train_and_test
from skelray.identity.canonical import canonical
from skelray.machine import provenance
from skelray.names import HELD_OUT
from skelray.runner.excerpts import keep_excerpt
from skelray.skeleton import KINECT_V2
from skelray.store.store import StoredTrial, StoreError, evaluated
from skelray.training import Pretraining, Report
from skelray.trial import Trial

log = logging.getLogger("skelray")
ROUNDING = 1e-9  # of a figure that is 0 or 1
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
    with closing(in_turns(trial, splits, stored, device, load)) as turns:
        for report in turns:
            if report is not None:
                yield report


def in_turns(
    trial: Trial,
    splits: Splits,
    stored: StoredTrial,
    device: torch.device,
    load: Load | None = None,
    join: Callable[[Pretraining], None] = lambda training: None,
    wait: bool = True,
) -> Generator[Report | None, None, None]:
    """Executes a trial that may train in a pack: yields None before each epoch, which the pack may train for all its lanes.

    join: is given the training before its first epoch, to take it into a pack; it leaves that after its last. wait: for
    another process that works on the trial, else InUse is raised.
    """
    if load is not None:
        trial = pin_targets(trial, splits, load)
    joints = len(splits.train.skeleton.joints)
    if trial.imported is not None and joints != len(KINECT_V2.joints):
        raise UserError(f"imported weights are of {len(KINECT_V2.joints)} joints; {trial.benchmark} has {joints}")
    with stored.claim(trial.epochs, wait):
        stored.save_spec({"trial": canonical(trial), "data": splits.train.fingerprint})
        pretraining = None
        if (finished := _finished(trial, stored)) is not None:
            yield from _replay(finished["history"])
        else:
            pretraining = Pretraining(trial, splits, device)
            yield from _train(trial, pretraining, stored, join)
        if missing := [e for e in trial.evaluations if stored.result(trial.epochs, canonical(e)) is None]:
            if pretraining is None:
                pretraining = yield from _opened(trial, splits, stored, device, finished or {}, join)
            _evaluate(trial, pretraining, stored, missing, load)
        stored.clear_failure(trial.epochs)
        with suppress(StoreError):  # a shortcut to what is there: without it the trial is as done as with it
            stored.save_record(trial.epochs, map(canonical, trial.evaluations))


def _finished(trial: Trial, stored: StoredTrial) -> dict[str, Any] | None:
    """Returns the trial's encoder, if the store has it or the weights that it is made of."""
    finished = stored.encoder(trial.epochs)
    if finished is None and trial.imported is not None:
        finished = stored.store.imported_weights(trial.imported)
        stored.save_encoder(trial.epochs, finished)
    return finished


def _opened(
    trial: Trial,
    splits: Splits,
    stored: StoredTrial,
    device: torch.device,
    finished: dict[str, Any],
    join: Callable[[Pretraining], None],
) -> Generator[Report | None, None, Pretraining]:
    """Opens the model with the stored encoder. One that does not fit is set aside and trained again."""
    pretraining = Pretraining(trial, splits, device)
    try:
        _fill(pretraining, finished, stored.state())
    except UserError:
        if trial.imported is not None:
            raise
        stored.drop_encoder(trial.epochs)
        pretraining = Pretraining(trial, splits, device)
        yield from _train(trial, pretraining, stored, join)
    return pretraining


def pin_targets(trial: Trial, splits: Splits, load: Load) -> Trial:
    """Returns the trial with the fingerprint of the data that its evaluations read on other benchmarks.

    Their results are stored by it. Raises DataError where such a benchmark is not prepared or does not fit.
    """
    if not any(isinstance(evaluation, Transfer) for evaluation in trial.evaluations):
        return trial
    skeleton = splits.train.skeleton
    evaluations = (e.pinned(load, skeleton) if isinstance(e, Transfer) else e for e in trial.evaluations)
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


def _train(
    trial: Trial, pretraining: Pretraining, stored: StoredTrial, join: Callable[[Pretraining], None]
) -> Iterator[Report | None]:
    state = stored.state(trial.epochs)
    if state is not None and _resumed(pretraining, state, stored):
        yield from _replay(state["history"])
    reached = stored.last_epoch()
    own = trial.epochs if reached > trial.epochs else None  # a longer trial's state stays, and so does its history
    if reached and not pretraining.epoch:
        told = (
            "trial %s is trained to epoch %d from the first: the store has no checkpoint to go on from, though its epoch %d"
        )
        log.warning(told, stored.id, trial.epochs, reached)
    if pretraining.epoch == trial.epochs:  # untrained, or killed between the last checkpoint and the encoder
        _keep(pretraining, stored, own)
    try:
        if pretraining.epoch < trial.epochs:
            join(pretraining)
            yield from _epochs(trial, pretraining, stored, own)
    finally:
        pretraining.leave()


def _epochs(trial: Trial, pretraining: Pretraining, stored: StoredTrial, own: int | None) -> Iterator[Report | None]:
    saved, trained, cost = False, 0.0, 0.0  # seconds since the last save, and that a save takes
    try:
        while pretraining.epoch < trial.epochs:
            if pretraining.lane is not None:
                yield None
            report = pretraining.train_epoch()
            trained += report.seconds
            saved = HELD_OUT in report.metrics or cost < CHECKPOINT_SHARE * trained
            if saved:
                clock = time.perf_counter()
                stored.save_state(pretraining.state(), own)
                trained, cost = 0.0, time.perf_counter() - clock
            if pretraining.epoch == trial.epochs:
                _keep(pretraining, stored, own, saved)
            yield report
    except GeneratorExit:  # stopped early, or asked to end: what is trained and not saved is saved now
        if trained and pretraining.epoch < trial.epochs and pretraining.at_its_epoch:
            stored.save_state(pretraining.state(), own)
        raise


def _resumed(pretraining: Pretraining, state: dict[str, Any], stored: StoredTrial) -> bool:
    """Returns whether the training goes on from a stored state. A state that does not fit the model is set aside."""
    fresh = pretraining.state()
    model = {name: tensor.clone() for name, tensor in fresh["model"].items()}
    try:
        pretraining.load_state(state)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError):
        pretraining.load_state({**fresh, "model": model})
        stored.drop_states()
        return False
    return True


def _keep(pretraining: Pretraining, stored: StoredTrial, own: int | None, saved: bool = False) -> None:
    """Saves the encoder, and the whole state so that a longer trial can go on, unless it is ``saved`` already.

    A longer trial's own state is not replaced.
    """
    state = pretraining.state()
    if not saved:
        stored.save_state(state, own)
    stored.save_encoder(state["epoch"], {**pretraining.encoder_state(), "history": state["history"]})


def _evaluate(
    trial: Trial, pretraining: Pretraining, stored: StoredTrial, evaluations: list[Evaluation], load: Load | None
) -> None:
    frozen, failures = pretraining.frozen_encoder(load), {}
    for evaluation in evaluations:
        train, test = train_and_test(evaluation, pretraining.splits)
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        try:
            outcome = call_contained(measure, evaluation, frozen, train, test)
            metrics = _fractions(evaluation, outcome.metrics)
        except Exception as error:  # it costs itself alone
            failed = describe_failure(error, pretraining.device, started)
            failures[evaluated(trial.epochs, canonical(evaluation))] = {**failed, "evaluation": evaluation.name}
            continue
        result: dict[str, Any] = {
            "evaluation": evaluation.name,
            "settings": canonical(evaluation),
            "metrics": metrics,
            "files": sorted(outcome.files),
            "seconds": time.perf_counter() - clock,
            "started": started.isoformat(),
            **provenance(pretraining.device),
        }
        arrays = dict(outcome.arrays)
        if outcome.scores is not None and outcome.test is not None:
            arrays |= {"scores": outcome.scores.numpy(), "labels": outcome.test.labels, "rows": outcome.test.rows}
            arrays["subjects"] = outcome.test.samples["subject"].fillna(-1).to_numpy().astype(np.int64)  # who performs each
            result["test"] = {"benchmark": outcome.test.name, "data": outcome.test.fingerprint}  # whose rows they are
            result["votes"] = scores_are_votes(evaluation)
        result |= keep_excerpt(trial, test if outcome.test is None else outcome.test, stored.store)
        stored.save_scores(trial.epochs, canonical(evaluation), arrays, result, outcome.files)
    if failures:
        raise EvaluationsFailed(failures)


def _fractions(evaluation: Evaluation, metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns figures as tables hold them, rounding beyond 0 and 1 cut off. Raises UserError for what is no fraction."""
    for name, value in metrics.items():
        if not -ROUNDING <= value <= 1 + ROUNDING:
            raise UserError(f"{evaluation.name} has a {name} of {value!r}: tables hold fractions of 0..1")
    return {name: min(max(float(value), 0.0), 1.0) for name, value in metrics.items()}


def describe_failure(
    error: BaseException, device: torch.device | None = None, started: datetime.datetime | None = None
) -> dict[str, Any]:
    """Returns why a trial failed: cause, one line, traceback. transient: whether another attempt may end otherwise.

    evaluations: where these alone failed, the same of each, by the name of its stored result. device and started: of the
    attempt, so that it is kept where and how long it ran.
    """
    where: dict[str, Any] = {} if device is None else dict(provenance(device))
    if started is not None:
        where["began"] = started.timestamp()
        where["seconds"] = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    if isinstance(error, EvaluationsFailed):
        first, *others = error.failures.values()
        line = f"{first['evaluation']}: {first['line']}{f' (and {len(others)} more)' if others else ''}"
        transient = any(one["transient"] for one in error.failures.values())
        return {**first, "line": line, "transient": transient, "evaluations": error.failures, **where}
    cause = "error"
    if isinstance(error, Diverged):
        cause = "diverged"
    elif isinstance(error, Escaped):
        cause = "user code"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        cause = "out of memory"
    elif isinstance(error, OSError):
        cause = "input or output"
    text = "".join(traceback.format_exception(error))
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    transient = cause in ("out of memory", "input or output")
    return {"cause": cause, "line": line, "traceback": text, "transient": transient, **where}
