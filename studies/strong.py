"""HiCLR, Table 3 (right): strong augmentations applied directly, and as HiCLR's last branch.

Directly: both views of SkeletonCLR undergo BA and NA; the query then Mask or DAE, both views AdaIN, as the code of the time
had it. Joint stream, xsub, linear evaluation. The paper: they hurt the baseline and help HiCLR.

    skelray run studies/strong.py      # 11 arms x 3 seeds = 33 trials
"""

from skelray import BA, DAE, NA, Ablation, AdaIN, Arm, HiCLR, Mask, SkeletonCLR, papers


def directly(label, query, key, xsub):
    """A row of the column "Baseline"."""
    return Arm(f"{label} directly", {"method": SkeletonCLR(query=query, key=key)}, {"xsub": xsub})


def hiclr(*arrangement, xsub):
    """A row of the column "Ours", or of the authors' slides with k = 4."""
    label = ", ".join(entering.name for entering in arrangement)
    return Arm(f"[{label}]", {"method": HiCLR(arrangement=arrangement)}, {"xsub": xsub})


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    arms=[
        directly("BA", BA, BA, xsub=68.3),
        directly("BA, NA", BA + NA, BA + NA, xsub=72.9),
        directly("BA, NA, Mask", BA + NA + Mask, BA + NA, xsub=56.7),
        directly("BA, NA, DAE", BA + NA + DAE, BA + NA, xsub=65.5),
        directly("BA, NA, AdaIN", BA + NA + AdaIN, BA + NA + AdaIN, xsub=13.2),
        hiclr(BA, NA, xsub=76.8),
        hiclr(BA, NA, Mask, xsub=77.6),
        hiclr(BA, NA, DAE, xsub=77.2),
        hiclr(BA, NA, AdaIN, xsub=77.3),
        hiclr(BA, NA, DAE, Mask, xsub=77.4),
        hiclr(BA, NA, DAE, AdaIN, xsub=77.5),
    ],
)
