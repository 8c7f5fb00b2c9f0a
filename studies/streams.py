"""HiCLR, Table 1, with AimCLR beside it: joint, bone and motion streams, and the three of them fused.

Streams are trained apart; the ensemble adds their raw scores, 0.6 joint + 0.6 bone + 0.4 motion, and costs no training.
SkeletonCLR's and HiCLR's figures are those of HiCLR's Table 1, AimCLR's of its Table 2. Linear evaluation.
292 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/streams.py      # 5 arms x 2 protocols x 3 streams x 3 seeds = 90 trials
    skelray report streams              # joint, bone, motion, joint+bone+motion, measured beside published
"""

from skelray import BA, DAE, NA, Ablation, AdaIN, AimCLR, Arm, HiCLR, Mask, SkeletonCLR, above, fused_above, papers

FUSED = papers.HICLR_FUSION.stream


def arm(label, method, joint, bone, motion, fused):
    """A method and its published (xsub, xview) by stream."""
    streams = {"joint": joint, "bone": bone, "motion": motion, FUSED: fused}
    published = {stream: dict(zip(("xsub", "xview"), pair, strict=True)) for stream, pair in streams.items()}
    return Arm(label, {"method": method}, published)


def hiclr(strong, **published):
    """HiCLR with one of its strong augmentations."""
    return arm(f"HiCLR, {strong.name}", HiCLR(arrangement=(BA, NA, strong)), **published)


study = Ablation(
    base=papers.HICLR,
    across={"protocol": ["xsub", "xview"], "stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    contrasts=[
        *above("HiCLR, Mask", "AimCLR", "SkeletonCLR", at={"stream": FUSED}),
        *above("AimCLR", "SkeletonCLR", at={"stream": FUSED}),
        *fused_above("HiCLR, Mask", FUSED, "joint", "bone", "motion"),
    ],
    arms=[
        arm("SkeletonCLR", SkeletonCLR(), joint=(68.3, 76.4), bone=(69.4, 67.4), motion=(53.3, 50.8), fused=(75.0, 79.8)),
        arm("AimCLR", AimCLR(), joint=(74.3, 79.7), bone=(73.2, 77.0), motion=(66.8, 70.6), fused=(78.9, 83.8)),
        hiclr(Mask, joint=(77.6, 82.0), bone=(73.9, 78.0), motion=(69.1, 74.3), fused=(80.4, 85.5)),
        hiclr(DAE, joint=(77.2, 81.7), bone=(76.9, 80.5), motion=(68.0, 72.2), fused=(79.8, 84.9)),
        hiclr(AdaIN, joint=(77.3, 82.4), bone=(75.3, 79.2), motion=(69.5, 71.8), fused=(80.4, 84.4)),
    ],
)
