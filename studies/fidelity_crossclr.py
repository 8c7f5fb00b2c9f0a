"""CrosSCLR: what each difference between paper and released code is worth; three streams fused, linear evaluation.

117 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/fidelity_crossclr.py     # 6 arms x 2 protocols x 3 seeds = 36 trials
"""

from skelray import Ablation, Arm, CrosSCLR, papers


def arm(label, **changes):
    """CrosSCLR with one difference."""
    return Arm(label, {"method": CrosSCLR(**changes)})


study = Ablation(
    base=papers.CROSSCLR,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        Arm("published", published={"xsub": 77.8, "xview": 83.4}),
        arm("projectors end in the joint one's (released)", shared_head=True),
        arm("only motion's keys follow in stage 2 (released)", frozen_keys=True),
        arm("key encoder independent (released)", key_init="independent"),
        arm("all three, as released", shared_head=True, frozen_keys=True, key_init="independent"),
        arm("without the products of two streams' similarities", context=False),
    ],
)
