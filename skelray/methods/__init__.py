"""Methods: hyperparameters and a loss over MoCo's state."""

from skelray.methods.hiclr import HiCLR
from skelray.methods.moco import Backbone, Method, MoCo, MoCoSettings, Step, Views
from skelray.methods.similarity import SIMILARITIES, Candidates, Similarity, cosine, cross_entropy, info_nce, kl, l1
from skelray.methods.skeletonclr import SkeletonCLR

__all__ = [
    "SIMILARITIES",
    "Backbone",
    "Candidates",
    "HiCLR",
    "Method",
    "MoCo",
    "MoCoSettings",
    "Similarity",
    "SkeletonCLR",
    "Step",
    "Views",
    "cosine",
    "cross_entropy",
    "info_nce",
    "kl",
    "l1",
]
