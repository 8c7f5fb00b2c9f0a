"""AimCLR, Table 4: linear evaluation on NTU60, one stream, three apart and fused, three that mine for one another.

What do extreme augmentations add to SkeletonCLR, and D3M to CrosSCLR's mining across streams? A probe of CrosSCLR learns its
streams jointly; AimCLR's results of several streams are sums at 0.6, 0.6, 0.4, wherever they come from.
155 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_ntu60.py      # (2 arms x 3 streams + 2) x 2 protocols x 3 seeds = 48 trials
"""

from skelray import Ablation, Arm, CrosSCLR, Reference, SkeletonCLR, above, fused_above, papers

FUSED = papers.AIMCLR_FUSION.stream
across = {"method": papers.AIMCLR_ACROSS.method, "stream": papers.CROSSCLR.stream}

study = Ablation(
    base=papers.AIMCLR,
    on=[("ntu60", "xsub"), ("ntu60", "xview")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[
        *above("AimCLR", "SkeletonCLR", at={"stream": "joint"}),
        *above("AimCLR", "SkeletonCLR", "CrosSCLR", at={"stream": FUSED}),
        *above("AimCLR across streams", "CrosSCLR"),
        *fused_above("AimCLR", FUSED, "joint", "motion", "bone"),
    ],
    arms=[
        Reference("LongT GAN (AAAI 18)", [39.1, 48.1]),
        Reference("MS2L (ACM MM 20)", [52.6, None]),
        Reference("AS-CAL (Inf. Sci. 21)", [58.5, 64.8]),
        Reference("P&C (CVPR 20)", [50.7, 76.3]),
        Reference("SeBiReNet (ECCV 20)", [None, 79.7]),
        Arm("SkeletonCLR", {"method": SkeletonCLR()}, {"joint": [68.3, 76.4], FUSED: [75.0, 79.8]}),
        Reference("3s-Colorization (ICCV 21)", [75.2, 83.1], stream="3s"),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, [77.8, 83.4]),
        Arm("AimCLR across streams", {**across, "evaluations": papers.AIMCLR_ACROSS.evaluations}, [78.6, 82.6]),
        Arm("AimCLR", {}, {"joint": [74.3, 79.7], FUSED: [78.9, 83.8]}),
    ],
)
