"""Sweeps whose training takes no time: accuracy is a known function of the parameters, and a store keeps a mock encoder."""

import math
import os
import time
from dataclasses import replace

import numpy as np

from skelray import ASHA, HiCLR, HyperBand, Median, Never, Patience, Percentile, Racing, Sweep, Threshold, papers
from skelray.names import HELD_OUT
from skelray.runner import active_jobs, trainables
from skelray.runner.context import Settings
from skelray.runner.run import Run
from skelray.study.scale import Scale
from skelray.training import Report

SMALL = (("queue", 32), ("dim", 8), ("m", 0.9), ("hidden_channels", 2), ("hidden_dim", 8), ("frames", 8), ("batch_size", 64))
SECONDS = "SURROGATE_SECONDS"  # in the environment: how long an epoch takes
EPOCHS = 4
GRACE = 75  # of 300 epochs: 1 of 4
RULES = {
    "ASHA": ASHA(grace=GRACE, reduction=2),
    "ASHA promotion": ASHA(grace=GRACE, reduction=2, promotion=True),
    "HyperBand": HyperBand(grace=GRACE, reduction=2, brackets=2),
    "HyperBand promotion": HyperBand(grace=GRACE, reduction=2, brackets=2, promotion=True),
    "Median": Median(grace=GRACE, startup=1),
    "Percentile": Percentile(keep=40, grace=GRACE, startup=1),
    "Threshold": Threshold(least=0.3, grace=GRACE),
    "Patience": Patience(readings=1, gain=0.05, grace=GRACE),
    "Never": Never(grace=GRACE),
}


def space(trial):
    tau, weight = trial.suggest_float("tau", 0.03, 0.3, log=True), trial.suggest_float("lambda_h", 0.05, 5.0, log=True)
    return replace(papers.HICLR, method=HiCLR(tau=tau, lambda_h=weight), evaluations=())


def height(trial, epoch):
    """Held-out accuracy: best at lambda_h 0.5 and tau 0.1, growing with the epochs, uneven between seeds."""
    method = trial.method
    off = math.log10(method.lambda_h / 0.5) ** 2 + 2 * math.log10(method.tau / 0.1) ** 2
    drawn = np.random.default_rng([trial.seed, epoch, round(1e6 * method.tau)])
    return 0.6 * math.exp(-off) * (1 - 0.5 / epoch) + float(drawn.normal(0, 0.01))


def surrogate(trial, splits, stored, device, load=None, join=None, wait=True):
    """Reports of a trial whose accuracy is known; what was reported before a kill is reported again."""
    for epoch in range(1, trial.epochs + 1):
        time.sleep(float(os.environ.get(SECONDS, 0.0)))
        due = trial.monitor is not None and trial.monitor.due(epoch, trial.epochs)
        if epoch == trial.epochs:
            stored.save_encoder(epoch, {"history": []})
        yield Report(epoch, {"loss": 1.0, **({HELD_OUT: height(trial, epoch)} if due else {})}, 0.001)


def install():
    """Puts it in the place of training, in this process."""
    active_jobs.in_turns = trainables.execute = surrogate


def make_run(folder, data, rule, sampler, samples=6, seeds=None, racing: Racing | None = None, threads=1):
    sweep = Sweep(
        space=space,
        published={"tau": 0.2, "lambda_h": 0.5},
        samples=samples,
        sampler=sampler,
        stopping=RULES[rule],
        seeds=seeds,
        racing=racing,
    )
    scale = Scale("synthetic", ("xview",), EPOCHS, None if seeds else (0,), changes=SMALL)
    settings = Settings(data, str(folder / "store"), folder / "results", device="cpu", threads=threads)
    return Run("small", sweep, scale, settings)


def kept(run):
    """What a ledger knows: proposals, readings, verdicts, how each sample ended; without what a clock says."""
    told = [(s.number, s.params, s.readings, s.verdicts, s.status, s.raced) for s in run.work.search.samples.values()]
    return sorted(told, key=lambda one: one[0])
