"""Studies of parts: a method with some parts on and others off, to measure what each earns alone and together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from skelray.checks import UserError, check_label
from skelray.data import Preprocessing
from skelray.ensemble import Ensemble
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.cell import Cell, Fused
from skelray.study.changes import changed, difference
from skelray.study.contrasts import Contrast
from skelray.study.notebook import arms_as_html
from skelray.study.notes import MARGIN, Notes
from skelray.study.published import Published
from skelray.study.scale import Scale
from skelray.trial import Trial

Part = Mapping[str, Any] | Callable[[Trial], Trial]  # fields by name, as an arm's; or what makes a trial with the part
Parts = Mapping[str, Part]
MOST = 6  # parts of a factorial: 64 arms, and as many terms of a Shapley value


@dataclass(frozen=True)
class _OfParts:
    """The common part of studies of parts: a base, parts that are put on or taken off, and the table of arms behind them.

    parts: what turns each on (or off, in LeaveOneOut): fields by name, or a function from trial to trial if two parts change
    one field. published: top-1 as an arm has it, by the parts that are on (a tuple, in the order of ``parts``).
    """

    base: Trial
    parts: Parts
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    published: Mapping[tuple[str, ...], Published] = field(default_factory=dict)
    published_by: str = "linear"
    ensemble: Ensemble | None = None
    prepared: Preprocessing | None = None
    margin: float = MARGIN

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError(f"a {type(self).__name__} needs at least one part")
        for name in self.parts:
            check_label("part", name)
            if " + " in name:
                raise UserError(f"part {name!r}: ' + ' stands between parts in the label of an arm")
        known = [tuple(on) for on, _ in self._arms().values()]
        if unknown := [on for on in self.published if on not in known]:
            raise UserError(f"published names {unknown[0]!r}; the arms are {', '.join(map(repr, known))}")
        object.__setattr__(self, "seeds", tuple(self.seeds))
        self.as_ablation  # noqa: B018 - says what is wrong with an arm

    def _arms(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Returns, by label, the parts that are on, and those whose changes make the arm of the base."""
        raise NotImplementedError

    def _contrasts(self) -> tuple[Contrast, ...]:
        raise NotImplementedError

    @cached_property
    def as_ablation(self) -> Ablation:
        arms = [
            Arm(label, changes_of(self.base, self.parts, made), self.published.get(on, {}))
            for label, (on, made) in self._arms().items()
        ]
        return Ablation(
            base=self.base,
            arms=arms,
            across=self.across,
            seeds=self.seeds,
            published_by=self.published_by,
            ensemble=self.ensemble,
            prepared=self.prepared,
            contrasts=self._contrasts(),
            margin=self.margin,
        )

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for options that a table of arms would ignore."""
        self.as_ablation.refuse(asked)

    def _repr_html_(self) -> str:
        return arms_as_html(type(self).__name__, self.base, self.as_ablation.arms, self.across, tuple(self.seeds))

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        return self.as_ablation.cells(scale)

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        return self.as_ablation.fused(scale)

    def notes(self) -> Notes:
        """Returns the parts of each arm, and the comparisons."""
        return Notes(self._contrasts(), self.margin, parts={label: on for label, (on, _) in self._arms().items()})


@dataclass(frozen=True)
class Factorial(_OfParts):
    """All 2^k on/off arms of k parts. The table's effects are main effects, interactions and Shapley values.

    base: the trial without any of the parts. none: that arm's label.
    """

    none: str = "none"

    def __post_init__(self) -> None:
        if len(self.parts) > MOST:
            raise UserError(f"{len(self.parts)} parts make {2 ** len(self.parts)} arms: at most {MOST} parts are told apart")
        super().__post_init__()

    def _arms(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        names = list(self.parts)
        subsets = [on for size in range(len(names) + 1) for on in itertools.combinations(names, size)]
        return {" + ".join(on) or self.none: (on, on) for on in subsets}

    def _contrasts(self) -> tuple[Contrast, ...]:
        """Returns none, as a factorial is read by its effects."""
        return ()


@dataclass(frozen=True)
class AddOneIn(_OfParts):
    """The base, and the base with each part alone, each compared with the base."""

    none: str = "none"

    def _arms(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        return {self.none: ((), ()), **{name: ((name,), (name,)) for name in self.parts}}

    def _contrasts(self) -> tuple[Contrast, ...]:
        return tuple(Contrast(name, self.none) for name in self.parts)


@dataclass(frozen=True)
class LeaveOneOut(_OfParts):
    """The base, with all parts on, and the base without each of them. parts: what turns each off."""

    full: str = "all"

    def _arms(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        names = tuple(self.parts)
        without = {f"without {name}": (tuple(n for n in names if n != name), (name,)) for name in names}
        return {self.full: (names, ()), **without}

    def _contrasts(self) -> tuple[Contrast, ...]:
        """Compares the whole with each arm that lacks a part: what the part earns."""
        return tuple(Contrast(self.full, f"without {name}") for name in self.parts)


def changes_of(base: Trial, parts: Parts, on: Iterable[str]) -> dict[str, Any]:
    """Returns the changes of an arm that has these parts of the base changed.

    Raises UserError if two parts name one field: the later would undo the earlier.
    """
    trial, named = base, dict[str, str]()
    for name in on:
        part = parts[name]
        if callable(part):
            trial = part(trial)
            continue
        for own in part:
            if own in named:
                raise UserError(f"parts {named[own]!r} and {name!r} both set {own}: give functions that add to it")
            named[own] = name
        trial = changed(trial, part)
    return difference(base, trial)
