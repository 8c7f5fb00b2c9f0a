"""A study of fusion weights: the weights of an ensemble, searched on held-out training subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from skelray.checks import UserError, check_whole
from skelray.ensemble import Ensemble
from skelray.evaluation import Evaluation, HeldOut, Linear
from skelray.study.ablation import Ablation
from skelray.study.across import whole_seeds
from skelray.study.arm import Arm
from skelray.study.cell import Cell, Fused
from skelray.study.contrasts import Contrast
from skelray.study.notebook import fields_as_html
from skelray.study.notes import Notes
from skelray.study.samplers import Random
from skelray.study.scale import Scale
from skelray.study.sweep import check_space
from skelray.trial import Trial

PUBLISHED, CHOSEN = "published weights", "chosen weights"  # the arms of its table


@dataclass(frozen=True)
class Fusion:
    """A search over ``space``, which takes an Optuna trial and returns a weight for each stream.

    For each seed and point of ``across`` one encoder is trained for each stream (unless it is stored), ``evaluation`` reads
    the held-out training subjects, and the first point with the best top-1 there is chosen. Only then are the published and
    the chosen weights read on the test split. A point costs no training and no GPU.

    published: the weights of the paper, which are the first point. figures: its top-1 in percent by protocol.
    """

    base: Trial
    space: Callable[[Any], Mapping[str, float]]
    published: Mapping[str, float]
    evaluation: Evaluation = field(default_factory=Linear)
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    samples: int = 10_000
    sampler: Random = field(default_factory=Random)
    figures: Mapping[str, float] = field(default_factory=dict)
    prepared: ClassVar[None] = None  # its published numbers are on data prepared as the method's paper has it

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", whole_seeds(self.seeds))
        check_space(self.space)
        check_whole("samples", self.samples, 1)
        if "stream" in self.across:
            raise UserError("a fusion goes across the streams that published names: leave stream out of across")
        if isinstance(self.evaluation, HeldOut):
            raise UserError(f"evaluation {self.evaluation.name!r}: give it without HeldOut; the search adds that itself")
        self.as_ablation()

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for a field that the fusion goes across."""
        asked.check_open(self.across)
        asked.check_whole_search("a fusion")

    def _repr_html_(self) -> str:
        told = {
            "space": self.space,
            "published": self.published,
            "figures": self.figures,
            "evaluation": self.evaluation.name,
        }
        return fields_as_html("Fusion", {**told, "across": self.across, "seeds": self.seeds, "samples": self.samples})

    def as_ablation(self) -> Ablation:
        """Returns the streams' encoders and their ensemble under the published weights, as an ablation of one arm."""
        ensemble = Ensemble(self.published)
        return Ablation(
            base=replace(self.base, evaluations=(HeldOut(self.evaluation), self.evaluation)),
            arms=[Arm(type(self.base.method).__name__, published={ensemble.stream: self.figures})],
            across={**self.across, "stream": tuple(self.published)},
            seeds=self.seeds,
            published_by=self.evaluation.name,
            ensemble=ensemble,
        )

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Returns the streams' trials before the weights are chosen, without the test split."""
        return [replace(cell, trial=without_test(cell.trial)) for cell in self.as_ablation().cells(scale)]

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """Returns the ensembles under the published weights, one for each search, read on the test split too."""
        return [replace(one, arm=PUBLISHED) for one in self.as_ablation().fused(scale)]

    def notes(self) -> Notes:
        """Returns the comparison: the chosen weights with the published ones, on the test split.

        On held-out subjects, whom they were chosen on, they are better by construction.
        """
        return Notes((Contrast(CHOSEN, PUBLISHED, at={"evaluation": self.evaluation.name}),))

    def at_scale(self, scale: Scale | None) -> Fusion:
        """Returns the fusion with a scale's number of points."""
        return self if scale is None or scale.samples is None else replace(self, samples=scale.samples)


def without_test(trial: Trial) -> Trial:
    """Returns a trial with only the evaluations that a search may read."""
    return replace(trial, evaluations=tuple(e for e in trial.evaluations if isinstance(e, HeldOut)))


def close_ensemble(one: Fused) -> Fused:
    """Returns an ensemble before its weights are chosen, without the test split."""
    members = {stream: replace(cell, trial=without_test(cell.trial)) for stream, cell in one.members.items()}
    return replace(one, members=members)
