"""What HiCo's contrast wants: which levels (Table 4), at which granularity (Figure 4), under which tau.

The paper adds the levels one after another; here all 15 sets of them are in the space, and each branch has a granularity
of its own. Joint stream, Transformer. Optuna proposes, the published point first; ASHA stops the weak early, by 1-NN
accuracy on held-out training subjects.
321 h of training at 1000 samples/s if none were stopped.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/hico_asha.py --data data300      # 64 samples: about a third of 28 864 epochs
    skelray report hico_asha
"""

from dataclasses import replace
from itertools import combinations

from skelray import ASHA, TPE, HiCo, Hierarchical, Sweep, choose, papers
from skelray.methods.hico import LEVELS

SETS = {"+".join(some): some for count in (4, 3, 2, 1) for some in combinations(LEVELS, count)}


def space(trial):
    """Optuna's define-by-run."""
    temporal, spatial = trial.suggest_int("temporal_granularity", 1, 4), trial.suggest_int("spatial_granularity", 1, 4)
    return replace(
        papers.HICO_TRANSFORMER,
        method=HiCo(levels=choose(trial, "levels", SETS), tau=trial.suggest_float("tau", 0.05, 0.8, log=True)),
        backbone=Hierarchical(granularity=temporal, spatial_granularity=None if spatial == temporal else spatial),
    )


study = Sweep(
    space=space,
    published={"levels": "clip+part+domain+instance", "tau": 0.2, "temporal_granularity": 4, "spatial_granularity": 4},
    samples=64,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=38, reduction=3),
)
