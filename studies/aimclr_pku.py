"""AimCLR, Table 5: linear evaluation on PKU-MMD I and II, three streams, beside an encoder trained on labels.

Part II is small and noisy: what is left of the gains there? The paper does not say of which stream its supervised ST-GCN is.
Its LongT GAN has 26.0 on part II, and 26.5 in HiCo's Table 1.
30 h of training at 1000 samples/s.

    skelray prepare pku_mmd1 PKUMMD
    skelray prepare pku_mmd2 PKUMMDv2
    skelray run studies/aimclr_pku.py      # (2 arms x 3 streams + 2) x 2 protocols x 3 seeds = 48 trials, 18 untrained
"""

from skelray import Ablation, Arm, CrosSCLR, Reference, SkeletonCLR, above, fused_above, papers

FUSED = papers.AIMCLR_FUSION.stream
across = {"method": papers.AIMCLR_ACROSS.method, "stream": papers.CROSSCLR.stream}
labels = {"method": SkeletonCLR(), "epochs": 0, "evaluations": (papers.SUPERVISED,)}

study = Ablation(
    base=papers.AIMCLR,
    on=[("pku_mmd1", "xsub"), ("pku_mmd2", "xsub")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[
        *above("AimCLR", "CrosSCLR", at={"stream": FUSED}),
        *above("AimCLR across streams", "CrosSCLR"),
        *fused_above("AimCLR", FUSED, "joint", "motion", "bone"),
    ],
    arms=[
        Reference("ST-GCN (AAAI 18)", {"supervised": [84.1, 48.2]}, backbone="stgcn"),
        Reference("VA-LSTM (ICCV 17)", {"supervised": [84.1, 50.0]}),
        Arm("ST-GCN from labels", labels),
        Reference("LongT GAN (AAAI 18)", [67.7, 26.0]),
        Reference("MS2L (ACM MM 20)", [64.9, 27.6]),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, [84.9, 21.2]),
        Reference("ISC (ACM MM 21)", [80.9, 36.0]),
        Arm("AimCLR across streams", {**across, "evaluations": papers.AIMCLR_ACROSS.evaluations}, [87.4, 39.5]),
        Arm("AimCLR", {}, {FUSED: [87.8, 38.5]}),
    ],
)
