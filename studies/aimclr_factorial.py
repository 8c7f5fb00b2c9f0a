"""AimCLR: what extreme augmentations, EADM and neighbour mining earn each, and what they earn together.

Table 1 of the paper puts the parts on one after the other; here are all on/off arms. Without extreme augmentations the
second query is a normal view, so that EADM has something to drop from and D3M is in every arm; the paper's first row has
neither. Streams are fused as in the paper; linear evaluation.
466 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_factorial.py      # 8 arms x 2 protocols x 3 streams x 3 seeds = 144 trials
    skelray report aimclr_factorial              # main effects, interactions and Shapley values
"""

from dataclasses import replace

from skelray import BA, EA, EADM, AimCLR, Factorial, papers

FUSED = papers.AIMCLR_FUSION.stream

study = Factorial(
    base=replace(papers.AIMCLR, method=AimCLR(extreme=BA, eadm=None, mining_from=None)),
    parts={
        "extreme": {"extreme": EA},
        "EADM": {"eadm": EADM()},
        "NNM": {"mining_from": 150},
    },
    across={"protocol": ["xsub", "xview"], "stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    published={
        ("extreme",): {FUSED: {"xsub": 77.4, "xview": 82.5}},
        ("extreme", "EADM"): {FUSED: {"xsub": 78.2, "xview": 82.8}},
        ("extreme", "EADM", "NNM"): {FUSED: {"xsub": 78.9, "xview": 83.8}},
    },
)
