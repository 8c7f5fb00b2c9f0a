"""HiCo: levels of contrast x branches of the encoder, and what they earn together.

Tables 3 and 4 of the paper add one after the other to the instance level on the temporal branch; here are all on/off arms. A
level that has no branch to read adds nothing: the domain level needs both branches, the part level the spatial one. Arms
that are then the same are trained once. Joint stream, linear evaluation, Transformer.
175 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_factorial.py --data data300      # 8 arms, 6 of them apart, x 2 protocols x 3 seeds = 36 trials
"""

from dataclasses import replace

from skelray import Factorial, papers
from skelray.methods.hico import LEVELS


def levels(*added):
    """A part that adds levels of contrast, as far as the branches that are on have them."""

    def part(trial):
        both = len(trial.backbone.branches) == 2
        there = {"clip", "instance"} | ({"part", "domain"} if both else set())
        wanted = {*trial.method.levels, *added} & there
        return replace(trial, method=replace(trial.method, levels=tuple(level for level in LEVELS if level in wanted)))

    return part


def spatial(trial):
    """The spatial branch beside the temporal one."""
    return replace(trial, backbone=replace(trial.backbone, branches=("temporal", "spatial")))


base = papers.HICO_TRANSFORMER
study = Factorial(
    base=replace(
        base,
        method=replace(base.method, levels=("instance",)),
        backbone=replace(base.backbone, branches=("temporal",)),
    ),
    parts={"spatial": spatial, "domain": levels("domain"), "clip, part": levels("clip", "part")},
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    published={
        (): {"xsub": 78.0, "xview": 84.9},
        ("spatial",): {"xsub": 79.8, "xview": 87.0},
        ("spatial", "domain"): {"xsub": 80.7, "xview": 88.4},
        ("spatial", "domain", "clip, part"): {"xsub": 81.1, "xview": 88.6},
    },
)
