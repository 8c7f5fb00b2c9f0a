"""HiCo, Tables 3 and 4: which branch and which level of contrast earns what.

Joint stream, linear evaluation, Transformer.
146 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_levels.py --data data300      # 5 arms x 2 protocols x 3 seeds = 30 trials
"""

from skelray import Ablation, Arm, HiCo, Hierarchical, above, papers


def arm(label, levels, branches=("temporal", "spatial"), **published):
    """Levels of contrast on some of the branches."""
    return Arm(label, {"method": HiCo(levels=levels), "backbone": Hierarchical(branches=branches)}, published)


study = Ablation(
    base=papers.HICO_TRANSFORMER,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    contrasts=[
        *above("both, instance", "temporal, instance", "spatial, instance"),
        *above("+ domain", "both, instance"),
        *above("+ clip, part", "+ domain"),
    ],
    arms=[
        arm("temporal, instance", ("instance",), ("temporal",), xsub=78.0, xview=84.9),
        arm("spatial, instance", ("instance",), ("spatial",), xsub=76.1, xview=84.3),
        arm("both, instance", ("instance",), xsub=79.8, xview=87.0),
        arm("+ domain", ("instance", "domain"), xsub=80.7, xview=88.4),
        arm("+ clip, part", ("instance", "domain", "clip", "part"), xsub=81.1, xview=88.6),
    ],
)
