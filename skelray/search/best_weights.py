"""The best weights of a sweep's ensembles: chosen on held-out training subjects, as a fusion chooses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from skelray.evaluation import Evaluation, HeldOut, Transfer, main_metric
from skelray.evaluation.evaluation import chooses_by_test
from skelray.search.fusion_weights import chosen_ensemble
from skelray.store.store import Store
from skelray.study.cell import Fused
from skelray.study.fusion import CHOSEN, Fusion
from skelray.trial import Trial

POINTS = 1000  # of weights that are tried, the given ones first


def with_held_out(trial: Trial) -> Trial:
    """Returns a final with what its streams' weights are chosen by: the same evaluations on held-out subjects."""
    held_out = (HeldOut(evaluation) for evaluation in _weighable(trial.evaluations))
    return replace(trial, evaluations=(*trial.evaluations, *(one for one in held_out if one not in trial.evaluations)))


def under_best_weights(one: Fused, store: Store, data: str, look: bool) -> Iterator[Fused]:
    """Yields an ensemble of finals again, for each of its evaluations under the weights that this does best with.

    look: weights that are not chosen are now, if the streams have held-out scores; else only what is recorded counts.
    """
    for evaluation in _weighable(one.trial.evaluations):
        streams = one.with_trials(_reading(HeldOut(evaluation), evaluation))
        fusion = Fusion(streams.trial, _space(tuple(one.ensemble.weights)), one.ensemble.weights, evaluation, samples=POINTS)
        if (ensemble := chosen_ensemble(fusion, streams, store, data, look)) is not None:
            yield replace(one.with_trials(_reading(evaluation)), arm=f"{one.arm}, {CHOSEN}", ensemble=ensemble)


def _weighable(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Returns the evaluations that score samples of the test split and can score held-out ones."""
    out = [e for e in evaluations if not isinstance(e, (HeldOut, Transfer)) and not chooses_by_test(e)]
    return [evaluation for evaluation in out if main_metric(evaluation) == "top1"]


def _reading(*evaluations: Evaluation) -> Callable[[Trial], Trial]:
    return lambda trial: replace(trial, evaluations=evaluations)


def _space(streams: tuple[str, ...]) -> Callable[[Any], dict[str, float]]:
    """Returns a space of weights from 0 to 1 in hundredths, of which the ratios matter."""

    def space(trial: Any) -> dict[str, float]:
        return {stream: round(trial.suggest_float(stream, 0.0, 1.0), 2) for stream in streams}

    return space
