"""What Optuna proposes as sample n: decided by the sampler's seed, n and the samples before it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from skelray.checks import UserError
from skelray.search.sample import STATES, Sample
from skelray.search.space import asked
from skelray.study.samplers import TPE
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep


def proposed(sweep: Sweep, scale: Scale, number: int, samples: Mapping[int, Sample]) -> Sample:
    """A new sample; the first is the published setting, if there is one. Raises UserError where it is not in the space."""
    study = _study(sweep.sampler, number)
    for before, sample in sorted(samples.items()):
        if before < number:
            study.add_trial(_seen(sample, scale.ordered is None or before <= number - scale.ordered))
    if number == 0 and sweep.published:
        study.enqueue_trial(dict(sweep.published))
    suggestion = study.ask()
    asked(number, sweep.trial, suggestion, scale)  # draws the parameters
    if number == 0:
        _check_published(sweep.published, suggestion)
    distributions = {name: distribution_to_json(d) for name, d in suggestion.distributions.items()}
    return Sample(number, dict(suggestion.params), distributions)


def _study(tpe: TPE, number: int) -> optuna.Study:
    """An empty study of Optuna's, with a sampler of its own for each sample."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        seed=tpe.seed * 1_000_003 + number,
        n_startup_trials=tpe.startup,
        n_ei_candidates=24,
        multivariate=True,
        group=False,
        constant_liar=True,
    )
    return optuna.create_study(direction="maximize", sampler=sampler)


def _seen(sample: Sample, known: bool) -> FrozenTrial:
    """A sample as a later one's proposal sees it: in an ordered search some are known by their parameters alone."""
    return create_trial(
        state=STATES[sample.status] if known else TrialState.RUNNING,
        params=sample.params,
        distributions={name: json_to_distribution(d) for name, d in sample.distributions.items()},
        value=sample.value if known and sample.status == "done" else None,
        intermediate_values=sample.rungs if known else {},
    )


def _check_published(published: Mapping[str, Any], suggestion: optuna.Trial) -> None:
    for name, value in published.items():
        if name not in suggestion.distributions:
            known = ", ".join(suggestion.distributions)
            raise UserError(f"published names {name!r}, which the space does not suggest; it has {known}")
        if suggestion.params[name] != value or not _within(suggestion.distributions[name], value):
            raise UserError(f"published {name} {value!r} is outside the space: {suggestion.distributions[name]}")


def _within(distribution: BaseDistribution, value: Any) -> bool:
    low, high = (getattr(distribution, name, None) for name in ("low", "high"))
    return low is None or low <= value <= high
