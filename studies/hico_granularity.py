"""HiCo, Figure 4: how many granularities should a branch have, from single frames and joints to larger clips and parts?

One to four, in the temporal branch, in the spatial one, and in both; the instance level of contrast alone, joint stream,
NTU60, linear evaluation. The figure has lines without values; those of four are Table 3's. The paper: more are better.
(``Hierarchical(spatial_granularity=2)`` gives the spatial branch a number of its own.)
351 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_granularity.py --data data300      # 3 arms x 4 numbers x 2 protocols x 3 seeds = 72 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, Contrast, HiCo, Lines, papers

BRANCHES = {"temporal": ("temporal",), "spatial": ("spatial",), "both": ("temporal", "spatial")}
AT_FOUR = {"temporal": [78.0, 84.9], "spatial": [76.1, 84.3], "both": [79.8, 87.0]}


def more(arm):
    """That each granularity adds to those before it."""
    return [Contrast(arm, arm, {"granularity": n + 1}, {"granularity": n}, "above") for n in (1, 2, 3)]


study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, method=HiCo(levels=("instance",))),
    on=[("ntu60", "xsub"), ("ntu60", "xview")],
    across={"granularity": [1, 2, 3, 4]},
    seeds=range(3),
    contrasts=[one for arm in BRANCHES for one in more(arm)],
    figures=[Lines(x="granularity")],
    arms=[Arm(name, {"branches": BRANCHES[name]}, {("granularity", 4): AT_FOUR[name]}) for name in BRANCHES],
)
