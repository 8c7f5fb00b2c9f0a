"""Strong augmentations on NW-UCLA: do they hurt SkeletonCLR applied directly, and help as the last branch of HiCLR?

The rows of HiCLR's Table 3 (right) without those of four branches, at the setting of ``nwucla_arrangement.py``, chosen there
on held-out subjects. No branch mines neighbours.
0.46 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_strong.py                # 9 arms x 6 seeds = 54 trials
"""

from dataclasses import replace

from nwucla_arrangement import study as nwucla
from nwucla_methods import MOCO
from strong import study as paper

from skelray import Ablation, Arm, HiCLR


def here(method):
    """A method of the paper's table with the queue, momentum and initial weights that NW-UCLA needs."""
    return replace(method, **MOCO, **({"mining_from": None} if isinstance(method, HiCLR) else {}))


study = Ablation(
    base=nwucla.base,
    seeds=range(6),
    contrasts=paper.contrasts,
    arms=[Arm(arm.label, {"method": here(arm.changes["method"])}) for arm in paper.arms[:9]],
)
