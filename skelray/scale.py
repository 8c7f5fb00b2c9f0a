"""How a study runs away from its published setting: on other data, shorter, smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from skelray.checks import UserError
from skelray.evaluation import smaller, smaller_each
from skelray.trial import Trial, changed, changed_part


@dataclass(frozen=True)
class Scale:
    """How a study runs away from its published setting: on other data, shorter, smaller. It changes no arm.

    changes: fields by name, wherever they live (``changed``); they come before an arm's own changes.
    small: with the small versions of all that has one, as --demo runs it. ordered: a sweep decides in a fixed order, looking
    at samples that are so many numbers back; None: as they end.
    """

    benchmark: str | None = None
    protocols: tuple[str, ...] | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] | None = None
    samples: int | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    small: bool = False
    ordered: int | None = field(default=None, metadata={"later": True})

    def __post_init__(self) -> None:
        for name in ("benchmark", "protocol", "seed", "epochs"):
            if name in dict(self.changes):
                raise UserError(f"{name} is not set as a field: use --{name}{'s' if name == 'seed' else ''}")

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
        trial = changed(trial, {name: self._fitted(name, value, early) for name, value in arm.items()})
        late = {name: value for name, value in self.changes if name in SCHEDULE and name not in arm}
        late = {name: value for name, value in late.items() if not _said(arm.get(SCHEDULE[name]), name)}
        return changed(trial if self.epochs is None else trial.stretched(share), late)

    def _fitted(self, name: str, part: Any, early: Mapping[str, Any]) -> Any:
        """A whole method or backbone that an arm brings: this scale fills in what the arm leaves at its default."""
        if name == "evaluations" and self.small:
            return smaller_each(part)
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


LAG = 4  # numbers that an ordered sweep looks back, so that as many samples may be under way at once

# What --demo runs: generated data, and what some hundred sequences and steps ask for.
DEMO = Scale(benchmark="synthetic", epochs=4, seeds=(0,), samples=8, small=True)
