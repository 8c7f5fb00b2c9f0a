"""HiCLR, Table 3 (left): how two branches are compared.

The weights are those of the only recipes found (cosine: 7, L1: 5, KL: 0.5); the paper names none for cosine and L1. Joint
stream, xsub, linear evaluation. The paper: KL is best.

    skelray run studies/similarity.py      # 3 arms x 3 seeds = 9 trials
"""

from skelray import SIMILARITIES, Ablation, Arm, papers


def arm(similarity, lambda_h, **published):
    """A similarity at its weight."""
    return Arm(similarity, {"similarity": SIMILARITIES[similarity], "lambda_h": lambda_h}, published)


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    arms=[
        arm("cosine", 7.0, xsub=75.8),
        arm("l1", 5.0, xsub=73.6),
        arm("kl", 0.5, xsub=77.6),
    ],
)
