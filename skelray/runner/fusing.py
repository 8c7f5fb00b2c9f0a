"""Ensembles that read their streams side by side, as clustering does: a job of its own, once every stream is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.results.rows import ensemble_of, side_by_side
from skelray.runner.context import Context
from skelray.runner.job import Job
from skelray.store.ensembles import StoredEnsemble
from skelray.store.store import Store, StoredTrial, evaluated
from skelray.study.cell import Fused
from skelray.trial import Trial

FIRST = -1_000_000  # the number of the first of these jobs, below those of finals


def fusing_jobs(ensembles: Iterable[Fused], context: Context) -> Iterator[Job]:
    """Yields a job for each ensemble that lacks such a figure, and whose streams all have what it is made of."""
    for number, one in enumerate(ensembles):
        trial, found = _measured(one), ensemble_of(one, context.store, context.fingerprint(one.trial))
        if trial.evaluations and not _kept(trial, found) and _there(trial, found):
            yield Job(FIRST - number, f"{one.name} side by side", trial, found.stored, final=True, fused=one)


def evaluate_fused(one: Fused, store: Store, data: str, stored: StoredTrial) -> None:
    """Makes and keeps the figures of an ensemble that its streams' stored features give. data: their fingerprint.

    Raises UserError where the streams are of different samples, or where the features of one cannot be read.
    """
    trial, found = _measured(one), ensemble_of(one, store, data)
    with stored.claim(trial.epochs):
        for evaluation in trial.evaluations:
            name = evaluated(trial.epochs, canonical(evaluation))
            if found.result(name, evaluation, trial.seed) is None:
                raise UserError(f"the features of a stream of {one.name} are damaged: the next run makes them again")
        stored.clear_failure(trial.epochs)


def _measured(one: Fused) -> Trial:
    """Returns the trial of an ensemble, with the evaluations that read its streams side by side."""
    evaluations = tuple(evaluation for evaluation in one.trial.evaluations if side_by_side(evaluation))
    return replace(one.trial, stream=one.ensemble.stream, evaluations=evaluations)


def _kept(trial: Trial, found: StoredEnsemble) -> bool:
    """Returns whether the figures are there, of the streams as they are now."""
    return all(found.stored_result(evaluated(trial.epochs, canonical(one))) is not None for one in trial.evaluations)


def _there(trial: Trial, found: StoredEnsemble) -> bool:
    """Returns whether the store has the figures and the features of every stream."""
    names = [evaluated(trial.epochs, canonical(one)) for one in trial.evaluations]
    members = [(found.store.trial(id), found.store.names(id)) for id in found.members.values()]
    return all(own.result_by_name(name) is not None and f"{name}.npz" in files for own, files in members for name in names)
