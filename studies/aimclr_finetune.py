"""AimCLR, Table 8: finetuning with all labels on NTU60 and NTU120, the bone stream and three streams, beside labels alone.

Is an encoder that was trained without labels a better start than fresh weights? The schedule of AimCLR's finetuning is not
published; ``papers`` says what is taken for it. Supervised has no method: one arm of untrained encoders is all it takes.
342 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray prepare ntu120 nturgbd_skeletons        # the folder with both archives
    skelray run studies/aimclr_finetune.py          # (3 arms x 3 streams + 1) x 4 protocols x 3 seeds = 120 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, CrosSCLR, SkeletonCLR, above, papers

FUSED = papers.AIMCLR_FUSION.stream
labels = {"method": SkeletonCLR(), "epochs": 0, "evaluations": (papers.SUPERVISED,)}

study = Ablation(
    base=replace(papers.AIMCLR, evaluations=(papers.AIMCLR_FINETUNE,)),
    on=[("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    published_by="finetune",
    contrasts=[*above("AimCLR", "SkeletonCLR", at={"stream": "bone"}), *above("AimCLR", "CrosSCLR", at={"stream": FUSED})],
    arms=[
        Arm("SkeletonCLR", {"method": SkeletonCLR()}, {"bone": [82.2, 88.9, 73.6, 75.3]}),
        Arm("ST-GCN from labels", labels, {FUSED: {"supervised": [85.2, 91.4, 77.2, 77.1]}}),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": papers.CROSSCLR.stream}, [86.2, 92.5, 80.5, 80.4]),
        Arm("AimCLR", {}, {"bone": [83.0, 89.2, 76.4, 76.7], FUSED: [86.9, 92.8, 80.1, 80.9]}),
    ],
)
