"""AimCLR, Table 6: linear evaluation on NTU120, three streams apart and fused, and three that mine for one another.

Do the gains on NTU60 hold on twice the classes? HiCLR's Table 4 prints ISC's two figures the other way round.
147 h of training at 1000 samples/s.

    skelray prepare ntu120 nturgbd_skeletons        # the folder with both archives
    skelray run studies/aimclr_ntu120.py            # (1 arm x 3 streams + 2) x 2 protocols x 3 seeds = 30 trials
"""

from skelray import Ablation, Arm, CrosSCLR, Reference, above, fused_above, papers

FUSED = papers.AIMCLR_FUSION.stream
across = {"method": papers.AIMCLR_ACROSS.method, "stream": papers.CROSSCLR.stream}

study = Ablation(
    base=papers.AIMCLR,
    on=[("ntu120", "xsub"), ("ntu120", "xset")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[
        *above("AimCLR", "CrosSCLR", at={"stream": FUSED}),
        *above("AimCLR across streams", "CrosSCLR"),
        *fused_above("AimCLR", FUSED, "joint", "motion", "bone"),
    ],
    arms=[
        Reference("P&C (CVPR 20)", [42.7, 41.7]),
        Reference("AS-CAL (Inf. Sci. 21)", [48.6, 49.2]),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, [67.9, 66.7]),
        Reference("ISC (ACM MM 21)", [67.9, 67.1]),
        Arm("AimCLR across streams", {**across, "evaluations": papers.AIMCLR_ACROSS.evaluations}, [68.0, 68.7]),
        Arm("AimCLR", {}, {FUSED: [68.2, 68.8]}),
    ],
)
