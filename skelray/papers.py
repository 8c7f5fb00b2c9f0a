"""The papers' settings as trials: what the paper says and, where it is silent, what its released code does.

Differences between the two are fields of the dataclasses; RELEASED holds the released side of each.
"""

from __future__ import annotations

from dataclasses import replace

from skelray.augment import BA, NA, AugmentationSet, Blur, Mask, Noise
from skelray.backbones import STGCN
from skelray.evaluation import KNN, Linear
from skelray.methods import HiCLR, SkeletonCLR, cross_entropy
from skelray.trial import SGD, Trial

# SkeletonCLR as the AimCLR and HiCLR papers run it: 300 epochs, batch 128, SGD 0.1 (their sections on implementation).
SKELETONCLR = Trial(
    benchmark="ntu60",
    protocol="xsub",
    backbone=STGCN(),
    method=SkeletonCLR(),
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, milestones=(250,)),
    epochs=300,
    batch_size=128,
    evaluations=(KNN(), Linear()),
)

# HiCLR, Zhang, Lin, Liu, AAAI 2023: three branches, KL divergence, lambda_h 0.5.
HICLR = replace(SKELETONCLR, method=HiCLR(arrangement=(BA, NA, Mask), lambda_h=0.5))

_RELEASED_NA = AugmentationSet(
    "NA",
    tuple(
        replace(a, normalise=False) if isinstance(a, Blur) else replace(a, ghosts=True) if isinstance(a, Noise) else a
        for a in NA.augmentations
    ),
)

RELEASED = {
    "skeletonclr": replace(SKELETONCLR, method=SkeletonCLR(key_init="independent")),
    "hiclr": replace(
        HICLR,
        method=HiCLR(arrangement=(BA, _RELEASED_NA, Mask), similarity=cross_entropy, key_init="independent"),
    ),
}
