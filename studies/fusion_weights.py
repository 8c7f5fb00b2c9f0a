"""Which weights should joint, bone and motion have in HiCLR's ensemble?

AimCLR's paper gives 0.6, 0.6, 0.4; HiCLR's gives none, and its code tries two sets on the test labels. Here Optuna
searches on held-out training subjects, the published point first; the test split is read once, for the published and the
chosen weights. The encoders are those of streams.py: with both in one store, nothing is trained again.
58 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/fusion_weights.py      # 2 protocols x 3 seeds: 18 encoders, then 6 searches of 10 000 points
    skelray report fusion_weights
"""

from skelray import Fusion, Linear, Random, papers


def space(trial):
    """Optuna's define-by-run."""
    return {stream: round(trial.suggest_float(stream, 0.0, 1.0), 2) for stream in ("joint", "bone", "motion")}


study = Fusion(
    base=papers.HICLR,
    space=space,
    published=papers.HICLR_FUSION.weights,
    figures={"xsub": 80.4, "xview": 85.5},
    evaluation=Linear(),
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    samples=10_000,
    sampler=Random(seed=0),
)
