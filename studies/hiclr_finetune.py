"""HiCLR, Table 7: finetuning with all labels on NTU60 and NTU120, three streams fused, and what an encoder weighs.

Is HiCLR's the better start? CrosSCLR is finetuned as HiCLR here, AimCLR by its own code's ways. Of DSTA-Net the paper has
NTU120 alone.
430 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray prepare ntu120 nturgbd_skeletons        # the folder with both archives
    skelray run studies/hiclr_finetune.py           # ((2 arms x 3 streams + 1) x 4 + 3 streams x 2) x 3 seeds = 102 trials
"""

from dataclasses import replace

from skelray import DSTA, Ablation, AimCLR, Arm, CrosSCLR, Reference, above, papers

FUSED = papers.HICLR_FUSION.stream
NTU120 = [("ntu120", "xsub"), ("ntu120", "xset")]
crossclr = {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}
aimclr = {"method": AimCLR(), "evaluations": (papers.AIMCLR_FINETUNE,)}
dsta = {"backbone": DSTA(), "optimizer": papers.HICLR_DSTA.optimizer, "evaluations": (papers.HICLR_DSTA_FINETUNE,)}

study = Ablation(
    base=replace(papers.HICLR, evaluations=(papers.HICLR_FINETUNE,)),
    on=[("ntu60", "xsub"), ("ntu60", "xview"), *NTU120],
    across={"stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    published_by="finetune",
    contrasts=above("HiCLR", "AimCLR", "CrosSCLR", at={"stream": FUSED}),
    arms=[
        Arm("CrosSCLR", crossclr, [86.2, 92.5, 80.5, 80.4], params=0.85),
        Arm("AimCLR", aimclr, {FUSED: [86.9, 92.8, 80.1, 80.9]}, params=0.85),
        Arm("HiCLR", {}, {FUSED: [88.3, 93.2, 82.1, 83.7]}, params=0.85),
        Reference("3s-Hi-TRS (ECCV 22)", [None, None, 85.3, 87.4], stream=FUSED, backbone="transformer", params=7.05),
        Arm("HiCLR on DSTA-Net", dsta, {FUSED: [85.6, 87.5]}, on=NTU120, params=1.56),
    ],
)
