"""skelray: which part of a self-supervised skeleton method earns its accuracy, and at what setting?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelray import papers
    from skelray.augment import BA, DAE, EA, HICO, NA, AdaIN, AugmentationSet, Draws, Mask, View, orders
    from skelray.backbones import DSTA, GRU, LSTM, STGCN, Hierarchical, Transformer
    from skelray.data import DataError, Preprocessing, SkeletonDataset, Splits
    from skelray.ensemble import Ensemble
    from skelray.evaluation import (
        KNN,
        Apart,
        Clustering,
        Corrupted,
        EvaluationResult,
        FewShot,
        Finetune,
        FrozenEncoder,
        HeldOut,
        Linear,
        ProbeGrid,
        Retrieval,
        SemiSupervised,
        Supervised,
        Transfer,
    )
    from skelray.methods import EADM, SIMILARITIES, AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR
    from skelray.report.show import show
    from skelray.results.attribution import attribution
    from skelray.results.calibration import Calibration
    from skelray.results.noise import noise
    from skelray.results.scores import Scores, scores
    from skelray.results.tables import curves, load
    from skelray.results.verdicts import verdicts
    from skelray.skeleton import KINECT_V1, KINECT_V2, Skeleton
    from skelray.study.ablation import Ablation
    from skelray.study.arm import Arm, Reference
    from skelray.study.charts import Bars, Lines
    from skelray.study.choose import choose
    from skelray.study.contrasts import Contrast, above, below, fused_above
    from skelray.study.fusion import Fusion
    from skelray.study.parts import AddOneIn, Factorial, LeaveOneOut
    from skelray.study.path import AblationPath
    from skelray.study.racing import Racing
    from skelray.study.samplers import CMAES, GP, NSGAII, QMC, TPE, Grid, OptunaSampler, Random
    from skelray.study.scale import DEMO, Scale
    from skelray.study.stopping import ASHA, HyperBand, Median, Never, Patience, Percentile, Pruner, Threshold
    from skelray.study.sweep import Sweep
    from skelray.training import Diverged, Pretraining, Report, run
    from skelray.trial import SGD, Monitor, Trial

__all__ = [
    "ASHA",
    "BA",
    "CMAES",
    "DAE",
    "DEMO",
    "DSTA",
    "EA",
    "EADM",
    "GP",
    "GRU",
    "HICO",
    "KINECT_V1",
    "KINECT_V2",
    "KNN",
    "LSTM",
    "NA",
    "NSGAII",
    "QMC",
    "SGD",
    "SIMILARITIES",
    "STGCN",
    "TPE",
    "Ablation",
    "AblationPath",
    "AdaIN",
    "AddOneIn",
    "AimCLR",
    "Apart",
    "Arm",
    "AugmentationSet",
    "Bars",
    "Calibration",
    "Clustering",
    "Contrast",
    "Corrupted",
    "CrosSCLR",
    "DataError",
    "Diverged",
    "Draws",
    "Ensemble",
    "EvaluationResult",
    "Factorial",
    "FewShot",
    "Finetune",
    "FrozenEncoder",
    "Fusion",
    "Grid",
    "HeldOut",
    "HiCLR",
    "HiCo",
    "Hierarchical",
    "HyperBand",
    "LeaveOneOut",
    "Linear",
    "Lines",
    "Mask",
    "Median",
    "Monitor",
    "Never",
    "OptunaSampler",
    "Patience",
    "Percentile",
    "Preprocessing",
    "Pretraining",
    "ProbeGrid",
    "Pruner",
    "Racing",
    "Random",
    "Reference",
    "Report",
    "Retrieval",
    "Scale",
    "Scores",
    "SemiSupervised",
    "Skeleton",
    "SkeletonCLR",
    "SkeletonDataset",
    "Splits",
    "Supervised",
    "Sweep",
    "Threshold",
    "Transfer",
    "Transformer",
    "Trial",
    "View",
    "above",
    "attribution",
    "below",
    "choose",
    "curves",
    "fused_above",
    "load",
    "noise",
    "orders",
    "papers",
    "run",
    "scores",
    "show",
    "verdicts",
]

# Where each name is at home. It is imported when it is asked for, so that `skelray.load` and the command answer at once.
_HOMES = {
    name: f"skelray.{home}"
    for home, names in {
        "augment": "BA DAE EA HICO NA AdaIN AugmentationSet Draws Mask View orders",
        "backbones": "DSTA GRU LSTM STGCN Hierarchical Transformer",
        "data": "DataError Preprocessing SkeletonDataset Splits",
        "ensemble": "Ensemble",
        "evaluation": "KNN Apart Clustering Corrupted FewShot Finetune FrozenEncoder HeldOut Linear EvaluationResult"
        " ProbeGrid Retrieval SemiSupervised Supervised Transfer",
        "study.fusion": "Fusion",
        "study.charts": "Bars Lines",
        "study.contrasts": "Contrast above below fused_above",
        "study.parts": "AddOneIn Factorial LeaveOneOut",
        "study.path": "AblationPath",
        "methods": "EADM SIMILARITIES AimCLR CrosSCLR HiCLR HiCo SkeletonCLR",
        "results.attribution": "attribution",
        "report.show": "show",
        "results.noise": "noise",
        "results.calibration": "Calibration",
        "results.tables": "curves load",
        "results.verdicts": "verdicts",
        "study.racing": "Racing",
        "study.scale": "DEMO Scale",
        "results.scores": "Scores scores",
        "skeleton": "KINECT_V1 KINECT_V2 Skeleton",
        "study.stopping": "ASHA HyperBand Median Never Patience Percentile Pruner Threshold",
        "study.samplers": "CMAES GP NSGAII QMC TPE Grid OptunaSampler Random",
        "study.ablation": "Ablation",
        "study.arm": "Arm Reference",
        "study.choose": "choose",
        "study.sweep": "Sweep",
        "training": "Diverged Pretraining Report run",
        "trial": "SGD Monitor Trial",
    }.items()
    for name in names.split()
}
_MODULES = ("data", "papers", "search", "testing")  # what is called by its module, as skelray.search.study


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"skelray.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'skelray' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
