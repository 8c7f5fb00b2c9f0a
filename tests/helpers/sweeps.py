"""Tables of sweeps that were never trained: their readings follow from the parameters by a known rule."""

import datetime
import json
import math

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import distribution_to_json
from result_rows import PLAIN

from skelray.names import HELD_OUT, SEARCH

CENTRES = {"kl": 0.5, "cosine": 7.0}
RUNGS, EPOCHS = (25, 75, 100), 100


def suggested(trial):
    """Two numbers, of which one depends on a category, and one that means nothing."""
    similarity = trial.suggest_categorical("similarity", list(CENTRES))
    centre = CENTRES[similarity]
    trial.suggest_float(f"lambda_h_{similarity}", centre / 10, centre * 10, log=True)
    trial.suggest_float("tau", 0.03, 0.3, log=True)
    trial.suggest_int("idle", 1, 9)


def accuracy(params, epoch):
    """Best at tau 0.1; nothing else matters."""
    return round((0.8 - 0.2 * abs(math.log(params["tau"] / 0.1))) * (1 - 0.5 * math.exp(-epoch / 40)), 6)


def rows(samples=24, seed=0, figures=False):
    """Of a sweep in which two of three samples are stopped early; sample 5 fails after its first rung."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    made, began = [], datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for number in range(samples):
        trial = drawn.ask()
        suggested(trial)
        search = {"distributions": {name: distribution_to_json(d) for name, d in trial.distributions.items()}}
        search["figures"] = {"parameters": 100.0 + 10 * trial.params["idle"]} if figures else {}
        facts = {
            **PLAIN,
            "study": "s",
            "arm": "published" if number == 0 else f"sample {number}",
            "trial": f"t{number}",
            "metric": HELD_OUT,
            "evaluation": "knn",
            "epochs": EPOCHS,
            "cell": json.dumps(trial.params),
            "spec": json.dumps({SEARCH: search}),
            "started": began + datetime.timedelta(minutes=20 * number),
        }
        reached = 1 if number == 5 else 3 if number % 3 == 0 else number % 3
        for epoch in RUNGS[:reached]:
            halted = epoch == RUNGS[reached - 1] and reached < 3 and number != 5
            status = "stopped" if halted else "done"
            value = accuracy(trial.params, epoch)
            made.append({**facts, "epoch": epoch, "value": value, "status": status, "seconds": 36.0 * epoch})
        if number == 5:
            made.append({**facts, "epoch": EPOCHS, "value": math.nan, "status": "failed", "seconds": 0.0})
    return made


def frame(**options):
    return pd.DataFrame(rows(**options))


def curves(count=12, seed=0, noise=0.0, epochs=10):
    """A table and curves of samples that were trained to their end; the first is the worst at first and the best at last."""
    rng = np.random.default_rng(seed)
    table, watched = [], []
    for number in range(count):
        worth, slow = (0.9, 9.0) if number == 0 else (0.3 + 0.5 * number / count, 1.0)
        for epoch in range(1, epochs + 1):
            value = float(np.clip(worth * (1 - math.exp(-epoch / slow)) + rng.normal(0, noise), 0, 1))
            watched.append({"trial": f"t{number}", "epoch": epoch, "metric": HELD_OUT, "value": value, "seconds": 1.0})
        facts = {"study": "s", "arm": f"arm {number}", "trial": f"t{number}", "epochs": epochs, "seed": 0, "status": "done"}
        facts |= {"benchmark": "b", "protocol": "xsub", "stream": "joint", "cell": "{}", "spec": "{}", "metric": "top1"}
        table.append(facts)
    return pd.DataFrame(table), pd.DataFrame(watched)
