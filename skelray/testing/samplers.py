"""The contract of a sampler, checked on searches whose readings are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from optuna.distributions import json_to_distribution

from skelray import papers
from skelray.methods import SIMILARITIES, HiCLR
from skelray.search.sample import Sample
from skelray.search.search import Search
from skelray.study.samplers import Sampler
from skelray.study.scale import Scale
from skelray.study.stopping import ASHA
from skelray.study.sweep import Sweep
from skelray.testing.contract import ContractBroken, check_settings, require
from skelray.testing.memory import MemoryStore
from skelray.trial import Trial

Space = Callable[[Any], Trial]


def numbers(trial: Any) -> Trial:
    """Returns a space of numbers alone."""
    tau, momentum = trial.suggest_float("tau", 0.03, 0.3, log=True), trial.suggest_float("m", 0.9, 0.999)
    return replace(papers.HICLR, method=HiCLR(tau=tau, m=momentum, queue=trial.suggest_int("queue", 1, 64) * 128))


def conditional(trial: Any) -> Trial:
    """Returns a space of categories, with a parameter that only one of them has."""
    similarity = trial.suggest_categorical("similarity", list(SIMILARITIES))
    weight = trial.suggest_float("lambda_h", 0.05, 5.0, log=True) if similarity == "kl" else 1.0
    tau = trial.suggest_float("tau", 0.03, 0.3)
    return replace(papers.HICLR, method=HiCLR(similarity=SIMILARITIES[similarity], lambda_h=weight, tau=tau))


def points(trial: Any) -> Trial:
    """Returns a space of 24 points."""
    similarity = trial.suggest_categorical("similarity", list(SIMILARITIES)[:2])
    tau = trial.suggest_float("tau", 0.1, 0.4, step=0.1)
    return replace(
        papers.HICLR, method=HiCLR(similarity=SIMILARITIES[similarity], tau=tau, dim=trial.suggest_int("dim", 1, 3) * 64)
    )


def cost(trial: Trial) -> float:
    """Returns a second objective, against the first."""
    return float(trial.method.tau)  # type: ignore[attr-defined]


def check_sampler(sampler: Sampler, samples: int = 24) -> None:
    """Raises ContractBroken, in one sentence, where a sampler breaks its contract.

    It is a frozen dataclass; sample n is decided by (seed, n, results so far) alone, so that a search that was killed and
    one that ran through propose the same; what it proposes lies in the space, and no two samples are one trial; failed and
    stopped samples do not upset it. samples: of each made-up search.
    """
    check_settings(sampler)
    require(isinstance(sampler, Sampler), f"{type(sampler).__name__} is no Sampler: make it a subclass")
    spaces: list[Space] = [points] if sampler.exhaustive else [numbers, conditional]
    sweeps = [Sweep(space=space, sampler=sampler, samples=samples, stopping=ASHA(grace=25)) for space in spaces]
    if sampler.several:
        sweeps.append(replace(sweeps[0], objectives={"cost": cost}))
    name = type(sampler).__name__
    for sweep in sweeps:
        whole = _drawn(sweep)
        require(
            _drawn(sweep, kill_every=5) == whole, f"{name} draws otherwise where a search was killed: it keeps something"
        )
        require(len(set(whole)) == len(whole), f"{name} proposes one point twice")
    other = replace(sweeps[0], sampler=replace(sampler, seed=sampler.seed + 1), samples=min(samples, 6))
    require(_drawn(other) != _drawn(sweeps[0])[:6], f"{name} draws the same whatever its seed")


def _drawn(sweep: Sweep, kill_every: int = 0) -> list[str]:
    """Returns the points of a search by number. kill_every: after so many samples another process goes on."""
    store, found = MemoryStore(), list[str]()
    search = Search("contract", sweep, Scale(), store, "data")
    while (sample := search.propose()) is not None:
        for name, text in sample.distributions.items():
            distribution = json_to_distribution(text)
            inside = distribution._contains(distribution.to_internal_repr(sample.params[name]))
            require(inside, f"{type(sweep.sampler).__name__} proposes {name} {sample.params[name]!r}, outside the space")
        found.append(json.dumps(sample.params, sort_keys=True))
        _run(search, sample)
        if kill_every and len(found) % kill_every == 0:
            search = Search("contract", sweep, Scale(), store, "data")
            if len(search.samples) != len(found):  # else it would begin anew for ever
                raise ContractBroken(f"{type(sweep.sampler).__name__} has another name after a kill: it reads what changes")
    return found


def _run(search: Search, sample: Sample) -> None:
    """Runs a sample as it might go: every seventh fails, and the rule stops some."""
    if sample.number % 7 == 3:
        return search.end_sample(sample, "failed")
    height = 1 / (1 + abs(sample.params["tau"] - 0.12) + 0.1 * len(str(sample.params)) / 100)
    for epoch in (25, 75, 225, 300):
        value = round(height * (1 - 1 / (1 + epoch)), 6)
        verdict = search.verdict(sample, epoch, value)
        search.record_reading(sample, epoch, value, verdict, {})
        if verdict != "on":
            return search.end_sample(sample, "stopped")
    return search.end_sample(sample, "done")
