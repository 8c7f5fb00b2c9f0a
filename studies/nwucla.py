"""Does it learn? SkeletonCLR and HiCLR on NW-UCLA, cameras 1 and 2 to camera 3, beside the same encoder untrained.

NW-UCLA has 1020 training sequences, a fortieth of NTU60. The published setting is made for the latter; what is changed
here, and why, is in ``small``. The floors to beat are 1-NN 70.0 % and ridge 71.8 % on raw coordinates.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla.py           # 3 arms x 3 seeds = 9 trials
"""

from dataclasses import replace

from skelray import SGD, STGCN, Ablation, Arm, HiCLR, SkeletonCLR, papers

small = {
    "queue": 512,  # half the training set instead of four fifths of NTU60's
    "m": 0.99,  # the key encoder follows within some hundred steps, of which there are few
    "init": "he",  # N(0, 0.02) leaves narrow encoders at a constant output for most of a short schedule
}

study = Ablation(
    base=replace(
        papers.HICLR,
        benchmark="nwucla",
        protocol="xview",
        backbone=STGCN(hidden_channels=8, hidden_dim=128, dropout=0.0),
        optimizer=SGD(lr=0.1, milestones=(50,)),
        epochs=60,
        batch_size=32,
        frames=25,
    ),
    seeds=range(3),
    arms=[
        Arm("untrained", {"method": SkeletonCLR(**small), "epochs": 0}),
        Arm("SkeletonCLR", {"method": SkeletonCLR(**small)}),
        Arm("HiCLR", {"method": HiCLR(**small, mining_from=None)}),  # the paper's loss, without its code's mining
    ],
)
