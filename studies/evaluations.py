"""SkeletonCLR, AimCLR and HiCLR under every evaluation of their papers that is of one stream, on NTU60.

Published beside measured: KNN of HiCLR's Table 5, linear of its Table 1 and AimCLR's Table 2, and finetuning of AimCLR's
Table 8 (bone). Figures of three streams at once are ensembles; see ``streams.py``. Finetuning and shares of labels are each
method's own setting (``papers``): AimCLR trains with batch norm as in evaluation, HiCLR's code as usual. Everything is the
last epoch. An evaluation added here later trains no encoder again.

    skelray run studies/evaluations.py          # 9 arms x 2 protocols x 3 seeds = 54 trials, 10 evaluations each
    skelray report evaluations
"""

from dataclasses import replace

from skelray import Ablation, AimCLR, Arm, Clustering, HiCLR, Linear, Retrieval, SkeletonCLR, papers

frozen = (papers.KNN_NEAREST, papers.KNN_WEIGHTED, papers.KNN_PROJECTOR, Linear(), Retrieval(), Clustering())
hiclr = (*frozen, *papers.HICLR_SEMI, papers.HICLR_FINETUNE, papers.SUPERVISED)
aimclr = (*frozen, *papers.AIMCLR_SEMI, papers.AIMCLR_FINETUNE, papers.SUPERVISED)
METHODS = {"SkeletonCLR": (SkeletonCLR(), hiclr), "AimCLR": (AimCLR(), aimclr), "HiCLR": (HiCLR(), hiclr)}


def arm(name, stream, **published):
    """A method on a stream, and its published (xsub, xview) by evaluation."""
    method, evaluations = METHODS[name]
    figures = {evaluation: dict(zip(("xsub", "xview"), pair, strict=True)) for evaluation, pair in published.items()}
    return Arm(f"{name}, {stream}", {"method": method, "stream": stream, "evaluations": evaluations}, figures)


study = Ablation(
    base=replace(papers.HICLR, evaluations=hiclr),
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        arm("SkeletonCLR", "joint", knn=(56.1, 61.7), linear=(68.3, 76.4)),
        arm("AimCLR", "joint", knn=(62.0, 71.5), linear=(74.3, 79.7)),
        arm("HiCLR", "joint", knn=(67.3, 75.3), linear=(77.6, 82.0)),
        arm("SkeletonCLR", "motion", knn=(37.4, 41.6), linear=(53.3, 50.8)),
        arm("AimCLR", "motion", knn=(50.8, 56.9), linear=(66.8, 70.6)),
        arm("HiCLR", "motion", knn=(55.3, 60.7), linear=(69.1, 74.3)),
        arm("SkeletonCLR", "bone", linear=(69.4, 67.4), finetune=(82.2, 88.9)),
        arm("AimCLR", "bone", linear=(73.2, 77.0), finetune=(83.0, 89.2)),
        arm("HiCLR", "bone", linear=(73.9, 78.0)),
    ],
)
