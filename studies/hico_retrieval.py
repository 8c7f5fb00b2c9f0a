"""HiCo, Table 2: retrieval on NTU60 and NTU120, joint stream: is the nearest training sequence of the same action?

The gallery is the training set, queries the test set, and similarity the cosine of encoder features.
220 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray prepare ntu120 nturgbd_skeletons --path rigid --frames 300 --data data300
    skelray run studies/hico_retrieval.py --data data300      # 3 arms x 4 protocols x 3 seeds = 36 trials
"""

from dataclasses import replace

from skelray import GRU, LSTM, Ablation, Arm, Hierarchical, Reference, Retrieval, papers

study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, evaluations=(Retrieval(),)),
    on=[("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")],
    seeds=range(3),
    published_by="retrieval",
    arms=[
        Reference("LongT GAN (AAAI 18)", [39.1, 48.1, 31.5, 35.5], stream="joint", backbone="gru"),
        Reference("P&C (CVPR 20)", [50.7, 76.3, 39.5, 41.8], stream="joint", backbone="gru"),
        Reference("AimCLR (AAAI 22)", [62.0, None, None, None], stream="joint", backbone="stgcn"),
        Reference("ISC (ACM MM 21)", [62.5, 82.6, 50.6, 52.3], stream="joint", backbone="gru+cnn+gcn"),
        Arm("HiCo, GRU", {"backbone": Hierarchical(s2s=GRU())}, [67.9, 84.4, 55.9, 58.7]),
        Arm("HiCo, LSTM", {"backbone": Hierarchical(s2s=LSTM())}, [66.9, 84.3, 56.3, 59.1]),
        Arm("HiCo, Transformer", {}, [68.3, 84.8, 56.6, 59.1]),
    ],
)
