"""HiCo's levels on NW-UCLA: which branch and which level of contrast earns what?

The rows of HiCo's Tables 3 and 4 with the GRU, augmentations and schedule of ``nwucla_methods.py``, chosen there on held-out
subjects.
0.34 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_hico_levels.py           # 5 arms x 6 seeds = 30 trials
"""

from dataclasses import replace

from hico_levels import study as paper
from nwucla_methods import hico
from nwucla_methods import study as methods

from skelray import SGD, Ablation, Arm

study = Ablation(
    base=replace(methods.base, optimizer=SGD(lr=0.02, milestones=(32,)), epochs=40, **hico),
    seeds=range(6),
    contrasts=paper.contrasts,
    arms=[
        Arm(
            arm.label,
            {
                "method": replace(hico["method"], levels=arm.changes["method"].levels),
                "backbone": replace(hico["backbone"], branches=arm.changes["backbone"].branches),
            },
        )
        for arm in paper.arms
    ],
)
