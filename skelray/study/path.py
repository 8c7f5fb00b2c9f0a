"""An ablation path: from one setting to another, one change at a time, the best change first, each step trained.

Fawcett and Hoos, Analysing differences between algorithm configurations through ablation, Journal of Heuristics 2016.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from skelray.checks import UserError, check_label
from skelray.data import Preprocessing
from skelray.evaluation import Evaluation, HeldOut, Linear
from skelray.evaluation.names import distinct_names
from skelray.study.ablation import Ablation
from skelray.study.across import whole_seeds
from skelray.study.arm import Arm
from skelray.study.cell import Cell, Fused
from skelray.study.changes import difference
from skelray.study.contrasts import Contrast
from skelray.study.notes import MARGIN, Notes
from skelray.study.parts import Part, Parts, changes_of
from skelray.study.published import Published
from skelray.study.scale import Scale
from skelray.trial import Trial

MOST = 12  # changes: 79 settings


@dataclass(frozen=True)
class AblationPath:
    """At each step every remaining change is trained on top of those made, under every seed; the best one is kept.

    default: the start. best: the end: a trial, each differing field of which is a change, or the changes by name, each as
    fields by name or a function from trial to trial. choose: the evaluation that decides, on held-out training subjects;
    only the settings on the path are measured on the test split. chosen: the changes decided so far. published: as an arm
    has it, by the changes made, in the order of ``best``.
    """

    default: Trial
    best: Trial | Parts
    choose: Evaluation = field(default_factory=Linear)
    seeds: Iterable[int] = (0,)
    published: Mapping[tuple[str, ...], Published] = field(default_factory=dict)
    margin: float = MARGIN
    start: str = "default"
    chosen: tuple[str, ...] = ()
    prepared: Preprocessing | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", whole_seeds(self.seeds))
        if isinstance(self.choose, HeldOut):
            raise UserError(f"choose {self.choose.name!r}: give it without HeldOut; the path adds that itself")
        if not 1 <= len(self.changes) <= MOST:
            raise UserError(f"a path of {len(self.changes)} changes: 1 to {MOST} of them are needed")
        for name in self.changes:
            check_label("change", name)
        names = list(self.changes)
        if unknown := [name for name in self.chosen if name not in names]:
            raise UserError(f"chosen names {unknown[0]!r}; the changes are {', '.join(names)}")
        self._table  # noqa: B018 - says what is wrong with a step
        if not self.chosen:
            replace(self, chosen=tuple(names))  # so that every change can be made after others

    @property
    def changes(self) -> dict[str, Part]:
        """The changes by name."""
        if not isinstance(self.best, Trial):
            return dict(self.best)
        return {name.rpartition(".")[2]: {name: value} for name, value in difference(self.default, self.best).items()}

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for several protocols, each of which would have its own path."""
        self._table.refuse(asked)
        if len(asked.protocols or ()) > 1:
            raise UserError(f"--protocol {' and '.join(asked.protocols or ())}: a path is decided under one protocol")

    def label(self, made: Iterable[str]) -> str:
        """Returns the label of the setting with these changes made, one after another."""
        return " + ".join(made) or self.start

    @property
    def _on_test(self) -> tuple[Evaluation, ...]:
        """Returns what the settings on the path are measured by, beside what chooses them."""
        return tuple(one for one in self.default.evaluations if one != HeldOut(self.choose))

    @property
    def path(self) -> list[str]:
        """Returns the labels of the settings on the path so far."""
        return [self.label(self.chosen[:count]) for count in range(len(self.chosen) + 1)]

    def _candidates(self, step: int) -> list[tuple[str, ...]]:
        before = self.chosen[:step]
        return [(*before, name) for name in self.changes if name not in before]

    @cached_property
    def _table(self) -> Ablation:
        """Returns the start and the candidates of every step so far, as an ablation."""
        steps = min(len(self.chosen) + 1, len(self.changes))
        made = [(), *(one for step in range(steps) for one in self._candidates(step))]
        arms = []
        for changes in made:  # in the order of ``best``, so that a setting is one trial on whatever way it is reached
            on = [name for name in self.changes if name in changes]
            arms.append(
                Arm(self.label(changes), changes_of(self.default, self.changes, on), self.published.get(changes, {}))
            )
        base = replace(self.default, evaluations=(*self._on_test, HeldOut(self.choose)))
        return Ablation(base=base, arms=arms, seeds=self.seeds, prepared=self.prepared)

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Returns one step after another. Candidates off the path are measured on held-out subjects alone."""
        order = {arm.label: place for place, arm in enumerate(self._table.arms)}
        cells = sorted(self._table.cells(scale), key=lambda cell: order[cell.arm])
        return [cell if cell.arm in self.path else _held_out(cell) for cell in cells]

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """Returns none: a path is of one encoder."""
        return []

    def notes(self) -> Notes:
        """Returns the comparison of each setting on the path with the previous one, on the test split.

        On held-out subjects, whom the steps were chosen on, they are better by construction.
        """
        read = distinct_names(self._on_test)
        steps = itertools.product(itertools.pairwise(self.path), read)
        return Notes(tuple(Contrast(arm, other, at={"evaluation": name}) for (other, arm), name in steps), self.margin)

    def grown(self, cells: Iterable[Cell], value: Callable[[Cell], float | None]) -> AblationPath | None:
        """Returns the path with its next change, the best by mean over the finished seeds; None if none is left.

        cells: the study's, at the scale of the run. value: a cell's last evaluation, None if it failed.
        """
        if len(self.chosen) == len(self.changes):
            return None
        found: dict[str, list[float]] = {}
        for cell in cells:
            if (reading := value(cell)) is not None:
                found.setdefault(cell.arm, []).append(reading)
        candidates = {made[-1]: found.get(self.label(made)) for made in self._candidates(len(self.chosen))}
        means = {name: sum(values) / len(values) for name, values in candidates.items() if values}
        if not means:
            return None
        return replace(self, chosen=(*self.chosen, max(means, key=lambda name: means[name])))  # the first of equals

    def to_come(self, scale: Scale | None = None) -> list[Cell]:
        """Returns as many cells as are still undecided, with the start's trial in place of theirs."""
        start = [cell for cell in self._table.cells(scale) if cell.arm == self.start]
        later = range(len(self.chosen) + 1, len(self.changes))
        left = [f"step {step + 1}, candidate {n + 1}" for step in later for n in range(len(self.changes) - step)]
        return [replace(cell, arm=name) for name in left for cell in start]


def _held_out(cell: Cell) -> Cell:
    """Returns a candidate: only the deciding held-out evaluation, which is the last, and nothing published."""
    return replace(cell, trial=replace(cell.trial, evaluations=cell.trial.evaluations[-1:]), published={})
