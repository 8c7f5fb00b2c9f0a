"""What HiCLR's hierarchical loss wants: lambda_h (Eq. 7), k (Eq. 2), sim (Eq. 5) and tau (Eq. 1, 6).

Each similarity has a lambda_h of its own, searched a decade below and above that of its recipe (KL 0.5, cosine 7, L1 5), and
mines the neighbours of as many branches as there. k = 4 is the slides' recipe: Drop/Add Edges, then AdaIN frame by frame,
the three terms in the shares 0.5, 0.3, 0.2. Optuna proposes, the published point first; ASHA stops the weak early. Both read
1-NN accuracy on held-out training subjects; the test split is read once, for the published setting and the best sample.
214 h of training at 1000 samples/s if none were stopped.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/lambda_h_asha.py    # 64 samples: about 6 000 of 19 200 epochs; simulated, 3 000 to 9 000
    skelray report lambda_h_asha            # which parameter matters, and the best setting
"""

from dataclasses import replace

from skelray import ASHA, BA, DAE, NA, SIMILARITIES, TPE, AugmentationSet, HiCLR, Mask, Sweep, papers
from skelray.augment import SkeleAdaIN

BY_FRAME = AugmentationSet("AdaIN", (SkeleAdaIN(over="frame"),))
GROWTH = {2: (BA, NA), 3: (BA, NA, Mask), 4: (BA, NA, DAE, BY_FRAME)}  # what enters at each branch, by k
SHARES = {2: None, 3: None, 4: (1.0, 0.6, 0.4)}  # of lambda_h in each term
RECIPES = {"kl": (0.5, 3), "cosine": (7.0, 1), "l1": (5.0, 1)}  # lambda_h, and the branches that mine


def space(trial):
    """Optuna's define-by-run."""
    similarity = trial.suggest_categorical("similarity", list(RECIPES))
    lambda_h, branches = RECIPES[similarity]
    k = trial.suggest_int("k", 2, 4)
    method = HiCLR(
        arrangement=GROWTH[k],
        weights=SHARES[k],
        similarity=SIMILARITIES[similarity],
        lambda_h=trial.suggest_float(f"lambda_h_{similarity}", lambda_h / 10, lambda_h * 10, log=True),
        mining_branches=branches,
        tau=trial.suggest_float("tau", 0.03, 0.3, log=True),
    )
    return replace(papers.HICLR, method=method)


study = Sweep(
    space=space,
    published={"k": 3, "similarity": "kl", "lambda_h_kl": 0.5, "tau": 0.07},
    samples=64,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=25, reduction=3),
)
