"""Which class does the work of which kind of study; nothing else asks for the kind."""

from __future__ import annotations

from skelray.checks import UserError
from skelray.runner.ablation import AblationWork
from skelray.runner.context import Context
from skelray.runner.fusion import FusionWork
from skelray.runner.growing import GrowingWork
from skelray.runner.sweep import SweepWork
from skelray.runner.work import Work
from skelray.search import fusion_weights as weights
from skelray.search.space import example_trial
from skelray.study.fusion import Fusion
from skelray.study.scale import Scale
from skelray.study.study import Expands, Grows, Study
from skelray.study.sweep import Sweep
from skelray.trial import Trial


def work_of(study: Study, context: Context) -> Work:
    """Returns the study's work at the scale of the context."""
    if isinstance(study, Sweep):
        return SweepWork(study, context)
    if isinstance(study, Fusion):
        return FusionWork(study, context)
    if isinstance(study, Grows):
        return GrowingWork(study, context)
    return AblationWork(_expanding(study), context)


def trials_of(study: Study) -> list[Trial]:
    """Returns the trials of the study's file, and of a search an example. Raises UserError if its space gives none."""
    if isinstance(study, Sweep):
        return [example_trial(study, Scale())]
    if isinstance(study, Fusion):
        weights.example_weights(study)
    return [cell.trial for cell in _expanding(study).cells()]


def as_search(study: Study, what: str) -> Sweep:
    """Returns the study as a sweep. Raises UserError for another kind. what: the study, in a sentence."""
    if not isinstance(study, Sweep):
        raise UserError(f"{what} is no sweep: only a search finds a setting")
    return study


def _expanding(study: Study) -> Expands:
    """Returns a study whose trials are known beforehand. Raises UserError for another kind."""
    if not isinstance(study, Expands):
        raise UserError(f"a {type(study).__name__} has no trials: it needs cells, fused and prepared, as Ablation has them")
    return study
