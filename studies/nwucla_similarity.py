"""HiCLR's similarities, asked of NW-UCLA: how should two branches be compared?

The setting of ``nwucla_arrangement.py``, chosen there on held-out subjects; the weights are those of the recipes in
``similarity.py``. No branch mines neighbours. The rows of KL are those of the arrangement [BA, NA, Mask] there.
0.15 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_similarity.py            # 3 arms x 6 seeds = 18 trials
"""

from nwucla_arrangement import study as nwucla
from similarity import study as paper

from skelray import Ablation, Arm

study = Ablation(
    base=nwucla.base,
    seeds=range(6),
    contrasts=paper.contrasts,
    # Which branches mine means nothing where none does, and would name the same trial differently.
    arms=[
        Arm(arm.label, {name: value for name, value in arm.changes.items() if name != "mining_branches"})
        for arm in paper.arms
    ],
)
