"""AimCLR's parts on NW-UCLA: what do extreme augmentations, EADM and neighbour mining add?

The rows of AimCLR's Table 1 on the joint stream, at ``nwucla_methods.py``'s setting of SkeletonCLR; the weight 0.25 of D3M
was chosen there on held-out subjects. 60 epochs are what the budget allows; mining starts halfway, as in the paper.
0.51 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_aimclr_parts.py          # 5 arms x 6 seeds = 30 trials
"""

from dataclasses import replace

from aimclr_parts import study as paper
from nwucla_methods import BETA, MOCO
from nwucla_methods import study as methods

from skelray import SGD, Ablation, AimCLR, Arm, Contrast

EPOCHS = 60


def here(method):
    """A method of the paper's table with the settings that NW-UCLA needs."""
    if not isinstance(method, AimCLR):
        return replace(method, **MOCO)
    return replace(method, **MOCO, beta=BETA, mining_from=method.mining_from and EPOCHS // 2)


study = Ablation(
    base=replace(methods.base, optimizer=SGD(lr=0.03, milestones=(4 * EPOCHS // 5,)), epochs=EPOCHS),
    seeds=range(6),
    # The paper's claims of the three streams fused, asked of the one that is here.
    contrasts=[Contrast(one.arm, one.other, claim=one.claim) for one in paper.contrasts if one.arm != one.other],
    arms=[Arm(arm.label, {"method": here(arm.changes["method"])}) for arm in paper.arms],
)
