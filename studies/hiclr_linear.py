"""HiCLR, Table 4: linear evaluation on NTU RGB+D 60 and 120, three streams fused, and what an encoder weighs.

Is a hierarchy of augmentations better than AimCLR's extreme ones and CrosSCLR's mining across streams, on ST-GCN and on
DSTA-Net? CrosSCLR trains its streams together. AimCLR's Table 6 prints ISC's NTU120 figures the other way round. The
bars are those of the slides' page 18, which have no values.
488 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray prepare ntu120 nturgbd_skeletons        # the folder with both archives
    skelray run studies/hiclr_linear.py             # (3 arms x 3 streams + 1) x 4 protocols x 3 seeds = 120 trials
    skelray report hiclr_linear
"""

from skelray import DSTA, Ablation, AimCLR, Arm, Bars, CrosSCLR, Reference, above, fused_above, papers

FUSED = papers.HICLR_FUSION.stream
dsta = {"backbone": DSTA(), "optimizer": papers.HICLR_DSTA.optimizer, "evaluations": papers.HICLR_DSTA.evaluations}
crossclr = {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}

study = Ablation(
    base=papers.HICLR,
    on=[("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")],
    across={"stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    contrasts=[
        *above("HiCLR", "AimCLR", "CrosSCLR", at={"stream": FUSED}),
        *fused_above("HiCLR", FUSED, "joint", "bone", "motion"),
    ],
    figures=[Bars(at={"stream": FUSED})],
    arms=[
        Reference("LongT GAN (AAAI 18)", [39.1, 48.1, None, None], backbone="gru", params=40.2),
        Reference("MS2L (ACM MM 20)", [52.6, None, None, None], backbone="gru", params=2.28),
        Reference("P&C (CVPR 20)", [50.7, 76.3, 42.7, 41.7], backbone="gru"),
        Reference("AS-CAL (Inf. Sci. 21)", [58.5, 64.8, 48.6, 49.2], backbone="lstm", params=0.43),
        Reference("ISC (ACM MM 21)", [76.3, 85.2, 67.1, 67.9], backbone="gru+gcn+cnn", params=10.0),
        Reference("SeBiReNet (ECCV 20)", [None, 79.7, None, None], backbone="gru", params=0.27),
        Arm("CrosSCLR", crossclr, [77.8, 83.4, 67.9, 66.7], params=0.85),
        Arm("AimCLR", {"method": AimCLR()}, {FUSED: [78.9, 83.8, 68.2, 68.8]}, params=0.85),
        Arm("HiCLR", {}, {FUSED: [80.4, 85.5, 70.0, 70.4]}, params=0.85),
        Reference("H-Transformer (over 100 M)", [69.3, 72.8, None, None], backbone="transformer"),
        Reference("GL-Transformer (ECCV 22)", [76.3, 83.8, 66.0, 68.7], backbone="transformer", params=214),
        Arm("HiCLR on DSTA-Net", dsta, {FUSED: [78.8, 83.1, 67.3, 69.9]}, params=1.56),
    ],
)
