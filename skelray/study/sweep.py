"""A study that searches: a space of trials, judged on held-out training subjects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skelray.checks import UserError, check_whole, shown
from skelray.evaluation import KNN, Evaluation
from skelray.study.samplers import TPE
from skelray.study.scale import Scale
from skelray.study.schedulers import ASHA, Scheduler
from skelray.study.shown import of_fields
from skelray.trial import Monitor, Trial


@dataclass(frozen=True)
class Sweep:
    """A search over ``space``, which takes an Optuna trial and returns a Trial; judged by ``monitor`` on held-out subjects.

    published: parameters of the published setting, tried first.
    """

    space: Callable[[Any], Trial]
    published: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 64
    sampler: TPE = field(default_factory=TPE)
    stopping: Scheduler = field(default_factory=ASHA)
    monitor: Evaluation = field(default_factory=KNN)

    def __post_init__(self) -> None:
        check_space(self.space)
        check_whole("samples", self.samples, 1)

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for several seeds or protocols."""
        if len(asked.seeds or ()) > 1:
            raise UserError(f"--seeds {len(asked.seeds or ())}: this study is a sweep, which is searched under one seed")
        if len(asked.protocols or ()) > 1:
            names = " and ".join(asked.protocols or ())
            raise UserError(f"--protocol {names}: this study is a sweep, which is searched under one protocol")

    def _repr_html_(self) -> str:
        told = {"space": self.space, "published": self.published, "samples": self.samples, "sampler": self.sampler}
        return of_fields("Sweep", {**told, "stopping": self.stopping, "monitor": self.monitor.name})

    def trial(self, suggest: Any, scale: Scale | None = None) -> Trial:
        """The trial that a suggestion stands for; its monitor reads at every multiple of ASHA's grace."""
        scale = scale or Scale()
        trial = self._asked(suggest)
        grace = self.grace(trial, scale)
        trial = replace(scale(trial), monitor=Monitor(self.monitor, every=grace))
        if scale.protocols is not None:
            trial = replace(trial, protocol=scale.protocols[0])
        if scale.seeds is not None:
            trial = replace(trial, seed=scale.seeds[0])
        return trial

    def _asked(self, suggest: Any) -> Trial:
        """What ``space`` says. Raises UserError, with its line, for what is no Trial."""
        trial = self.space(suggest)
        if not isinstance(trial, Trial):
            code = self.space.__code__
            told = f"{code.co_filename}, line {code.co_firstlineno}: space() returns {shown(trial)}"
            raise UserError(f"{told}, not a Trial; is its `return` missing?")
        return trial

    def searched(self, suggest: Any, scale: Scale | None = None) -> Trial:
        """What is trained for a suggestion while searching; the test split is not for it."""
        return replace(self.trial(suggest, scale), evaluations=())

    def grace(self, trial: Trial, scale: Scale) -> int:
        share = 1.0 if scale.epochs is None else scale.epochs / trial.epochs
        return max(1, round(self.stopping.grace * share))

    def at(self, scale: Scale | None) -> Sweep:
        """The sweep with the number of samples of a scale."""
        return self if scale is None or scale.samples is None else replace(self, samples=scale.samples)


def check_space(space: Any) -> None:
    """Raises UserError for a search space that is no plain function: a search is named by its source."""
    if not inspect.isfunction(space):
        raise UserError(f"space {space!r} is no function: write it with def, as a search is known by its source")
