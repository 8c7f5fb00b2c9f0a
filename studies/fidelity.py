"""What each difference between papers and released code is worth: one arm for each, changed alone.

The base is the published setting. Most arms take one thing from the released code; "as in the paper" takes one from the
paper where the published numbers rest on the code; "corrected" mends what both share. Joint stream, linear evaluation.
221 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/fidelity.py                       # AimCLR's and HiCLR's, 22 arms x 3 seeds
    skelray run studies/fidelity.py --benchmark nwucla --protocol xview --epochs 100
"""

from dataclasses import replace

from skelray import BA, DSTA, EADM, NA, Ablation, AimCLR, Arm, AugmentationSet, HiCLR, Mask, papers
from skelray.augment import Blur, DropAddEdges, Flip, Noise, RandomMask, SkeleAdaIN
from skelray.methods import cross_entropy


def normal(kind, **changes):
    """NA with one of its augmentations changed."""
    return AugmentationSet("NA", tuple(replace(a, **changes) if isinstance(a, kind) else a for a in NA.augmentations))


def hiclr(label, na=NA, mask=Mask, published=None, **changes):
    """HiCLR with one difference, or as published with its figure."""
    return Arm(f"HiCLR: {label}", {"method": HiCLR(arrangement=(BA, na, mask), **changes)}, published or {})


def strong(label, augmentation, **published):
    """HiCLR with another strong augmentation than Mask."""
    last = AugmentationSet(label.split()[0], (augmentation,))
    return Arm(f"HiCLR: {label}", {"method": HiCLR(arrangement=(BA, NA, last))}, published)


def on_dsta(label, mask=Mask, **changes):
    """HiCLR on DSTA-Net, with its own decay of weights and probe."""
    own = {name: getattr(papers.HICLR_DSTA, name) for name in ("optimizer", "evaluations")}
    method = HiCLR(arrangement=(BA, NA, mask))
    return Arm(f"HiCLR on DSTA-Net: {label}", {"backbone": DSTA(**changes), "method": method, **own})


def aimclr(label, published=None, **changes):
    """AimCLR with one difference, or as published with its figure."""
    return Arm(f"AimCLR: {label}", {"method": AimCLR(**changes)}, published or {})


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    arms=[
        hiclr("published", published={"xsub": 77.6}),
        hiclr("key encoder independent", key_init="independent"),
        hiclr("blur not normalised", na=normal(Blur, normalise=False)),
        hiclr("noise on absent persons", na=normal(Noise, ghosts=True)),
        hiclr("mask on absent persons", mask=AugmentationSet("Mask", (RandomMask(ghosts=True),))),
        hiclr("cross-entropy for KL", similarity=cross_entropy),
        hiclr("no neighbour mining, as in the paper", mining_from=None),
        hiclr("flip mirrors (corrected)", na=normal(Flip, mirror=True)),
        Arm("HiCLR: spatial graph, as in the paper of ST-GCN", {"partition": "spatial"}),
        Arm("HiCLR: absent persons left out (corrected)", {"absent": "exclude"}),
        strong("DAE", DropAddEdges(), xsub=77.2),
        strong("DAE that only drops, as released", DropAddEdges(add=0.0)),
        strong("AdaIN", SkeleAdaIN(), xsub=77.3),
        strong("AdaIN on absent persons", SkeleAdaIN(ghosts=True)),
        on_dsta("published"),
        on_dsta("5 joints masked, as its earlier code", mask=AugmentationSet("Mask", (RandomMask(ratio=0.2),))),
        on_dsta("absent persons left out (corrected)", absent="exclude"),
        aimclr("published", published={"xsub": 74.3}),
        aimclr("EADM as released", eadm=EADM("released")),
        aimclr("EADM inert, as first released", eadm=EADM("inert")),
        aimclr("without time flip", extreme=AugmentationSet("EA", (BA + NA).augmentations)),
        aimclr("mean over mined positives", mined_mean=True),
    ],
)
