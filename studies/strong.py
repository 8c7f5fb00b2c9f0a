"""HiCLR, Table 3 (right): strong augmentations applied directly, and as HiCLR's last branch.

Directly: both views of SkeletonCLR undergo BA and NA; the query then Mask or DAE, both views AdaIN, as the code of the time
had it. The rows of four branches are those of the authors' slides; the one recipe found for them weighs the terms 0.5, 0.3,
0.2, takes AdaIN's statistics frame by frame, and mixes strong keys into the queue, which is not reproduced here. Joint
stream, xsub, linear evaluation. The paper: strong augmentations hurt the baseline and help HiCLR. The bars are those of the
slides 4 and 17, which have no values.
110 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/strong.py      # 11 arms x 3 seeds = 33 trials
"""

from skelray import (
    BA,
    DAE,
    NA,
    Ablation,
    AdaIN,
    Arm,
    AugmentationSet,
    Bars,
    HiCLR,
    Mask,
    SkeletonCLR,
    above,
    below,
    papers,
)
from skelray.augment import SkeleAdaIN


def directly(label, query, key, xsub):
    """A row of the column "Baseline"."""
    return Arm(f"{label} directly", {"method": SkeletonCLR(query=query, key=key)}, {"xsub": xsub})


def hiclr(*arrangement, xsub, **changes):
    """A row of the column "Ours", or of the authors' slides with k = 4."""
    label = ", ".join(entering.name for entering in arrangement)
    return Arm(f"[{label}]", {"method": HiCLR(arrangement=arrangement, **changes)}, {"xsub": xsub})


FOUR = {"lambda_h": 0.5, "weights": (1.0, 0.6, 0.4)}
BY_FRAME = AugmentationSet("AdaIN", (SkeleAdaIN(over="frame"),))


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    contrasts=[
        *(one for name in ("Mask", "DAE", "AdaIN") for one in below(f"BA, NA, {name} directly", "BA, NA directly")),
        *(one for name in ("Mask", "DAE", "AdaIN") for one in above(f"[BA, NA, {name}]", "[BA, NA]")),
    ],
    figures=[Bars()],
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
        hiclr(BA, NA, DAE, Mask, xsub=77.4, **FOUR),
        hiclr(BA, NA, DAE, BY_FRAME, xsub=77.5, **FOUR),
    ],
)
