"""AimCLR, Table 7: finetuning with 1 % and 10 % of the labels, three streams, on PKU-MMD I and II and NTU60.

How far do a few labels go on what was learned without any? AimCLR's schedule is not published; ``papers`` says what is taken
for it, for both methods here.
102 h of training at 1000 samples/s.

    skelray prepare pku_mmd1 PKUMMD
    skelray prepare pku_mmd2 PKUMMDv2
    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_semi.py      # (1 arm x 3 streams + 1) x 4 protocols x 3 seeds = 48 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, CrosSCLR, Reference, above, papers

FUSED = papers.AIMCLR_FUSION.stream
crossclr = {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}


def shares(one, ten):
    """Published top-1 with 1 % and with 10 % of the labels."""
    return {"semi 1%": one, "semi 10%": ten}


study = Ablation(
    base=replace(papers.AIMCLR, evaluations=papers.AIMCLR_SEMI),
    on=[("pku_mmd1", "xsub"), ("pku_mmd2", "xsub"), ("ntu60", "xsub"), ("ntu60", "xview")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    published_by="semi 10%",
    contrasts=above("AimCLR", "CrosSCLR", at={"stream": FUSED}),
    arms=[
        Reference("LongT GAN (AAAI 18)", shares([35.8, 12.4, 35.2, None], [69.5, 25.7, 62.0, None])),
        Reference("MS2L (ACM MM 20)", shares([36.4, 13.0, 33.1, None], [70.3, 26.1, 65.2, None])),
        Reference("ISC (ACM MM 21)", shares([37.7, None, 35.7, 38.1], [72.1, None, 65.9, 72.5])),
        Arm("CrosSCLR", crossclr, shares([49.7, 10.2, 51.1, 50.0], [82.9, 28.6, 74.4, 77.8])),
        Reference("3s-Colorization (ICCV 21)", shares([None, None, 48.3, 52.5], [None, None, 71.7, 78.9]), stream="3s"),
        Arm("AimCLR", {}, {FUSED: shares([57.5, 15.1, 54.8, 54.3], [86.1, 33.4, 78.2, 81.6])}),
    ],
)
