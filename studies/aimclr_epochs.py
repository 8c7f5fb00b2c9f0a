"""AimCLR, Table 3: how long must one train? Three streams fused, NTU60 xsub, after 100, 150, 200 and 300 epochs.

One training each, read four times: the encoder after 100 epochs is the one that goes on to 300, so its rate has not fallen,
and nothing is mined before 150. The paper: AimCLR after 100 epochs is above SkeletonCLR after 300.
80 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_epochs.py      # (2 arms x 3 streams + 2) x 4 lengths x 3 seeds = 96 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, Contrast, CrosSCLR, Lines, SkeletonCLR, above, papers

LENGTHS = (100, 150, 200, 300)
FUSED = papers.AIMCLR_FUSION.stream
across = {"method": papers.AIMCLR_ACROSS.method, "stream": papers.CROSSCLR.stream}


def after(*values):
    """Published top-1 by epochs."""
    return {("epochs", length): [value] for length, value in zip(LENGTHS, values, strict=True)}


early = Contrast("AimCLR", "SkeletonCLR", {"epochs": 100, "stream": FUSED}, {"epochs": 300}, "above")

study = Ablation(
    base=replace(papers.AIMCLR, epochs=LENGTHS[0]),  # --epochs stretches all lengths as it does this one
    on=[("ntu60", "xsub")],
    across={"epochs": LENGTHS, "stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    contrasts=[early, *above("AimCLR", "SkeletonCLR", "CrosSCLR", at={"stream": FUSED})],
    figures=[Lines(x="epochs", at={"stream": FUSED})],
    arms=[
        Arm("SkeletonCLR", {"method": SkeletonCLR()}, {FUSED: after(71.3, 73.8, 74.1, 74.1)}),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, after(70.0, 72.8, 76.0, 77.2)),
        Arm(
            "AimCLR across streams",
            {**across, "evaluations": papers.AIMCLR_ACROSS.evaluations},
            after(75.4, 76.0, 78.2, 78.6),
        ),
        Arm("AimCLR", {}, {FUSED: after(76.5, 77.4, 78.3, 78.9)}),
    ],
)
