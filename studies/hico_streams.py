"""HiCo, Figure 3: joint, motion and bone, and the three fused, on NTU60 xsub, beside SkeletonCLR and AimCLR.

Does HiCo gain from other streams, too? The figure has bars without values: those of the joint stream are Table 1's, those of
SkeletonCLR and AimCLR are AimCLR's Table 2. It fuses "in the setting of CrosSCLR", taken here as equal weights.
136 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_streams.py --data data300      # 3 arms x 3 streams x 3 seeds = 27 trials
"""

from skelray import GRU, LSTM, Ablation, Arm, Bars, Hierarchical, Reference, fused_above, papers

ARMS = ("HiCo, GRU", "HiCo, LSTM", "HiCo, Transformer")
FUSED = papers.HICO_FUSION.stream


def older(label, joint, motion, bone, fused):
    """A method of one encoder a stream."""
    return Reference(label, {"joint": [joint], "motion": [motion], "bone": [bone], FUSED: [fused]}, backbone="stgcn")


study = Ablation(
    base=papers.HICO_TRANSFORMER,
    on=[("ntu60", "xsub")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.HICO_FUSION,
    contrasts=[one for arm in ARMS for one in fused_above(arm, FUSED, "joint", "motion", "bone")],
    figures=[Bars(x="stream")],
    arms=[
        older("SkeletonCLR (CVPR 21)", 68.3, 53.3, 69.4, 75.0),
        older("AimCLR (AAAI 22)", 74.3, 66.8, 73.2, 78.9),
        Arm("HiCo, GRU", {"backbone": Hierarchical(s2s=GRU())}, {"joint": [80.6]}),
        Arm("HiCo, LSTM", {"backbone": Hierarchical(s2s=LSTM())}, {"joint": [81.4]}),
        Arm("HiCo, Transformer", {}, {"joint": [81.1]}),
    ],
)
