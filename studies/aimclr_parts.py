"""AimCLR, Table 1: what extreme augmentations, EADM and neighbour mining add.

Linear evaluation of the joint stream here; the paper's figures are those of three streams fused, so none stand beside.
D3M is there wherever normal and extreme views are.

    skelray run studies/aimclr_parts.py      # 5 arms x 2 protocols x 3 seeds = 30 trials
"""

from skelray import EA, Ablation, AimCLR, Arm, papers

study = Ablation(
    base=papers.AIMCLR,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        Arm("normal", {"method": AimCLR(extreme=None, eadm=None, mining_from=None)}),
        Arm("extreme directly", {"method": AimCLR(normal=EA, extreme=None, eadm=None, mining_from=None)}),
        Arm("normal, extreme", {"method": AimCLR(eadm=None, mining_from=None)}),
        Arm("normal, extreme, EADM", {"method": AimCLR(mining_from=None)}),
        Arm("normal, extreme, EADM, NNM", {"method": AimCLR()}),
    ],
)
