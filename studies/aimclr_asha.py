"""What AimCLR's parts want: EADM's threshold (Algorithm 1), D3M's weight (Eq. 8), how many neighbours, from when (Eq. 9).

The paper gives 0.7, 1, 1 and epoch 150, without a search. mining_from = 300 never mines, and then there is no mining_k.
Optuna proposes, the published point first; ASHA stops the weak early, by 1-NN accuracy on held-out training subjects.
214 h of training at 1000 samples/s if none were stopped.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_asha.py      # 64 samples: about 6 000 of 19 200 epochs; simulated, 3 000 to 9 000
    skelray report aimclr_asha
"""

from dataclasses import replace

from skelray import ASHA, EADM, TPE, AimCLR, Sweep, papers

LAST = papers.AIMCLR.epochs


def space(trial):
    """Optuna's define-by-run. No element's attention is below 0.6225, so a threshold begins above it."""
    start = trial.suggest_int("mining_from", 0, LAST, step=25)
    method = AimCLR(
        eadm=EADM(threshold=trial.suggest_float("threshold", 0.63, 0.95)),
        beta=trial.suggest_float("beta", 0.1, 10.0, log=True),
        mining_from=start,
        mining_k=trial.suggest_int("mining_k", 1, 16, log=True) if start < LAST else 1,
    )
    return replace(papers.AIMCLR, method=method)


study = Sweep(
    space=space,
    published={"mining_from": 150, "threshold": 0.7, "beta": 1.0, "mining_k": 1},
    samples=64,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=25, reduction=3),
)
