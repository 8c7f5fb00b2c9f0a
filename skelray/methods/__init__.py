"""Methods: hyperparameters and a loss over MoCo's state."""

from skelray.methods.aimclr import AimCLR
from skelray.methods.crossclr import CrosSCLR, MultiStream
from skelray.methods.eadm import EADM
from skelray.methods.hiclr import HiCLR
from skelray.methods.hico import HiCo
from skelray.methods.method import (
    Backbone,
    Encoder,
    HasFeatureMap,
    HasFollowers,
    HasLevels,
    HasMaskValues,
    HasProjectors,
    HasStages,
    Method,
    Model,
    Scheduled,
    Step,
    TakesViews,
    Views,
)
from skelray.methods.moco import MoCo, MoCoSettings
from skelray.methods.similarity import SIMILARITIES, Candidates, Similarity, cosine, cross_entropy, info_nce, kl, l1
from skelray.methods.skeletonclr import SkeletonCLR

__all__ = [
    "EADM",
    "SIMILARITIES",
    "AimCLR",
    "Backbone",
    "Candidates",
    "CrosSCLR",
    "Encoder",
    "HasFeatureMap",
    "HasFollowers",
    "HasLevels",
    "HasMaskValues",
    "HasProjectors",
    "HasStages",
    "HiCLR",
    "HiCo",
    "Method",
    "MoCo",
    "MoCoSettings",
    "Model",
    "MultiStream",
    "Scheduled",
    "Similarity",
    "SkeletonCLR",
    "Step",
    "TakesViews",
    "Views",
    "cosine",
    "cross_entropy",
    "info_nce",
    "kl",
    "l1",
]
