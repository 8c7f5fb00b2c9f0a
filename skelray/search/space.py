"""What the space of a sweep says when it is asked: an example, one trial, and whether a scale leaves samples apart."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.identity.canonical import canonical, digest
from skelray.study.changes import Path, changed, leaves
from skelray.study.scale import Scale, counting_epochs
from skelray.study.sweep import Sweep
from skelray.trial import Trial


def example_trial(sweep: Sweep, scale: Scale) -> Trial:
    """Returns any trial of a sweep, to see its data, recorded nowhere. Raises UserError for one without an id."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = sweep.trial(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask(), scale)
    try:
        canonical(trial)
    except UserError as error:
        raise UserError(f"a trial of space() has no id: {error}") from error
    return trial


def example_trials(sweep: Sweep, scale: Scale, draws: int = 12) -> list[Trial]:
    """Returns trials of points that are drawn at random, recorded nowhere; one that cannot be is left out."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, found = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), list[Trial]()
    for point in [study.ask() for _ in range(draws)]:
        with contextlib.suppress(Exception):
            found.append(call_contained(sweep.searched, point, scale))
    return found


def check_named(sweep: Sweep) -> None:
    """Raises UserError where the published setting is not in the space, and where a trial has no field that the finals go
    across, or not with such a value."""
    start = _published(sweep) if sweep.published else example_trial(sweep, Scale())
    for name, values in sweep.across.items():
        for value in values:
            changed(start, {name: value})


def _published(sweep: Sweep) -> Trial:
    """Returns the trial of the published setting. Raises UserError for a name that the space lacks, or a value outside."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(dict(sweep.published))
    point = study.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's own, of a value outside, which is an error here
        trial = trial_of_point(0, sweep.searched, point, Scale())
    for name, value in sweep.published.items():
        if name not in point.distributions:
            known = ", ".join(point.distributions)
            raise UserError(f"published names {name!r}, which the space does not suggest; it has {known}")
        if point.params[name] != value or not _within(point.distributions[name], value):
            raise UserError(f"published {name} {value!r} is outside the space: {point.distributions[name]}")
    return trial


def _within(distribution: BaseDistribution, value: Any) -> bool:
    low, high = (getattr(distribution, name, None) for name in ("low", "high"))
    return low is None or low <= value <= high


def check_scale(sweep: Sweep, scale: Scale, draws: int = 12) -> None:
    """Raises UserError where a scale would overwrite what the space suggests, or make one trial of two; asks for some."""
    if scale.as_published:
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found, counting = [], {"epochs"}
    for point in [study.ask() for _ in range(draws)]:
        try:
            trial = call_contained(sweep.space, point)
            own, names = leaves(trial), counting_epochs(trial.optimizer, trial.method)
        except Exception:  # a sample that cannot be is not looked at
            continue
        counting |= names
        found.append((own, leaves(sweep.trial(point, scale))))
    for path in sorted({path for own, _ in found for path in own if path[-1] not in counting}):
        values = [(own[path], scaled.get(path)) for own, scaled in found if path in own]
        if len({before for before, _ in values}) > 1 and any(before != after for before, after in values):
            raise UserError(f"the space suggests {'.'.join(path)}, which would be the same in all samples {scale.options}")
    seen: dict[str, dict[Path, str]] = {}
    for own, scaled in found:
        other = seen.setdefault(digest(sorted(scaled.items())), own)
        if own != other:
            name = next(".".join(path) for path in own if own[path] != other.get(path))
            raise UserError(f"the space suggests {name}, in which samples would no longer differ {scale.options}")


def trial_of_point(
    number: int, ask: Callable[[Any, Scale, int | None], Trial], point: Any, scale: Scale, seed: int | None = None
) -> Trial:
    """Returns a trial of the space. Raises UserError, with the line, where the study's own code fails."""
    try:
        return call_contained(ask, point, scale, seed)
    except UserError:
        raise
    except Exception as error:
        raise study_code_error("space()", number, error) from error


def study_code_error(what: str, number: int, error: Exception) -> UserError:
    """Returns the error of a study's own code for a sample, in one sentence with its line."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    line = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    return UserError(f"{line}{what} fails for sample {number}: {type(error).__name__}: {error}")
