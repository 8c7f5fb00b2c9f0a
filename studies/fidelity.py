"""What each difference between papers and released code is worth: one arm for each, changed alone.

The base is the published setting. Most arms take one thing from the released code; "as in the paper" takes one from the
paper where the published numbers rest on the code; "corrected" mends what both share. Joint stream, linear evaluation.

    skelray run studies/fidelity.py                       # AimCLR's and HiCLR's, 21 arms x 3 seeds
    skelray run studies/fidelity.py --benchmark nwucla --protocol xview --epochs 100
"""

from dataclasses import replace

from skelray import BA, DSTA, EADM, NA, Ablation, AimCLR, Arm, AugmentationSet, HiCLR, Mask, papers
from skelray.augment import Blur, DropAddEdges, Flip, Noise, RandomMask, SkeleAdaIN
from skelray.methods import cross_entropy


def normal(kind, **changes):
    """NA with one of its augmentations changed."""
    return AugmentationSet("NA", tuple(replace(a, **changes) if isinstance(a, kind) else a for a in NA.augmentations))


def hiclr(label, na=NA, mask=Mask, **changes):
    """HiCLR with one difference."""
    return Arm(f"HiCLR: {label}", {"method": HiCLR(arrangement=(BA, na, mask), **changes)})


def strong(label, augmentation):
    """HiCLR with another strong augmentation than Mask."""
    last = AugmentationSet(label.split()[0], (augmentation,))
    return Arm(f"HiCLR: {label}", {"method": HiCLR(arrangement=(BA, NA, last))})


def on_dsta(label, **changes):
    """HiCLR on DSTA-Net, with its own decay of weights and probe."""
    own = {name: getattr(papers.HICLR_DSTA, name) for name in ("optimizer", "evaluations")}
    return Arm(f"HiCLR on DSTA-Net: {label}", {"backbone": DSTA(**changes), **own})


def aimclr(label, **changes):
    """AimCLR with one difference."""
    return Arm(f"AimCLR: {label}", {"method": AimCLR(**changes)})


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    arms=[
        hiclr("published"),
        hiclr("key encoder independent", key_init="independent"),
        hiclr("blur not normalised", na=normal(Blur, normalise=False)),
        hiclr("noise on absent persons", na=normal(Noise, ghosts=True)),
        hiclr("mask on absent persons", mask=AugmentationSet("Mask", (RandomMask(ghosts=True),))),
        hiclr("cross-entropy for KL", similarity=cross_entropy),
        hiclr("no neighbour mining, as in the paper", mining_from=None),
        hiclr("flip mirrors (corrected)", na=normal(Flip, mirror=True)),
        Arm("HiCLR: spatial graph, as in the paper of ST-GCN", {"partition": "spatial"}),
        Arm("HiCLR: absent persons left out (corrected)", {"absent": "exclude"}),
        strong("DAE", DropAddEdges()),
        strong("DAE that only drops, as released", DropAddEdges(add=0.0)),
        strong("AdaIN", SkeleAdaIN()),
        strong("AdaIN on absent persons", SkeleAdaIN(ghosts=True)),
        on_dsta("published"),
        on_dsta("absent persons left out (corrected)", absent="exclude"),
        aimclr("published"),
        aimclr("EADM as released", eadm=EADM("released")),
        aimclr("EADM inert, as first released", eadm=EADM("inert")),
        aimclr("without time flip", extreme=AugmentationSet("EA", (BA + NA).augmentations)),
        aimclr("mean over mined positives", mined_mean=True),
    ],
)
