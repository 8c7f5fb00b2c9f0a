"""Rules that stop samples of a sweep early, one file each."""

from skelray.study.stopping.asha import ASHA
from skelray.study.stopping.hyperband import HyperBand
from skelray.study.stopping.never import Never
from skelray.study.stopping.patience import Patience
from skelray.study.stopping.percentile import Median, Percentile
from skelray.study.stopping.pruner import Pruner
from skelray.study.stopping.rule import Readings, Rule, Verdict
from skelray.study.stopping.threshold import Threshold

__all__ = [
    "ASHA",
    "HyperBand",
    "Median",
    "Never",
    "Patience",
    "Percentile",
    "Pruner",
    "Readings",
    "Rule",
    "Threshold",
    "Verdict",
]
