"""AimCLR, Table 1: what extreme augmentations, EADM and neighbour mining add.

Streams are trained apart and fused as in the paper, whose figures are those of the three together; linear evaluation. D3M is
there wherever normal and extreme views are.

    skelray run studies/aimclr_parts.py      # 5 arms x 2 protocols x 3 streams x 3 seeds = 90 trials
    skelray report aimclr_parts              # joint, bone, motion, joint+bone+motion, measured beside published
"""

from skelray import EA, Ablation, AimCLR, Arm, papers


def arm(label, xsub, xview, **changes):
    """AimCLR without some of its parts, and its published figures."""
    return Arm(label, {"method": AimCLR(**changes)}, {papers.AIMCLR_FUSION.stream: {"xsub": xsub, "xview": xview}})


study = Ablation(
    base=papers.AIMCLR,
    across={"protocol": ["xsub", "xview"], "stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    arms=[
        arm("normal", 75.0, 79.8, extreme=None, eadm=None, mining_from=None),
        arm("extreme directly", 71.3, 77.8, normal=EA, extreme=None, eadm=None, mining_from=None),
        arm("normal, extreme", 77.4, 82.5, eadm=None, mining_from=None),
        arm("normal, extreme, EADM", 78.2, 82.8, mining_from=None),
        arm("normal, extreme, EADM, NNM", 78.9, 83.8),
    ],
)
