"""HiCLR, Table 6: finetuning with 1 % and 10 % of the labels on NTU60, three streams fused.

Do stronger augmentations pay where labels are few, on ST-GCN and on DSTA-Net? CrosSCLR is finetuned as HiCLR here, AimCLR
by its own code's ways. HiCo's Table 6 prints other figures of MCC.
194 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/hiclr_semi.py      # (3 arms x 3 streams + 1) x 2 protocols x 3 seeds = 60 trials
"""

from dataclasses import replace

from skelray import DSTA, Ablation, AimCLR, Arm, CrosSCLR, Reference, above, papers

FUSED = papers.HICLR_FUSION.stream
aimclr = {"method": AimCLR(), "evaluations": papers.AIMCLR_SEMI}
dsta = {"backbone": DSTA(), "optimizer": papers.HICLR_DSTA.optimizer, "evaluations": papers.HICLR_DSTA_SEMI}


def shares(one, ten):
    """Published top-1 with 1 % and with 10 % of the labels."""
    return {"semi 1%": one, "semi 10%": ten}


study = Ablation(
    base=replace(papers.HICLR, evaluations=papers.HICLR_SEMI),
    on=[("ntu60", "xsub"), ("ntu60", "xview")],
    across={"stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    published_by="semi 10%",
    contrasts=above("HiCLR", "AimCLR", "CrosSCLR", at={"stream": FUSED}),
    arms=[
        Reference("ASSL (ECCV 20)", {"semi 10%": [64.3, 69.8]}),
        Reference("MCC (ICCV 21)", {"semi 10%": [55.6, 59.9]}),
        Reference("MCC, by HiCo", {"semi 10%": [60.8, 65.8]}, stream="joint"),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, shares([51.1, 50.0], [74.4, 77.8])),
        Reference("3s-Colorization (ICCV 21)", shares([48.3, 52.5], [71.7, 78.9]), stream="3s"),
        Arm("AimCLR", aimclr, {FUSED: shares([54.8, 54.3], [78.2, 81.6])}),
        Arm("HiCLR", {}, {FUSED: shares([58.5, 58.3], [79.6, 84.0])}),
        Reference("3s-Hi-TRS (ECCV 22)", shares([49.3, 51.5], [77.7, 81.1]), stream=FUSED, backbone="transformer"),
        Arm("HiCLR on DSTA-Net", dsta, {FUSED: shares([54.7, 53.7], [82.1, 84.8])}),
    ],
)
