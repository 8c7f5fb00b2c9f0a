"""What bfloat16 does to the accuracy: SkeletonCLR on NW-UCLA as in ``nwucla_methods.py``, in both precisions.

0.1 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_precision.py                                 # 2 arms x 3 seeds = 6 trials
    python benchmarks/software_bfloat16.py studies/nwucla_precision.py      # the same on a processor without bfloat16
"""

from dataclasses import replace

from skelray import SGD, STGCN, Ablation, Arm, SkeletonCLR, papers

study = Ablation(
    base=replace(
        papers.SKELETONCLR,
        benchmark="nwucla",
        protocol="xview",
        backbone=STGCN(hidden_channels=8, hidden_dim=128, dropout=0.0),
        method=SkeletonCLR(queue=512, m=0.99, init="he"),
        optimizer=SGD(lr=0.03, milestones=(48,)),
        epochs=60,
        batch_size=32,
        frames=25,
    ),
    seeds=range(3),
    arms=[Arm("float32"), Arm("bfloat16", {"precision": "bfloat16"})],
)
