"""HiCLR, Table 5, and AimCLR, Figure 3: nearest neighbours on NTU60 and PKU-MMD I, joint and motion.

What is the feature space worth without a classifier? HiCLR's figures are of a weighted vote after the projector, its own
monitor's; of which layer AimCLR's were is not said, and Figure 3 has bars without values. The paper says 300 epochs for
everything; HiCLR's earlier code trained 600 on PKU-MMD I, an arm of its own here.
164 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray prepare pku_mmd1 PKUMMD
    skelray run studies/knn.py      # (3 arms x 3 protocols + 1) x 2 streams x 3 seeds = 60 trials
"""

from dataclasses import replace

from skelray import Ablation, AimCLR, Arm, Bars, SkeletonCLR, above, papers

NEAR = (papers.KNN_NEAREST, papers.KNN_WEIGHTED, papers.KNN_PROJECTOR)
longer = {name: getattr(papers.HICLR_PKU_MMD1, name) for name in ("method", "optimizer", "epochs")}

study = Ablation(
    base=replace(papers.HICLR, evaluations=NEAR),
    on=[("ntu60", "xsub"), ("ntu60", "xview"), ("pku_mmd1", "xsub")],
    across={"stream": ["joint", "motion"]},
    seeds=range(3),
    published_by=papers.KNN_PROJECTOR.name,
    contrasts=[*above("HiCLR", "AimCLR", "SkeletonCLR"), *above("AimCLR", "SkeletonCLR")],
    figures=[Bars(evaluation=papers.KNN_PROJECTOR.name)],
    arms=[
        Arm("SkeletonCLR", {"method": SkeletonCLR()}, {"joint": [56.1, 61.7, 68.9], "motion": [37.4, 41.6, 51.0]}),
        Arm("AimCLR", {"method": AimCLR()}, {"joint": [62.0, 71.5, 72.0], "motion": [50.8, 56.9, 60.6]}),
        Arm("HiCLR", {}, {"joint": [67.3, 75.3, 73.8], "motion": [55.3, 60.7, 63.8]}),
        Arm("HiCLR, 600 epochs", longer, on=[("pku_mmd1", "xsub")]),
    ],
)
