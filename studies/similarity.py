"""HiCLR, Table 3 (left): how two branches are compared.

The weights are those of the only recipes found (cosine: 7, L1: 5, KL: 0.5), and so is that cosine and L1 mine the neighbours
of the first branch only; the paper names none of it. Joint stream, xsub, linear evaluation. The paper: KL is best.
30 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/similarity.py      # 3 arms x 3 seeds = 9 trials
"""

from skelray import SIMILARITIES, Ablation, Arm, above, papers


def arm(similarity, lambda_h, mining_branches, **published):
    """A similarity in its recipe."""
    recipe = {"similarity": SIMILARITIES[similarity], "lambda_h": lambda_h, "mining_branches": mining_branches}
    return Arm(similarity, recipe, published)


study = Ablation(
    base=papers.HICLR,
    seeds=range(3),
    contrasts=[*above("kl", "cosine", "l1"), *above("cosine", "l1")],
    arms=[
        arm("cosine", 7.0, 1, xsub=75.8),
        arm("l1", 5.0, 1, xsub=73.6),
        arm("kl", 0.5, 3, xsub=77.6),
    ],
)
