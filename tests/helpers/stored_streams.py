"""Trials of three streams whose scores are made up, in a store, as if they had been trained and evaluated."""

import json
from dataclasses import replace

import numpy as np
import torch
from tiny import TRIAL

from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, HeldOut, Linear, top_k_accuracy
from skelray.identity.canonical import canonical
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm

STREAMS = ("joint", "bone", "motion")
WEIGHTS = Ensemble({"joint": 0.6, "bone": 0.6, "motion": 0.4})
FACTS = {"seconds": 1.0, "started": "2026-01-02T03:04:05+00:00", "device": "cpu", "version": "v", "commit": "c"}
EVALUATIONS = (KNN(), Linear(), HeldOut(Linear()))
ABLATION = Ablation(
    base=replace(TRIAL, evaluations=EVALUATIONS),
    across={"protocol": ["xsub", "xview"], "stream": list(STREAMS)},
    seeds=range(2),
    ensemble=WEIGHTS,
    arms=[
        Arm("a", published={"joint": {"xsub": 70.0}, "joint+bone+motion": {"xsub": 80.0}}),
        Arm("b", {"lr": 0.3}),
    ],
)


def scores(seed, samples=40, classes=5, skill=1.5):
    """Logits float32 that know the label somewhat, and labels and rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    logits = rng.normal(size=(samples, classes))
    logits[np.arange(samples), labels] += skill
    return {"scores": logits.astype(np.float32), "labels": labels, "rows": np.arange(samples) + 3}


def keep(store, trial, evaluation, arrays, data="d", test=None):
    """Puts an evaluation's scores where ``execute`` puts them. test: whose samples they are, where that is said."""
    found, labels = torch.from_numpy(arrays["scores"]), torch.from_numpy(arrays["labels"])
    metrics = {"top1": top_k_accuracy(found, labels), "top5": top_k_accuracy(found, labels, 5)}
    stored = store.trial(trial.id(data))
    stored.save_spec({"trial": canonical(trial), "data": data})
    told = {} if test is None else {"test": test}
    result = {"evaluation": evaluation.name, "metrics": metrics, **FACTS, **told}
    stored.save_scores(trial.epochs, canonical(evaluation), arrays, result)


def evaluate(store, cell, seed=0, data="d"):
    """All evaluations of a cell's trial."""
    text = json.dumps([seed, cell.arm, cell.name])
    for place, evaluation in enumerate(cell.trial.evaluations):
        keep(store, cell.trial, evaluation, scores([place, *text.encode()]), data)
