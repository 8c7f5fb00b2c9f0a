"""skelray: which part of a self-supervised skeleton method earns its accuracy, and at what setting?"""

from skelray import papers
from skelray.augment import BA, NA, AugmentationSet, Draws, Mask, View
from skelray.backbones import STGCN
from skelray.data import DataError, Preprocessing, SkeletonDataset, Splits
from skelray.evaluation import KNN, FrozenEncoder, Linear
from skelray.methods import SIMILARITIES, HiCLR, SkeletonCLR
from skelray.results import curves, load
from skelray.skeleton import KINECT_V1, KINECT_V2, Skeleton
from skelray.study import ASHA, DEMO, TPE, Ablation, Arm, Scale, Sweep
from skelray.training import Diverged, Pretraining, Report, run
from skelray.trial import SGD, Monitor, Trial

__all__ = [
    "ASHA",
    "BA",
    "DEMO",
    "KINECT_V1",
    "KINECT_V2",
    "KNN",
    "NA",
    "SGD",
    "SIMILARITIES",
    "STGCN",
    "TPE",
    "Ablation",
    "Arm",
    "AugmentationSet",
    "DataError",
    "Diverged",
    "Draws",
    "FrozenEncoder",
    "HiCLR",
    "Linear",
    "Mask",
    "Monitor",
    "Preprocessing",
    "Pretraining",
    "Report",
    "Scale",
    "Skeleton",
    "SkeletonCLR",
    "SkeletonDataset",
    "Splits",
    "Sweep",
    "Trial",
    "View",
    "curves",
    "load",
    "papers",
    "run",
]
