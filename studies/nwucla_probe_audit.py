"""How many points the choice of a probe is worth on NW-UCLA: sixteen probes of each encoder, cameras 1 and 2 to camera 3.

SkeletonCLR as in ``nwucla_methods.py``, HiCLR as in ``nwucla_evaluations.py``, and their encoder untrained. The grid is
that of ``probe_audit.py``: rates 0.3 to 10, batches of 32 and 128, mean and max over frames and joints, the last and the
best epoch.
0.08 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_probe_audit.py           # 3 arms x 3 seeds = 9 trials
"""

from dataclasses import replace

from nwucla_evaluations import study as evaluations
from nwucla_methods import study as methods
from probe_audit import GRID

from skelray import Ablation, Arm, Contrast

hiclr, skeletonclr = evaluations.base, next(arm for arm in methods.arms if arm.label == "SkeletonCLR")

study = Ablation(
    base=replace(methods.base, evaluations=(GRID,)),
    seeds=range(3),
    arms=[
        Arm("untrained", {"epochs": 0}),
        skeletonclr,
        Arm("HiCLR", {"method": hiclr.method, "optimizer": hiclr.optimizer, "epochs": hiclr.epochs}),
    ],
    contrasts=[Contrast("SkeletonCLR", "untrained"), Contrast("HiCLR", "untrained")],
)
