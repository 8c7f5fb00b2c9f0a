"""The scale of a run: a study away from its published setting, on other data, shorter or smaller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any

from skelray.backbones import Hierarchical
from skelray.checks import MOST_SEED, UserError, check_whole, quote_value
from skelray.data.benchmarks import BENCHMARKS
from skelray.evaluation import small_version, small_versions
from skelray.identity.canonical import canonical, digest
from skelray.methods import Scheduled
from skelray.study.changes import Path, Unknown, changed, field_path, value_at
from skelray.study.enough import Budget, Stable
from skelray.trial import Trial

Variants = Sequence[tuple[str, Mapping[str, Any]]]  # what the cells of a study are called, and what they change of its base


@dataclass(frozen=True)
class Scale:
    """How a run departs from the published setting: on other data, shorter, smaller. It changes no arm.

    changes: fields by name, wherever they live (``changed``), applied before an arm's own; a field that a study compares is
    refused (``check``). small: uses the small version of every part, as --demo. ordered: a sweep decides in a fixed order,
    reading samples at least this many numbers back; None: as they end. budget, until: when a sweep stops proposing.
    """

    benchmark: str | None = None
    protocols: tuple[str, ...] | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] | None = None
    samples: int | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    small: bool = False
    ordered: int | None = field(default=None, metadata={"later": True})
    budget: Budget | None = field(default=None, metadata={"later": True})
    until: Stable | None = field(default=None, metadata={"later": True})

    def __post_init__(self) -> None:
        for name, number in (("epochs", self.epochs), ("samples", self.samples)):
            if number is not None:
                check_whole(name, number, 1)
        for seed in self.seeds or ():
            check_whole("seed", seed, 0, MOST_SEED)
        for name, _ in self.changes:
            field = name.removeprefix("trial.")
            if field in ("benchmark", "protocol", "seed", "epochs"):
                raise UserError(f"{field} is not set as a field: use --{field}{'s' if field == 'seed' else ''}")

    def check_whole_search(self, kind: str) -> None:
        """Raises UserError for a budget or a stopping rule for the search if the study is no sweep."""
        if self.budget is not None or self.until is not None:
            told = f"--budget {self.budget}" if self.budget is not None else "--until stable"
            raise UserError(f"{told}: this study is {kind}, and only a sweep may end before all its samples are there")

    def __str__(self) -> str:
        """Describes what differs from the published setting."""
        told = [f"{self.epochs} epochs"] if self.epochs is not None else []
        told += ["small models"] if self.small else []
        return ", ".join([*told, *(f"{name}={value}" for name, value in self.changes)])

    @property
    def as_published(self) -> bool:
        """Whether trials keep their published settings, so that published numbers are comparable."""
        return self.epochs is None and not self.changes and not self.small

    def __call__(
        self, trial: Trial, arm: Mapping[str, Any] | None = None, compared: Collection[tuple[type, str]] = ()
    ) -> Trial:
        """Returns a published trial at this scale, under an arm's changes.

        The schedule is stretched to the number of epochs, except what ``changes`` sets of it. compared: fields, by class, in
        which whole parts given by arms differ: they stay as they are.
        """
        arm = arm or {}
        share = 1.0 if self.epochs is None else self.epochs / max(1, trial.epochs)
        late_names = counting_epochs(trial.optimizer, trial.method, *arm.values())
        early = {name: value for name, value in self.changes if name.rpartition(".")[2] not in late_names}
        late = {name: value for name, value in self.changes if name not in early}
        trial = replace(trial, benchmark=self.benchmark or trial.benchmark)
        trial = trial.small() if self.small else trial
        trial = replace(trial, backbone=self._for_its_people(trial.backbone, compared))
        trial = changed(trial, {name: value for name, value in early.items() if not arm or _path(trial, name)})
        trial = changed(trial, {name: self._fitted(name, value, compared) for name, value in arm.items()})
        whole = {name: value for name, value in early.items() if _brought(trial, arm, name)}
        trial = changed(trial, whole)
        trial = trial if self.epochs is None else trial.stretched(share)
        return changed(trial, {name: value for name, value in late.items() if not arm or _open(trial, arm, name)})

    def _fitted(self, name: str, part: Any, compared: Collection[tuple[type, str]]) -> Any:
        """Returns a whole method or backbone given by an arm, small in the fields that all arms leave at default."""
        part = self._for_its_people(part, compared)
        if self.small and name == "evaluations":
            return small_versions(part)
        if not self.small or isinstance(part, type) or not is_dataclass(part):
            return part
        small = small_version(part)
        open_ = [f.name for f in fields(part) if f.init and (type(part), f.name) not in compared]
        shrunk = {name: getattr(small, name) for name in open_ if at_default(part, name)}
        return replace(part, **shrunk)  # type: ignore[type-var]

    def _for_its_people(self, part: Any, compared: Collection[tuple[type, str]]) -> Any:
        """Returns a backbone of fixed persons adapted to the scale's benchmark, if its number is known."""
        known = None if self.benchmark is None else BENCHMARKS.get(self.benchmark)
        if known is None or not isinstance(part, Hierarchical) or (Hierarchical, "persons") in compared:
            return part
        return replace(part, persons=known.persons)

    def check_changes(self, base: Trial, variants: Variants) -> None:
        """Raises UserError if this scale would set a field that a study compares."""
        if self.as_published and self.benchmark is None:
            return
        own = [(name, arm, changed(base, arm)) for name, arm in variants]
        if self.benchmark is not None and all("benchmark" in arm for _, arm, _ in own):
            raise UserError(f"--benchmark {self.benchmark}: the study names the benchmark of each of its cells itself")
        for name, value in self.changes:
            self._check_change(name, value, own)

    def _check_change(self, name: str, value: Any, own: Sequence[tuple[str, Mapping[str, Any], Trial]]) -> None:
        """Raises UserError if no cell takes a change, or if cells differ in the field by whole parts."""
        if all(_path(trial, name) is None for _, _, trial in own):
            field_path(own[0][2], name)  # says which fields there are
        open_ = [(cell, trial, field_path(trial, name)) for cell, arm, trial in own if _open(trial, arm, name)]
        found: dict[str, tuple[str, Any]] = {}
        for cell, trial, path in open_:
            at = value_at(trial, path)
            mark = "default" if at_default(value_at(trial, path[:-1]), path[-1]) else digest(canonical(at))
            found.setdefault(mark, (cell, at))
        if len(found) > 1:
            (one, first), (other, second), *_ = found.values()
            raise UserError(
                f"--set {name}={value}: {one!r} has {quote_value(first)} and {other!r} has {quote_value(second)}, and what "
                f"a study compares is not set for all; change {name} in its file"
            )

    def check_open(self, fields: Collection[str]) -> None:
        """Raises UserError if it changes one of these fields, which the study sets for each cell."""
        for name, value in self.changes:
            if name in fields:
                raise UserError(
                    f"--set {name}={value}: the study says the {name} of each of its cells; change it in its file"
                )

    @property
    def options(self) -> str:
        """Returns the settings that change trials, as command-line options."""
        told = ["--demo"] if self.small else []
        told += [f"--epochs {self.epochs}"] if self.epochs is not None else []
        told += [f"--benchmark {self.benchmark}"] if self.benchmark is not None and not self.small else []
        return " ".join(["with", *told, *(f"--set {name}={value}" for name, value in self.changes)])


def counting_epochs(*parts: Any) -> set[str]:
    """Returns the names of the fields, of any parts of trials, that count epochs."""
    return {name for part in parts if isinstance(part, Scheduled) for name in part.COUNT_EPOCHS}


def _path(trial: Trial, name: str) -> Path | None:
    """Returns the path of a trial's field, None if there is none. Raises UserError if several parts have it."""
    try:
        return field_path(trial, name)
    except Unknown:
        return None


def _open(trial: Trial, arm: Mapping[str, Any], name: str) -> bool:
    """Returns whether a trial has a field that its arm does not set."""
    path = _path(trial, name)
    return path is not None and path not in [_path(trial, own) for own in arm]


def _brought(trial: Trial, arm: Mapping[str, Any], name: str) -> bool:
    """Returns whether a field lies in a part that its arm gives whole, and is not set by itself."""
    path = _path(trial, name)
    named = [_path(trial, own) for own in arm]
    return path is not None and path not in named and any(path[:count] in named for count in range(1, len(path)))


def at_default(part: Any, name: str) -> bool:
    """Returns whether a field has its class's default, so that it may not have been set at all."""
    if isinstance(part, Trial):
        return False
    (field,) = (field for field in fields(part) if field.name == name)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and canonical(getattr(part, name)) == canonical(default)


LAG = 4  # numbers that an ordered sweep looks back, so that as many samples may be under way at once

# What --demo runs: generated data, and what some hundred sequences and some ten steps ask for.
DEMO = Scale(benchmark="synthetic", epochs=2, seeds=(0,), samples=8, small=True)
