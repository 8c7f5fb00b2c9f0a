"""Every evaluation of a HiCLR and a HiCo encoder on NW-UCLA: joint, bone and motion, cameras 1 and 2 to camera 3.

HiCLR is trained as in ``nwucla.py`` for a fifth of its epochs, HiCo as in ``nwucla_methods.py``. NW-UCLA has 1020 training
sequences, a fortieth of NTU60: 1 % of the labels is one a class. The papers' schedules of finetuning are shortened to 10
epochs, 4 on a share of the labels (each as many steps as all labels give), milestones with them, in batches of 32.
Transfer is to MSR Action3D, which has the same skeleton. Last epoch throughout.
0.18 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray prepare msr_action3d MSRAction3DSkeletonReal3D.zip
    skelray run studies/nwucla_evaluations.py           # 2 arms x 3 streams x 3 seeds = 18 trials
"""

from dataclasses import replace

from skelray import (
    GRU,
    KNN,
    SGD,
    STGCN,
    Ablation,
    Arm,
    Clustering,
    HiCLR,
    HiCo,
    Hierarchical,
    Linear,
    Retrieval,
    Transfer,
    papers,
)
from skelray.augment import AugmentationSet, CropResize, JointCorruption, OneOf, Shear


def evaluations(linear, lr):
    """All of them; lr: of what trains the encoder."""
    semi = [replace(e.lasting(4), lr=lr, batch_size=32) for e in papers.HICLR_SEMI]
    tuned = replace(papers.HICLR_FINETUNE.lasting(10), lr=lr, batch_size=32)
    supervised = replace(papers.SUPERVISED.lasting(10), lr=lr, batch_size=32)
    near = (KNN(), replace(papers.KNN_WEIGHTED, k=20), KNN(layer="projector"))  # 20 of 1020, as 200 of 40 091 are a few
    return (*near, linear, Retrieval(), Clustering(), *semi, tuned, supervised, Transfer("msr_action3d", "xsub", linear))


gentle = AugmentationSet("gentle", (CropResize(), OneOf((JointCorruption(joints=5), Shear(amplitude=0.5)))))
hico = {
    "method": HiCo(queue=256, m=0.99, tau=0.1, query=gentle, key=gentle),
    "backbone": Hierarchical(s2s=GRU(), hidden_dim=128, persons=1),
    "frames": None,
    "epochs": 40,
    "optimizer": SGD(lr=0.02, milestones=(32,)),
    "evaluations": evaluations(Linear(lr=2.0, std=0.01), lr=0.03),
}

study = Ablation(
    base=replace(
        papers.HICLR,
        benchmark="nwucla",
        protocol="xview",
        backbone=STGCN(hidden_channels=8, hidden_dim=128, dropout=0.0),
        method=HiCLR(queue=512, m=0.99, init="he", mining_from=None),
        optimizer=SGD(lr=0.03, milestones=(24,)),
        epochs=30,
        batch_size=32,
        frames=25,
        evaluations=evaluations(Linear(), lr=0.1),
    ),
    across={"stream": ["joint", "bone", "motion"]},
    seeds=range(3),
    ensemble=papers.HICLR_FUSION,
    arms=[Arm("HiCLR"), Arm("HiCo", hico)],
)
