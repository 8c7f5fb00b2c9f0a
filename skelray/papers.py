"""The papers' settings as trials: what the paper says and, where it is silent, what its released code does.

Differences between the two are fields of the dataclasses; RELEASED holds the released side of each.
"""

from __future__ import annotations

from dataclasses import replace

from skelray.augment import BA, NA, AugmentationSet, Blur, Mask, Noise, RandomMask
from skelray.backbones import DSTA, GRU, LSTM, STGCN, Hierarchical
from skelray.data import Preprocessing
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Apart, Finetune, Linear, SemiSupervised, Supervised
from skelray.methods import EADM, AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR, cross_entropy
from skelray.trial import SGD, Trial

# Nearest neighbours: HiCo's retrieval and the default; AimCLR's authors (AimCLR#5), with the usual k and temperature of
# the monitor they name; HiCLR's earlier monitor, which read after the projector (its k and temperature are not recorded).
KNN_NEAREST = KNN()
KNN_WEIGHTED = KNN(k=200, temperature=0.1)
KNN_PROJECTOR = KNN(k=200, temperature=0.1, layer="projector")

# Finetuning and the two shares of labels of all tables (methods.md, 6.4). Where a figure is not published it says so.
HICLR_FINETUNE = Finetune()
HICLR_SEMI = (SemiSupervised(labels=0.01), SemiSupervised(labels=0.1))  # of its earlier configs, 60 epochs, 15 and 30
HICLR_DSTA_FINETUNE = Finetune(
    weight_decay=5e-4,
    epochs=80,
    milestones=(35, 55),
    batch_size=128,
    augmentation=BA,
    init="xavier",
    frozen=("linear",),  # the convolution that reads the coordinates
    dropout=0.0,
)
_DSTA_SEMI = SemiSupervised(
    weight_decay=5e-4, epochs=50, milestones=(15, 25), batch_size=128, init="xavier", frozen=("linear",), dropout=0.0
)
HICLR_DSTA_SEMI = (replace(_DSTA_SEMI, labels=0.01), _DSTA_SEMI)

# AimCLR trains with batch norm and dropout as in evaluation. Its schedule is not published: epochs and milestones are those
# of HiCLR here, without warm-up, of which its author says nothing, in the pretext's batches of 128 (HiCLR: 64). Nor is how
# many steps a share of the labels takes: as many as all labels would, as HiCLR's; 60 rounds of 1 % are some 240 steps.
AIMCLR_FINETUNE = Finetune(lr=0.01, nesterov=False, warmup=0, batch_size=128, mode="eval", init="normal")
_AIMCLR_SEMI = SemiSupervised(lr=0.01, nesterov=False, warmup=0, batch_size=128, mode="eval", init="normal", clip_norm=2.0)
AIMCLR_SEMI = (replace(_AIMCLR_SEMI, labels=0.01), _AIMCLR_SEMI)

# HiCo publishes the results alone: HiCLR's schedules at the rate, batch size and momentum of HiCo's own pretext, from a
# classifier as its probe's.
HICO_FINETUNE = Finetune(lr=0.01, nesterov=False, init="normal", std=0.01)
_HICO_SEMI = SemiSupervised(lr=0.01, nesterov=False, init="normal", std=0.01)
HICO_SEMI = (replace(_HICO_SEMI, labels=0.01), _HICO_SEMI)
HICO_SUPERVISED = Supervised(lr=0.01, nesterov=False, init="normal", std=0.01)

# ST-GCN trained on labels alone, from the weights that pretraining starts from.
SUPERVISED = Supervised()

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

# CrosSCLR, Li et al., CVPR 2021: three streams, which mine for one another in the second half.
CROSSCLR = replace(SKELETONCLR, stream="joint+motion+bone", method=CrosSCLR())

# AimCLR, Guo et al., AAAI 2022: eight extreme augmentations, EADM, D3M and, in the second half, NNM.
AIMCLR = replace(SKELETONCLR, method=AimCLR())

# HiCLR, Zhang, Lin, Liu, AAAI 2023: three branches, KL divergence, lambda_h 0.5.
HICLR = replace(SKELETONCLR, method=HiCLR(arrangement=(BA, NA, Mask), lambda_h=0.5))

# On PKU-MMD as its code ran until November 2022; the paper says 300 epochs for everything.
HICLR_PKU_MMD1, HICLR_PKU_MMD2 = (
    replace(
        HICLR,
        benchmark=f"pku_mmd{part}",
        method=replace(HICLR.method, mining_from=epochs // 2),  # type: ignore[type-var]
        optimizer=replace(HICLR.optimizer, milestones=(milestone,)),
        epochs=epochs,
    )
    for part, epochs, milestone in ((1, 600, 500), (2, 1500, 1250))
)

# Its probe of part II was longer.
HICLR_PKU_MMD2 = replace(HICLR_PKU_MMD2, evaluations=(KNN(), Linear(epochs=200, milestones=(160,))))

# HiCLR on DSTA-Net; its probe falls at two milestones.
HICLR_DSTA = replace(
    HICLR,
    backbone=DSTA(),
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, milestones=(250,)),
    evaluations=(KNN(), Linear(milestones=(30, 80))),
)

# How AimCLR fuses its three streams (paper and code); HiCLR's code tries these weights and equal ones on the test labels,
# and its paper names none.
AIMCLR_FUSION = HICLR_FUSION = Ensemble({"joint": 0.6, "bone": 0.6, "motion": 0.4})

# AimCLR whose streams mine for one another; its results of several streams are weighted sums, too.
AIMCLR_ACROSS = replace(
    CROSSCLR,
    method=AimCLR(cross_streams=True),
    evaluations=tuple(Apart(evaluation, AIMCLR_FUSION) for evaluation in CROSSCLR.evaluations),
)

# HiCo fuses "in the setting of CrosSCLR": the mean of the streams' scores.
HICO_FUSION = Ensemble({"joint": 1.0, "bone": 1.0, "motion": 1.0})

# HiCo, Dong et al., AAAI 2023, on 300 frames prepared with --path rigid. The script counts epochs 0 to 450.
_HICO_LINEAR = Linear(lr=2.0, epochs=80, milestones=(50, 70), batch_size=1024, std=0.01)
HICO_TRANSFORMER = Trial(
    benchmark="ntu60",
    protocol="xsub",
    backbone=Hierarchical(),
    method=HiCo(),
    optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=1e-4, milestones=(351,)),
    epochs=451,
    batch_size=64,
    evaluations=(KNN(), _HICO_LINEAR),
)
HICO_GRU = replace(HICO_TRANSFORMER, backbone=Hierarchical(s2s=GRU()))
HICO_LSTM = replace(HICO_TRANSFORMER, backbone=Hierarchical(s2s=LSTM()))


# What sequences the papers' numbers are of (methods.md, 1.2 and 1.3). On PKU-MMD HiCo read the others' arrays.
CENTRED, RIGID = Preprocessing("centred", 50), Preprocessing("rigid", 300)


def preprocessing_of(trial: Trial) -> Preprocessing | None:
    """Returns how the data of a paper's method was prepared; None for a method of one's own."""
    if isinstance(trial.method, HiCo):
        return CENTRED if trial.benchmark.startswith("pku") else RIGID
    return CENTRED if isinstance(trial.method, (SkeletonCLR, CrosSCLR, AimCLR, HiCLR)) else None


def _released(augmentations: AugmentationSet) -> AugmentationSet:
    """Returns the set as all released code has it: the blur amplifies, noise and masks also fall on absent persons."""
    changes = {Blur: {"normalise": False}, Noise: {"ghosts": True}, RandomMask: {"ghosts": True}}
    changed = (replace(a, **changes.get(type(a), {})) for a in augmentations.augmentations)  # type: ignore[type-var]
    return AugmentationSet(augmentations.name, tuple(changed))


_RELEASED_NA = _released(NA)


def _best(every: int, *evaluations: Linear | Finetune) -> tuple[Linear | Finetune, ...]:
    """Makes the evaluations report the best epoch on the test split, read every ``every`` epochs, as released code does."""
    return tuple(replace(evaluation, selection="released", every=every) for evaluation in evaluations)


_LAST = SKELETONCLR.evaluations  # beside what the code reports
_PROBED = (*_LAST, *_best(5, Linear()))

RELEASED = {
    "skeletonclr": replace(SKELETONCLR, method=SkeletonCLR(key_init="independent"), evaluations=_PROBED),
    "crossclr": replace(
        CROSSCLR, method=CrosSCLR(shared_head=True, frozen_keys=True, key_init="independent"), evaluations=_PROBED
    ),
    "aimclr": replace(
        AIMCLR,
        method=AimCLR(
            extreme=AugmentationSet("EA", (BA + _RELEASED_NA).augmentations),  # without time flip
            eadm=EADM("released"),
            mined_mean=True,
            key_init="independent",
        ),
        evaluations=_PROBED,
    ),
    "hiclr": replace(
        HICLR,
        method=HiCLR(arrangement=(BA, _RELEASED_NA, _released(Mask)), similarity=cross_entropy, key_init="independent"),
        epochs=290,  # of 300 it evaluates this one
        evaluations=_PROBED,
    ),
    "hico": replace(
        HICO_TRANSFORMER,
        method=HiCo(short_queue=True),
        evaluations=(*HICO_TRANSFORMER.evaluations, *_best(1, _HICO_LINEAR)),
    ),
}
RELEASED["hiclr_dsta"] = replace(
    HICLR_DSTA,
    method=RELEASED["hiclr"].method,
    evaluations=(*HICLR_DSTA.evaluations, *_best(5, Linear(milestones=(30, 80)))),
)

# What trains the encoder, as released: of a share of labels an epoch is as long as that is in AimCLR's code, and HiCLR's
# earlier configs read the test split every third epoch.
RELEASED_TUNED = {
    "aimclr": _best(5, AIMCLR_FINETUNE, *(replace(semi, whole_epochs=False) for semi in AIMCLR_SEMI)),
    "hiclr": (*_best(5, HICLR_FINETUNE), *_best(3, *HICLR_SEMI)),
    "hiclr_dsta": (*_best(5, HICLR_DSTA_FINETUNE), *_best(3, *HICLR_DSTA_SEMI)),
}
