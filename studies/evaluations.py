"""SkeletonCLR, AimCLR and HiCLR under every evaluation of their papers on NTU60, each stream and the three of them fused.

Published beside measured: KNN of HiCLR's Table 5, linear of its Tables 1 and 4 and AimCLR's Table 2, shares of labels and
finetuning of HiCLR's Tables 6 and 7 and AimCLR's 7 and 8. Each method has the setting of its own paper (``papers``), and
SkeletonCLR that of AimCLR's authors, who publish its finetuning: batch norm as in evaluation. HiCLR's nearest neighbours
were weighted, after the projector. Supervised has no method, so one arm of untrained encoders is all it takes. Everything
is the last epoch. An evaluation added here later trains no encoder again.

    skelray run studies/evaluations.py      # 5 arms x 2 protocols x 3 streams x 3 seeds = 90 trials, 18 of them untrained
    skelray report evaluations
"""

from dataclasses import replace

from skelray import DSTA, Ablation, AimCLR, Arm, Clustering, Linear, Retrieval, SkeletonCLR, papers

near = (papers.KNN_NEAREST, papers.KNN_WEIGHTED, papers.KNN_PROJECTOR)
frozen = (*near, Linear(), Retrieval(), Clustering())
aimclr = (*frozen, *papers.AIMCLR_SEMI, papers.AIMCLR_FINETUNE)
hiclr = (*frozen, *papers.HICLR_SEMI, papers.HICLR_FINETUNE)
probe = papers.HICLR_DSTA.evaluations[-1]
dsta = (*near, probe, Retrieval(), Clustering(), *papers.HICLR_DSTA_SEMI, papers.HICLR_DSTA_FINETUNE)


def arm(label, changes, **streams):
    """Changes, and the published (xsub, xview) by evaluation, by stream."""
    names = {"knn": papers.KNN_PROJECTOR.name, "semi1": "semi 1%", "semi10": "semi 10%"}
    published = {
        "joint+bone+motion" if stream == "fused" else stream: {
            names.get(evaluation, evaluation): dict(zip(("xsub", "xview"), pair, strict=True))
            for evaluation, pair in figures.items()
        }
        for stream, figures in streams.items()
    }
    return Arm(label, changes, published)


study = Ablation(
    base=replace(papers.HICLR, evaluations=hiclr),
    across={"protocol": ["xsub", "xview"], "stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    arms=[
        arm(
            "SkeletonCLR",
            {"method": SkeletonCLR(), "evaluations": aimclr},
            joint={"knn": (56.1, 61.7), "linear": (68.3, 76.4)},
            bone={"linear": (69.4, 67.4), "finetune": (82.2, 88.9)},
            motion={"knn": (37.4, 41.6), "linear": (53.3, 50.8)},
            fused={"linear": (75.0, 79.8)},
        ),
        arm(
            "AimCLR",
            {"method": AimCLR(), "evaluations": aimclr},
            joint={"knn": (62.0, 71.5), "linear": (74.3, 79.7)},
            bone={"linear": (73.2, 77.0), "finetune": (83.0, 89.2)},
            motion={"knn": (50.8, 56.9), "linear": (66.8, 70.6)},
            fused={"linear": (78.9, 83.8), "semi1": (54.8, 54.3), "semi10": (78.2, 81.6), "finetune": (86.9, 92.8)},
        ),
        arm(
            "HiCLR",
            {},
            joint={"knn": (67.3, 75.3), "linear": (77.6, 82.0)},
            bone={"linear": (73.9, 78.0)},
            motion={"knn": (55.3, 60.7), "linear": (69.1, 74.3)},
            fused={"linear": (80.4, 85.5), "semi1": (58.5, 58.3), "semi10": (79.6, 84.0), "finetune": (88.3, 93.2)},
        ),
        arm(
            "HiCLR on DSTA-Net",
            {"backbone": DSTA(), "optimizer": papers.HICLR_DSTA.optimizer, "evaluations": dsta},
            fused={"linear": (78.8, 83.1), "semi1": (54.7, 53.7), "semi10": (82.1, 84.8)},
        ),
        arm(
            "Supervised",
            {"method": SkeletonCLR(), "epochs": 0, "evaluations": (papers.SUPERVISED,)},
            fused={"supervised": (85.2, 91.4)},
        ),
    ],
)
