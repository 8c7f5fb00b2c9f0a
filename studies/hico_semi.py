"""HiCo, Table 6: finetuning with 1 % and 10 % of the labels on NTU60, joint stream.

How far do a few labels go? The schedule is not published; ours is in ``papers``. HiCLR's Table 6 has other figures of MCC.
29 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_semi.py --data data300      # 1 arm x 2 protocols x 3 seeds = 6 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, Reference, papers

ONE, TEN = (evaluation.name for evaluation in papers.HICO_SEMI)


def older(label, one, ten, stream="joint", backbone=""):
    """A row that is not HiCo's. one, ten: with that share of the labels; None where there are none."""
    published = {name: values for name, values in ((ONE, one), (TEN, ten)) if values is not None}
    return Reference(label, published, stream=stream, backbone=backbone)


study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, evaluations=papers.HICO_SEMI),
    on=[("ntu60", "xsub"), ("ntu60", "xview")],
    seeds=range(3),
    published_by=TEN,
    arms=[
        older("LongT GAN (AAAI 18)", [35.2, None], [62.0, None], backbone="gru"),
        older("MS2L (ACM MM 20)", [33.1, None], [65.2, None], backbone="gru"),
        older("ASSL (ECCV 20)", None, [64.3, 69.8]),
        older("MCC (ICCV 21)", None, [60.8, 65.8]),
        older("3s-Colorization (ICCV 21)", [48.3, 52.5], [71.7, 78.9], stream="3s", backbone="gcn"),
        older("CrosSCLR (CVPR 21)", None, [67.6, 73.5], backbone="stgcn"),
        older("Hi-TRS (ECCV 22)", None, [70.7, 74.8], backbone="transformer"),
        older("GL-Transformer (ECCV 22)", None, [68.6, 74.9], backbone="transformer"),
        Arm("HiCo, Transformer", {}, {ONE: [54.4, 54.8], TEN: [73.0, 78.3]}),
    ],
)
