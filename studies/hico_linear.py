"""HiCo, Table 1: linear evaluation on NTU60, NTU120 and PKU-MMD I and II, joint stream, three sequence encoders.

Do clips and parts at several granularities beat graph encoders of one stream? HiCo read 300 frames of NTU, and AimCLR's
arrays of 50 frames of PKU-MMD. Its figures of CrosSCLR and AimCLR on PKU-MMD are of three streams, which it does not say.
LongT GAN has two figures on NTU60 and on part II, in different papers.
247 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray prepare ntu120 nturgbd_skeletons --path rigid --frames 300 --data data300
    skelray prepare pku_mmd1 PKUMMD --data data300
    skelray prepare pku_mmd2 PKUMMDv2 --data data300
    skelray run studies/hico_linear.py --data data300      # 3 arms x 6 protocols x 3 seeds = 54 trials
"""

from skelray import GRU, LSTM, Ablation, Arm, Hierarchical, Reference, papers

NTU60, NTU120 = [("ntu60", "xsub"), ("ntu60", "xview")], [("ntu120", "xsub"), ("ntu120", "xset")]


def older(label, *values, stream="joint", backbone=""):
    """A row of the table that is not HiCo's; None where it has no figure."""
    return Reference(label, list(values), stream=stream, backbone=backbone)


study = Ablation(
    base=papers.HICO_TRANSFORMER,
    on=[*NTU60, *NTU120, ("pku_mmd1", "xsub"), ("pku_mmd2", "xsub")],
    seeds=range(3),
    arms=[
        older("LongT GAN (AAAI 18)", 52.1, 56.4, None, None, 67.7, 26.5, backbone="gru"),
        older("LongT GAN, by AimCLR", 39.1, 48.1, None, None, 67.7, 26.0, stream=""),
        older("MS2L (ACM MM 20)", 52.6, None, None, None, 64.9, 27.6, backbone="gru"),
        older("PCRP (TMM 21)", 54.9, 63.4, 43.0, 44.6, None, None, backbone="gru"),
        older("AS-CAL (Inf. Sci. 21)", 58.5, 64.8, 48.6, 49.2, None, None, backbone="lstm"),
        older("EnGAN-PoseRNN (WACV 19)", 68.6, 77.8, None, None, None, None, backbone="lstm"),
        older("H-Transformer (ICME 21)", 69.3, 72.8, None, None, None, None, backbone="transformer"),
        older("SeBiReNet (ECCV 20)", None, 79.7, None, None, None, None, backbone="gru"),
        older("CrosSCLR (CVPR 21)", 72.9, 79.9, None, None, None, None, backbone="stgcn"),
        older("3s-CrosSCLR (CVPR 21)", None, None, None, None, 84.9, 21.2, stream="3s", backbone="stgcn"),
        older("AimCLR (AAAI 22)", 74.3, 79.7, 63.4, 63.4, None, None, backbone="stgcn"),
        older("3s-AimCLR (AAAI 22)", None, None, None, None, 87.8, 38.5, stream="3s", backbone="stgcn"),
        older("3s-Colorization (ICCV 21)", 75.2, 83.1, None, None, None, None, stream="3s", backbone="gcn"),
        older("GL-Transformer (ECCV 22)", 76.3, 83.8, 66.0, 68.7, None, None, backbone="transformer"),
        older("ISC (ACM MM 21)", 76.3, 85.2, 67.1, 67.9, 80.9, 36.0, backbone="gru+cnn+gcn"),
        Arm("HiCo, GRU", {"backbone": Hierarchical(s2s=GRU())}, [80.6, 88.6, 72.5, 73.8, 88.9, 52.2]),
        Arm("HiCo, LSTM", {"backbone": Hierarchical(s2s=LSTM())}, [81.4, 88.8, 73.7, 74.5, 89.4, 54.7]),
        Arm("HiCo, Transformer", {}, [81.1, 88.6, 72.8, 74.1, 89.3, 49.4]),
    ],
)
