"""Studies as data: an ablation names arms, a sweep names a search space; both expand to trials."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from skelray.data import BENCHMARKS
from skelray.evaluation import KNN, Evaluation
from skelray.published import Published, figures, of_trial
from skelray.trial import Monitor, Trial, canonical, changed, changed_part, smaller


@dataclass(frozen=True)
class Scale:
    """How a study runs away from its published setting: on other data, shorter, smaller. It changes no arm.

    changes: fields by name, wherever they live (``changed``); they come before an arm's own changes.
    small: with the small versions of all that has one, as --demo runs it.
    """

    benchmark: str | None = None
    protocols: tuple[str, ...] | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] | None = None
    samples: int | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    small: bool = False

    def __post_init__(self) -> None:
        for name in ("benchmark", "protocol", "seed", "epochs"):
            if name in dict(self.changes):
                raise ValueError(f"{name} is not set as a field: use --{name}{'s' if name == 'seed' else ''}")

    @property
    def as_published(self) -> bool:
        """Whether trials keep their published settings, so that published numbers may stand beside what is measured."""
        return self.epochs is None and not self.changes and not self.small

    def __call__(self, trial: Trial, arm: Mapping[str, Any] | None = None) -> Trial:
        """A published trial at this scale, under an arm's changes.

        The schedule is stretched to the number of epochs; what ``changes`` says of the schedule itself is not.
        """
        arm = arm or {}
        share = 1.0 if self.epochs is None else self.epochs / max(1, trial.epochs)
        early = {name: value for name, value in self.changes if name not in SCHEDULE}
        trial = replace(trial, benchmark=self.benchmark or trial.benchmark)
        trial = changed(trial.small() if self.small else trial, early)
        trial = changed(trial, {name: self._fitted(value, early) for name, value in arm.items()})
        late = {name: value for name, value in self.changes if name in SCHEDULE and name not in arm}
        late = {name: value for name, value in late.items() if not _said(arm.get(SCHEDULE[name]), name)}
        return changed(trial if self.epochs is None else trial.stretched(share), late)

    def _fitted(self, part: Any, early: Mapping[str, Any]) -> Any:
        """A whole method or backbone that an arm brings: this scale fills in what the arm leaves at its default."""
        if isinstance(part, tuple) and self.small:  # of evaluations, say
            return tuple(smaller(one) for one in part)
        if isinstance(part, type) or not is_dataclass(part):
            return part
        small = smaller(part) if self.small else part
        open_ = [field.name for field in fields(part) if not _said(part, field.name)]
        part = changed_part(part, {name: getattr(small, name) for name in open_})
        return changed_part(part, {name: early[name] for name in open_ if name in early})


SCHEDULE = {"milestones": "optimizer", "mining_from": "method"}  # fields that count epochs, and where they live


def _said(part: Any, name: str) -> bool:
    """Whether an arm's part has a field that differs from its default."""
    known = {field.name: field.default for field in fields(part)} if is_dataclass(part) else {}
    return name in known and getattr(part, name) != known[name]


# What --demo runs: generated data, and what some hundred sequences and steps ask for.
DEMO = Scale(benchmark="synthetic", epochs=4, seeds=(0,), samples=8, small=True)


@dataclass(frozen=True)
class Arm:
    """One row of a table. changes: fields by name. published: top-1 in percent for each protocol of the paper.

    Where the paper's row has several evaluations or streams, published maps each one's name to its numbers by protocol.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: Published = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (*_, protocol), percent in figures(self.published, "").items():
            if not 0 <= percent <= 100:
                raise ValueError(f"arm {self.label!r} has published {protocol} {percent}: a percentage is needed")


@dataclass(frozen=True)
class Cell:
    """One arm at one point of ``across`` under one seed. published: top-1 of 0..1 where the paper has this number.

    others: the same of evaluations other than ``published_by``, by name.
    """

    arm: str
    trial: Trial
    coordinates: Mapping[str, Any]
    published: float | None = None
    published_by: str = "linear"
    others: Mapping[str, float] = field(default_factory=dict)

    def published_for(self, evaluation: str) -> float | None:
        return self.published if evaluation == self.published_by else self.others.get(evaluation)

    @property
    def name(self) -> str:
        return " ".join([self.arm, *(str(v) for v in self.coordinates.values()), f"seed {self.trial.seed}"])


@dataclass(frozen=True)
class Ablation:
    """A table: arms (rows) across fields of the trial (columns), each under every seed.

    published_by: the evaluation that the published numbers are from.
    """

    base: Trial
    arms: Sequence[Arm]
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    published_by: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))  # a generator gives them once only
        labels = [arm.label for arm in self.arms]
        if doubled := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"two arms are called {doubled[0]!r}: a label names one row of the table")
        if not labels:
            raise ValueError("a study needs at least one arm")
        if not self.seeds or not all(self.across.values()):
            raise ValueError("a study needs at least one seed, and a value of every field it goes across")
        for arm in self.arms:
            if both := sorted(set(arm.changes) & {*self.across, "seed"}):
                raise ValueError(f"arm {arm.label!r} sets {both[0]}, which the study goes across itself")
        self._check_published()
        seen = set()
        for cell in self.cells():
            key = (cell.arm, cell.trial.epochs, cell.trial.id(""))
            if key in seen:
                raise ValueError(f"arm {cell.arm!r} is the same trial twice: seeds and values of across have to differ")
            seen.add(key)

    def _check_published(self) -> None:
        names = [evaluation.name for evaluation in self.base.evaluations]
        found = {key for arm in self.arms for key in figures(arm.published, self.published_by)}
        published, by = {protocol for *_, protocol in found}, sorted({evaluation for evaluation, *_ in found})
        if names and (strange := [evaluation for evaluation in by if evaluation not in names]):
            field = "published_by" if strange[0] == self.published_by else "published"
            raise ValueError(f"{field} {strange[0]!r} is none of the evaluations {', '.join(names)}")
        official = BENCHMARKS.get(self.base.benchmark)
        if official is not None and (unknown := sorted(published - set(official.protocols))):
            known = ", ".join(official.protocols)
            raise ValueError(f"published {unknown[0]!r} is no protocol of {official.name}; it has {known}")

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
            comparable = scale.as_published and trial.benchmark == self.base.benchmark
            others = of_trial(arm.published, self.published_by, trial.stream, trial.protocol) if comparable else {}
            published = others.pop(self.published_by, None)
            cells.append(Cell(arm.label, trial, coordinates, published, self.published_by, others))
        return cells


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving (Li et al., MLSys 2020), the stopping form.

    At epochs grace, grace x reduction, ... a sample goes on if it is among the best 1/reduction of all that got there.
    """

    grace: int = 25
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.grace < 1 or self.reduction < 2:
            raise ValueError(f"ASHA(grace={self.grace}, reduction={self.reduction}): at least 1 and 2")

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


Study = Ablation | Sweep


def scalars(cell: Cell) -> str:
    """The coordinates and changes of a cell as JSON for the table's ``cell`` column."""
    return json.dumps({name: canonical(value) for name, value in cell.coordinates.items()}, sort_keys=True)
