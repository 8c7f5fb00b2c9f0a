"""AimCLR, Table 1: what extreme augmentations, EADM and neighbour mining add.

Streams are trained apart and fused as in the paper, whose figures are those of the three together, single streams where its
Table 2 has them; linear evaluation. D3M is there wherever normal and extreme views are. "normal" is SkeletonCLR: its trials
are those of ``streams.py``.
292 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_parts.py      # 5 arms x 2 protocols x 3 streams x 3 seeds = 90 trials
    skelray report aimclr_parts              # joint, bone, motion, joint+bone+motion, measured beside published
"""

from skelray import EA, Ablation, AimCLR, Arm, Contrast, SkeletonCLR, fused_above, papers

FUSED = papers.AIMCLR_FUSION.stream


def arm(label, xsub, xview, **changes):
    """AimCLR without some of its parts, and its published figures."""
    return Arm(label, {"method": AimCLR(**changes)}, {FUSED: {"xsub": xsub, "xview": xview}})


def whole(label, method, **streams):
    """A method that the paper has by stream, too."""
    pairs = {FUSED if stream == "fused" else stream: pair for stream, pair in streams.items()}
    numbers = {stream: dict(zip(("xsub", "xview"), pair, strict=True)) for stream, pair in pairs.items()}
    return Arm(label, {"method": method}, numbers)


def adds(label, other):
    """That a part adds something, three streams fused."""
    return Contrast(label, other, {"stream": FUSED}, claim="above")


study = Ablation(
    base=papers.AIMCLR,
    across={"protocol": ["xsub", "xview"], "stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[
        Contrast("extreme directly", "normal", {"stream": FUSED}, claim="below"),
        adds("normal, extreme", "normal"),
        adds("normal, extreme, EADM", "normal, extreme"),
        adds("normal, extreme, EADM, NNM", "normal, extreme, EADM"),
        *fused_above("normal, extreme, EADM, NNM", FUSED, "joint", "bone", "motion"),
    ],
    arms=[
        whole("normal", SkeletonCLR(), joint=(68.3, 76.4), motion=(53.3, 50.8), bone=(69.4, 67.4), fused=(75.0, 79.8)),
        arm("extreme directly", 71.3, 77.8, normal=EA, extreme=None, eadm=None, mining_from=None),
        arm("normal, extreme", 77.4, 82.5, eadm=None, mining_from=None),
        arm("normal, extreme, EADM", 78.2, 82.8, mining_from=None),
        whole(
            "normal, extreme, EADM, NNM",
            AimCLR(),
            joint=(74.3, 79.7),
            motion=(66.8, 70.6),
            bone=(73.2, 77.0),
            fused=(78.9, 83.8),
        ),
    ],
)
