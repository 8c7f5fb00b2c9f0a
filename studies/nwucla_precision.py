"""What bfloat16 does to the accuracy: HiCo on NW-UCLA in both precisions, the float32 encoders those of ``nwucla_methods.py``.

skelray prepare nwucla NW-UCLA.zip
skelray run studies/nwucla_precision.py                            # 2 arms x 3 seeds = 6 trials
python tests/software_bfloat16.py studies/nwucla_precision.py      # the same on a processor without bfloat16
"""

from dataclasses import replace

from skelray import GRU, KNN, SGD, Ablation, Arm, HiCo, Hierarchical, Linear, papers
from skelray.augment import AugmentationSet, CropResize, JointCorruption, OneOf, Shear

gentle = AugmentationSet("gentle", (CropResize(), OneOf((JointCorruption(joints=5), Shear(amplitude=0.5)))))

study = Ablation(
    base=replace(
        papers.SKELETONCLR,
        benchmark="nwucla",
        protocol="xview",
        backbone=Hierarchical(s2s=GRU(), hidden_dim=128, persons=1),
        method=HiCo(queue=256, m=0.99, tau=0.1, query=gentle, key=gentle),
        optimizer=SGD(lr=0.02, milestones=(32,)),
        epochs=40,
        batch_size=32,
        evaluations=(KNN(), Linear(lr=2.0, std=0.01)),
    ),
    seeds=range(3),
    arms=[Arm("float32"), Arm("bfloat16", {"precision": "bfloat16"})],
)
