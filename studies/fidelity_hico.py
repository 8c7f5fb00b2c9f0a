"""HiCo: what each difference between paper and released code is worth; joint stream, linear evaluation.

175 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/fidelity_hico.py --data data300     # 6 arms x 2 protocols x 3 seeds = 36 trials
"""

from skelray import Ablation, Arm, HiCo, papers

study = Ablation(
    base=papers.HICO_TRANSFORMER,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        Arm("published, on the released encoder", published={"xsub": 81.1, "xview": 88.6}),
        Arm("short clip and part queues (released)", {"method": HiCo(short_queue=True)}),
        Arm("convolution over all features (paper)", {"downsampling": "full"}),
        Arm("ReLU before the layer norm (paper)", {"norm_first": False}),
        Arm("no layer norm in the embedding (paper)", {"embedding_norm": False}),
        Arm("weights of each level its own", {"shared": False}),
    ],
)
