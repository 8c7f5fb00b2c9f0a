"""Which stopping rule should a search have? Settings of HiCLR on NW-UCLA, each trained to its end and read at every epoch.

A search that stops nobody costs all its epochs once; on its curves `skelray simulate` then replays every rule in seconds.
A small encoder on 8 frames, so that one CPU has it in ten minutes; the test split is read for the best alone.
0.05 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_rules.py --inline      # 15 samples of 12 epochs
    skelray simulate nwucla_rules                     # regret against epochs for each rule
"""

from dataclasses import replace

from skelray import BA, NA, SGD, SIMILARITIES, STGCN, HiCLR, Mask, Never, Random, Sweep, papers

LAMBDA_H = {"kl": (0.05, 5.0), "cosine": (0.7, 70.0), "l1": (0.5, 50.0)}  # a decade below and above each recipe's


def space(trial):
    """Optuna's define-by-run."""
    similarity = trial.suggest_categorical("similarity", list(LAMBDA_H))
    method = HiCLR(
        arrangement=(BA, NA, Mask)[: trial.suggest_int("k", 1, 3)],
        similarity=SIMILARITIES[similarity],
        lambda_h=trial.suggest_float(f"lambda_h_{similarity}", *LAMBDA_H[similarity], log=True),
        tau=trial.suggest_float("tau", 0.03, 0.3, log=True),
        queue=512,
        m=0.99,
        init="he",
        mining_from=None,
    )
    return replace(
        papers.HICLR,
        benchmark="nwucla",
        protocol="xview",
        backbone=STGCN(hidden_channels=2, hidden_dim=32, dropout=0.0),
        method=method,
        optimizer=SGD(lr=trial.suggest_float("lr", 0.003, 0.3, log=True), milestones=(10,)),
        epochs=12,
        batch_size=64,
        frames=8,
    )


study = Sweep(
    space=space,
    published={"similarity": "kl", "k": 3, "lambda_h_kl": 0.5, "tau": 0.07, "lr": 0.1},
    samples=15,
    sampler=Random(seed=0),
    stopping=Never(grace=1),
)
