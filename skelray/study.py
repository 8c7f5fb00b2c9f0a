"""Studies as data: an ablation names arms, a sweep names a search space; both expand to trials."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Evaluation, HeldOut, names
from skelray.published import Published, check, figures, of_ensemble, of_trial
from skelray.scale import Scale
from skelray.trial import Monitor, Trial, canonical


@dataclass(frozen=True)
class Arm:
    """One row of a table. changes: fields by name. published: top-1 in percent for each protocol of the paper.

    Where the paper's row has several evaluations or streams (an ensemble's: joint+bone+motion), published maps each one's
    name to its numbers by protocol.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: Published = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (*_, protocol), percent in figures(self.published, "").items():
            if not 0 <= percent <= 100:
                raise UserError(f"arm {self.label!r} has published {protocol} {percent}: a percentage is needed")


@dataclass(frozen=True)
class Cell:
    """One arm at one point of ``across`` under one seed. published: the paper's top-1 of 0..1, by evaluation."""

    arm: str
    trial: Trial
    coordinates: Mapping[str, Any]
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.arm, *(str(v) for v in self.coordinates.values()), f"seed {self.trial.seed}"])


@dataclass(frozen=True)
class Fused:
    """Cells that differ in stream only, by stream, as one ensemble. coordinates: with the ensemble's own stream."""

    arm: str
    members: Mapping[str, Cell]
    ensemble: Ensemble
    coordinates: Mapping[str, Any]
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def trial(self) -> Trial:
        """One of its streams'."""
        return next(iter(self.members.values())).trial

    def with_trials(self, changed: Callable[[Trial], Trial]) -> Fused:
        members = {stream: replace(cell, trial=changed(cell.trial)) for stream, cell in self.members.items()}
        return replace(self, members=members)


@dataclass(frozen=True)
class Ablation:
    """A table: arms (rows) across fields of the trial (columns), each under every seed.

    published_by: the evaluation that the published numbers are from. ensemble: of streams that the study goes across; its
    rows come from the stored scores and cost no training.
    """

    base: Trial
    arms: Sequence[Arm]
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    published_by: str = "linear"
    ensemble: Ensemble | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))  # a generator gives them once only
        labels = [arm.label for arm in self.arms]
        if doubled := sorted({label for label in labels if labels.count(label) > 1}):
            raise UserError(f"two arms are called {doubled[0]!r}: a label names one row of the table")
        if not labels:
            raise UserError("a study needs at least one arm")
        if not self.seeds or not all(self.across.values()):
            raise UserError("a study needs at least one seed, and a value of every field it goes across")
        for arm in self.arms:
            if both := sorted(set(arm.changes) & {*self.across, "seed"}):
                raise UserError(f"arm {arm.label!r} sets {both[0]}, which the study goes across itself")
        self._check_ensemble()
        self._check_published()
        seen = set()
        for cell in self.cells():
            key = (cell.arm, cell.trial.epochs, cell.trial.id(""))
            if key in seen:
                raise UserError(f"arm {cell.arm!r} is the same trial twice: seeds and values of across have to differ")
            seen.add(key)

    def _check_ensemble(self) -> None:
        across = self.across.get("stream", ())
        if self.ensemble is not None and (missing := [s for s in self.ensemble.weights if s not in across]):
            known = f"goes across {', '.join(across)}" if across else "does not go across streams"
            raise UserError(f"the ensemble fuses stream {missing[0]!r}, and the study {known}: add it to across")

    def _check_published(self) -> None:
        for arm in self.arms:
            evaluations = arm.changes.get("evaluations", self.base.evaluations)
            named = zip(names(evaluations), evaluations, strict=True)
            read = [name for name, evaluation in named if not isinstance(evaluation, HeldOut)]  # no paper's is held out
            streams = [*self.across.get("stream", (arm.changes.get("stream", self.base.stream),))]
            streams += [self.ensemble.stream] if self.ensemble else []
            check(arm.published, self.published_by, read, streams, self.base.benchmark, arm.label)

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Every trial of the table, seeds outermost, so that a whole table is there after the first seed."""
        scale = scale or Scale()
        across = dict(self.across)
        if scale.protocols is not None:
            across["protocol"] = scale.protocols
        seeds = scale.seeds if scale.seeds is not None else self.seeds
        cells = []
        for seed, values, arm in itertools.product(seeds, itertools.product(*across.values()), self.arms):
            coordinates = dict(zip(across, values, strict=True))
            trial = scale(self.base, {**coordinates, **arm.changes, "seed": seed})
            published = {}
            if self._comparable(trial, scale):
                published = of_trial(arm.published, self.published_by, trial.stream, trial.protocol)
            cells.append(Cell(arm.label, trial, coordinates, published))
        return cells

    def _comparable(self, trial: Trial, scale: Scale) -> bool:
        return scale.as_published and trial.benchmark == self.base.benchmark

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """The ensembles of the table, one for all cells that differ in stream only; none where the study fuses none."""
        if self.ensemble is None:
            return []
        arms = {arm.label: arm for arm in self.arms}
        alike: dict[tuple[Any, ...], dict[str, Cell]] = {}
        for cell in self.cells(scale):
            where = scalars({**cell.coordinates, "stream": self.ensemble.stream})
            alike.setdefault((cell.arm, where, cell.trial.seed), {})[cell.trial.stream] = cell
        found = []
        for (label, _, _), cells in alike.items():
            members = {stream: cells[stream] for stream in self.ensemble.weights}
            one = next(iter(members.values()))
            coordinates = {**one.coordinates, "stream": self.ensemble.stream}
            published = {}
            if self._comparable(one.trial, scale or Scale()):
                published = of_ensemble(arms[label].published, self.published_by, self.ensemble.stream, one.trial.protocol)
            found.append(Fused(label, members, self.ensemble, coordinates, published))
        return found


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving (Li et al., MLSys 2020), the stopping form.

    At epochs grace, grace x reduction, ... a sample goes on if it is among the best 1/reduction of all that got there.
    """

    grace: int = 25
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.grace < 1 or self.reduction < 2:
            raise UserError(f"ASHA(grace={self.grace}, reduction={self.reduction}): at least 1 and 2")

    def rungs(self, epochs: int) -> list[int]:
        """The epochs at which samples are compared, before the last."""
        rungs, at = [], self.grace
        while at < epochs:
            rungs.append(at)
            at *= self.reduction
        return rungs

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """others: what every other sample had at this rung so far. The first to arrive goes on."""
        better = sum(other > value for other in others)
        return better < max(1, (len(others) + 1) // self.reduction)


@dataclass(frozen=True)
class TPE:
    """Optuna's tree-structured Parzen estimator, its options pinned; sample n is decided by (seed, n, results so far)."""

    seed: int = 0
    startup: int = 10


@dataclass(frozen=True)
class Sweep:
    """A search over ``space``, which takes an Optuna trial and returns a Trial; judged by ``monitor`` on held-out subjects.

    published: parameters of the published setting, tried first.
    """

    space: Callable[[Any], Trial]
    published: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 64
    sampler: TPE = field(default_factory=TPE)
    asha: ASHA = field(default_factory=ASHA)
    monitor: Evaluation = field(default_factory=KNN)

    def __post_init__(self) -> None:
        check_space(self.space)

    def trial(self, suggest: Any, scale: Scale | None = None) -> Trial:
        """The trial that a suggestion stands for; its monitor reads at every multiple of ASHA's grace."""
        scale = scale or Scale()
        trial = self.space(suggest)
        grace = self.grace(trial, scale)
        trial = replace(scale(trial), monitor=Monitor(self.monitor, every=grace))
        if scale.protocols is not None:
            trial = replace(trial, protocol=scale.protocols[0])
        if scale.seeds is not None:
            trial = replace(trial, seed=scale.seeds[0])
        return trial

    def searched(self, suggest: Any, scale: Scale | None = None) -> Trial:
        """What is trained for a suggestion while searching; the test split is not for it."""
        return replace(self.trial(suggest, scale), evaluations=())

    def grace(self, trial: Trial, scale: Scale) -> int:
        share = 1.0 if scale.epochs is None else scale.epochs / trial.epochs
        return max(1, round(self.asha.grace * share))

    def at(self, scale: Scale | None) -> Sweep:
        """The sweep with the number of samples of a scale."""
        return self if scale is None or scale.samples is None else replace(self, samples=scale.samples)


def check_space(space: Any) -> None:
    """Raises UserError for a search space that is no plain function: a search is named by its source."""
    if not inspect.isfunction(space):
        raise UserError(f"space {space!r} is no function: write it with def, as a search is known by its source")


def scalars(coordinates: Mapping[str, Any], **more: Mapping[str, float]) -> str:
    """What places a cell in its study as JSON, for the table's ``cell`` column."""
    return json.dumps({**{name: canonical(value) for name, value in coordinates.items()}, **more}, sort_keys=True)
