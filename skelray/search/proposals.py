"""What Optuna proposes as sample n: decided by the sampler's seed, n and the samples before it alone."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json

from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.search.optuna_study import LedgerStorage
from skelray.search.sample import Sample
from skelray.study.samplers import Random, Sampler
from skelray.study.sweep import Sweep

OWN = 8  # suggestions of the sampler's own that may name trials that are there, before points are drawn at random
MOST = 256  # suggestions in all that may, before the space counts as used up


def proposed(sweep: Sweep, number: int, storage: LedgerStorage, known: Callable[[Any], bool]) -> Sample | None:
    """Returns a new sample, the first at the published setting if there is one; None if the space has no other trial left.

    storage: begun for this number. known: asks the space with a suggestion, and tells whether its trial is there already:
    such a suggestion is thrown away, and spends no sample.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for attempt in range(MOST):
        sampler = sweep.sampler if attempt < OWN or sweep.sampler.exhaustive else Random(sweep.sampler.seed)
        suggestion = _asked(sampler, number, attempt, storage, sweep.published)
        if not known(suggestion):
            return _sample(number, suggestion, storage.notes)
    return None


def draw_of(seed: int, number: int, attempt: int = 0) -> int:
    """Returns the 32 bits that seed the random numbers of a draw."""
    return int(np.random.SeedSequence([seed, number, attempt]).generate_state(1)[0])


def _asked(
    sampler: Sampler, number: int, attempt: int, storage: LedgerStorage, published: Mapping[str, Any]
) -> optuna.Trial:
    """Returns a suggestion whose parameters are drawn when the space asks for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        built = call_contained(sampler.build, draw_of(sampler.seed, number, attempt))
    if not isinstance(built, optuna.samplers.BaseSampler):
        raise UserError(f"the sampler builds {built!r}: a sampler of Optuna's is needed")
    study = optuna.Study(study_name=storage.name, storage=storage, sampler=built)
    if number == 0 and attempt == 0 and published:
        storage.fix(published)
    return study.ask()


def _sample(number: int, suggestion: optuna.Trial, notes: dict[str, Any]) -> Sample:
    distributions = {name: distribution_to_json(d) for name, d in suggestion.distributions.items()}
    return Sample(number, dict(suggestion.params), distributions, notes=notes, started=time.time())
