"""AimCLR, Table 2: beyond NTU60, joint, motion and bone, and the three fused, on PKU-MMD I and NTU120.

Does what extreme augmentations add on NTU60 (``streams.py`` has these columns) hold on other data? Linear evaluation.
205 h of training at 1000 samples/s.

    skelray prepare pku_mmd1 PKUMMD
    skelray prepare ntu120 nturgbd_skeletons        # the folder with both archives
    skelray run studies/aimclr_datasets.py          # 2 arms x 3 protocols x 3 streams x 3 seeds = 54 trials
"""

from skelray import Ablation, Arm, Bars, SkeletonCLR, above, fused_above, papers

FUSED = papers.AIMCLR_FUSION.stream

study = Ablation(
    base=papers.AIMCLR,
    on=[("pku_mmd1", "xsub"), ("ntu120", "xsub"), ("ntu120", "xset")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[*above("AimCLR", "SkeletonCLR"), *fused_above("AimCLR", FUSED, "joint", "motion", "bone")],
    figures=[Bars(x="stream")],
    arms=[
        Arm(
            "SkeletonCLR",
            {"method": SkeletonCLR()},
            {
                "joint": [80.9, 56.8, 55.9],
                "motion": [63.4, 39.6, 40.2],
                "bone": [72.6, 48.4, 52.0],
                FUSED: [85.3, 60.7, 62.6],
            },
        ),
        Arm(
            "AimCLR",
            {},
            {
                "joint": [83.4, 63.4, 63.4],
                "motion": [72.0, 57.3, 54.4],
                "bone": [82.0, 62.9, 63.4],
                FUSED: [87.8, 68.2, 68.8],
            },
        ),
    ],
)
