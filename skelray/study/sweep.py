"""A study that searches: a space of trials, judged on held-out training subjects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

from skelray.checks import UserError, check_label, check_whole, quote_value
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Evaluation
from skelray.study.across import check_across, check_ensemble, whole_seeds
from skelray.study.notebook import fields_as_html
from skelray.study.racing import Racing
from skelray.study.samplers import TPE, Sampler
from skelray.study.scale import Scale
from skelray.study.stopping import ASHA, Rule
from skelray.trial import Monitor, Trial

SAMPLERS = "TPE(seed=0), Random(), Grid(), CMAES(), GP(), QMC() or NSGAII(); OptunaSampler(make=...) takes any of Optuna's"
RULES = (
    "ASHA(grace=25), HyperBand(), Median(), Percentile(), Threshold(least=0.2), Patience() or Never(); or a frozen "
    "dataclass of your own with a field grace and verdict(readings, sample, epoch)"
)


@dataclass(frozen=True)
class Sweep:
    """A search over ``space``, which takes an Optuna trial and returns a Trial; judged by ``monitor`` on held-out subjects.

    published: parameters of the published setting, tried first. seeds: of every sample, which is judged by their mean; None:
    the seed that the space gives. objectives: by name, functions of an untrained trial to minimise beside the error, as
    ``{"parameters": parameters}``; the best samples are then the Pareto front. racing: gives the best samples further seeds.
    across, ensemble: fields with their values, and a fusion of streams, at which the published setting and the best sample
    are measured in the end; the search itself uses the space's own.
    """

    space: Callable[[Any], Trial]
    published: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 64
    sampler: Sampler = field(default_factory=TPE)
    stopping: Rule = field(default_factory=ASHA)
    monitor: Evaluation = field(default_factory=KNN)
    seeds: Iterable[int] | None = None
    objectives: Mapping[str, Callable[[Trial], float]] = field(default_factory=dict)
    racing: Racing | None = None
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    ensemble: Ensemble | None = None

    def __post_init__(self) -> None:
        check_space(self.space)
        check_whole("samples", self.samples, 1)
        check_parts(self.sampler, self.stopping)
        if isinstance(self.monitor, type) or not is_dataclass(self.monitor):
            raise UserError(f"monitor={quote_value(self.monitor)}: an evaluation is needed, as KNN()")
        for name, given in (("published", self.published), ("objectives", self.objectives)):
            if not isinstance(given, Mapping):
                raise UserError(f"{name}={quote_value(given)}: values by name are needed, as in {name}={{'name': ...}}")
        if self.seeds is not None:
            object.__setattr__(self, "seeds", _seeds(self.seeds))
        for name, objective in self.objectives.items():
            check_label("an objective", name)
            if not inspect.isfunction(objective):
                needed = "a function of a trial, written with def, is needed"
                raise UserError(f"objective {name!r} is {quote_value(objective)}: {needed}")
        object.__setattr__(self, "across", check_across(self.across))
        check_ensemble(self.ensemble, self.across)
        if self.racing is not None and (not isinstance(self.racing, Racing) or self.objectives):
            raise UserError(
                f"racing={quote_value(self.racing)}: Racing(best=3, seeds=10) is needed, of a sweep of one objective"
            )
        if self.objectives and not self.sampler.several:
            raise UserError(f"{type(self.sampler).__name__} takes one objective: take NSGAII, TPE or GP for several")

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for several protocols."""
        if len(asked.protocols or ()) > 1:
            names = " and ".join(asked.protocols or ())
            raise UserError(f"--protocol {names}: this study is a sweep, which is searched under one protocol")

    def _repr_html_(self) -> str:
        names = ("space", "published", "samples", "sampler", "stopping", "seeds")
        return fields_as_html("Sweep", {name: getattr(self, name) for name in names})

    def trial(self, suggest: Any, scale: Scale | None = None, seed: int | None = None) -> Trial:
        """Returns a suggestion's trial; its monitor reads at every multiple of the rule's grace.

        seed: one of ``seeds_at``; None: the first.
        """
        scale = scale or Scale()
        trial = self._asked(suggest)
        grace = self.grace(trial, scale)
        trial = replace(scale(trial), monitor=Monitor(self.monitor, every=grace))
        if scale.protocols is not None:
            trial = replace(trial, protocol=scale.protocols[0])
        seeds = self.seeds_at(scale)
        if seed is None and seeds is not None:
            seed = seeds[0]
        return trial if seed is None else replace(trial, seed=seed)

    def _asked(self, suggest: Any) -> Trial:
        """Returns the trial that ``space`` makes. Raises UserError, with its line, if it makes something else."""
        trial = self.space(suggest)
        if not isinstance(trial, Trial):
            code = self.space.__code__
            told = f"{code.co_filename}, line {code.co_firstlineno}: space() returns {quote_value(trial)}"
            raise UserError(f"{told}, not a Trial; is its `return` missing?")
        return trial

    def seeds_at(self, scale: Scale) -> tuple[int, ...] | None:
        """Returns the seeds of every sample; None: the space's own."""
        if scale.seeds is not None:
            return scale.seeds
        return None if self.seeds is None else tuple(self.seeds)

    def searched(self, suggest: Any, scale: Scale | None = None, seed: int | None = None) -> Trial:
        """Returns the trial that a search trains for a suggestion, without the test split."""
        return replace(self.trial(suggest, scale, seed), evaluations=())

    def grace(self, trial: Trial, scale: Scale) -> int:
        share = 1.0 if scale.epochs is None else scale.epochs / trial.epochs
        return max(1, round(self.stopping.grace * share))

    def at_scale(self, scale: Scale | None) -> Sweep:
        """Returns the sweep with a scale's number of samples."""
        return self if scale is None or scale.samples is None else replace(self, samples=scale.samples)


def _seeds(given: Iterable[int]) -> tuple[int, ...]:
    """Returns the seeds of every sample. Raises UserError for none, and for a repeated one."""
    seeds = whole_seeds(given)
    if not seeds:
        raise UserError("a sweep needs at least one seed, as in seeds=range(3)")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds {quote_value(seeds)}: each is given once")
    return seeds


def check_space(space: Any) -> None:
    """Raises UserError unless a search space is a plain function: a search is identified by its source."""
    if not inspect.isfunction(space):
        raise UserError(f"space {space!r} is no function: write it with def, as a search is known by its source")


def check_parts(sampler: Any, stopping: Any) -> None:
    """Raises UserError unless these are a sampler and a stopping rule."""
    if not isinstance(sampler, Sampler):
        raise UserError(f"sampler={quote_value(sampler)}: a sampler is needed, as {SAMPLERS}")
    if not is_dataclass(stopping) or isinstance(stopping, type) or not isinstance(stopping, Rule):
        raise UserError(f"stopping={quote_value(stopping)}: a stopping rule is needed, as {RULES}")
    check_whole("grace", stopping.grace, 1)
