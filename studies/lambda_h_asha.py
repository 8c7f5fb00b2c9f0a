"""What HiCLR's hierarchical loss wants: lambda_h (Eq. 7), k (Eq. 2), sim (Eq. 5) and tau (Eq. 1, 6).

Optuna proposes, the published point first; ASHA stops the weak early. Both read 1-NN accuracy on held-out training
subjects; the test split is read once, for the published setting and the best sample.

    skelray run studies/lambda_h_asha.py    # 64 samples
    skelray report lambda_h_asha
"""

from dataclasses import replace

from skelray import ASHA, BA, NA, SIMILARITIES, TPE, HiCLR, Mask, Sweep, papers

GROWTH = (BA, NA, Mask, Mask)  # what enters at each branch; a fourth draws its mask twice


def space(trial):
    """Optuna's define-by-run."""
    return replace(
        papers.HICLR,
        method=HiCLR(
            arrangement=GROWTH[: trial.suggest_int("k", 2, 4)],
            lambda_h=trial.suggest_float("lambda_h", 0.05, 5.0, log=True),
            similarity=SIMILARITIES[trial.suggest_categorical("similarity", list(SIMILARITIES))],
            tau=trial.suggest_float("tau", 0.03, 0.3, log=True),
        ),
    )


study = Sweep(
    space=space,
    published={"k": 3, "lambda_h": 0.5, "similarity": "kl", "tau": 0.07},
    samples=64,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=25, reduction=3),
)
