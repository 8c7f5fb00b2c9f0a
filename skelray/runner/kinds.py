"""Which class does the work of which kind of study; running asks for the kind nowhere else."""

from __future__ import annotations

from skelray.runner.ablation import AblationWork
from skelray.runner.context import Context
from skelray.runner.fusion import FusionWork
from skelray.runner.sweep import SweepWork
from skelray.runner.work import Work
from skelray.study.fusion import Fusion, Study
from skelray.study.sweep import Sweep


def work_of(study: Study, context: Context) -> Work:
    """The study's work at the scale of the context."""
    if isinstance(study, Sweep):
        return SweepWork(study, context)
    if isinstance(study, Fusion):
        return FusionWork(study, context)
    return AblationWork(study, context, study.prepared)
