"""Studies small enough to run whole in a test, and how to compare the tables of two runs."""

import textwrap
from dataclasses import replace

import pandas as pd

from skelray.results import tables as results
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.run import Run
from skelray.runner.study_file import load_study
from skelray.study.scale import Scale

TINY = (
    ("batch_size", 32),
    ("frames", 8),
    ("queue", 32),
    ("dim", 8),
    ("m", 0.9),
    ("hidden_channels", 2),
    ("hidden_dim", 8),
)
SCALE = Scale(benchmark="synthetic", protocols=("xview",), epochs=3, seeds=(0,), samples=5, changes=TINY)

HEAD = """
    import os, time
    from dataclasses import dataclass, replace
    from pathlib import Path
    import torch
    from skelray import ASHA, BA, KNN, NA, TPE, Ablation, Arm, AugmentationSet, HiCLR, Linear, Mask, Sweep, papers
    base = replace(papers.HICLR, evaluations=(KNN(), Linear(epochs=5)))
"""
ABLATION = """
    study = Ablation(base=base, seeds=range(2), arms=[
        Arm("weak", {"arrangement": (BA,)}),
        Arm("strong", {"arrangement": (BA, NA)}),
    ])
"""
SWEEP = """
    def space(trial):
        method = HiCLR(arrangement=(BA, NA)[: trial.suggest_int("k", 1, 2)],
                       lambda_h=trial.suggest_float("lambda_h", 0.05, 5.0, log=True))
        return replace(base, method=method)
    study = Sweep(space=space, published={"k": 2, "lambda_h": 0.5}, samples=5, sampler=TPE(seed=0, startup=3),
                  stopping=ASHA(grace=100, reduction=2))
"""


def study_file(folder, body, name="small"):
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
    return path


def make_run(path, folder, data, store=None, **scale):
    """A run whose store and tables lie in the folder. store: elsewhere, a URI."""
    name, study, module = load_study(path)
    settings = Settings(data, store or str(folder / "store"), folder / "results", device="cpu")
    return Run(name, study, replace(SCALE, **scale), settings), module


def inline(path, folder, data, **scale):
    run, _ = make_run(path, folder, data, **scale)
    run_inline(run)
    return table(folder, run.name)


def write_tables(run):
    """The tables from what the store holds, finished or not."""
    run.work.put_all(run.book)
    run.book.write()


def table(folder, name="small"):
    """The rows without what a clock says."""
    return results.load(name, folder / "results").drop(columns=["seconds", "started"])


def curves(folder, name="small"):
    return results.curves(name, folder / "results").drop(columns=["seconds"])


def assert_same(a, b):
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), check_exact=True)


class Heard(Listener):
    def __init__(self):
        self.trained, self.replayed, self.statuses, self.jobs = [], [], {}, []

    def reported(self, job, report):
        (self.replayed if report.replayed else self.trained).append((job.name, report.epoch))

    def ended(self, job, status):
        self.jobs.append(job)
        if not job.final:
            self.statuses[job.name] = status


FAILING = """
    @dataclass(frozen=True)
    class Broken:
        how: str
        def __call__(self, view):
            if self.how == "raises":
                raise RuntimeError("no such joint")
            if self.how == "memory":
                raise MemoryError("not enough of it")
            return view.with_x(view.x * float("nan"))

    def broken(how):
        return Arm(how, {"arrangement": (AugmentationSet(how, (Broken(how),)),)})

    study = Ablation(base=base, arms=[broken("raises"), broken("nan"), Arm("sound", {"arrangement": (BA,)}),
                                      broken("memory")])
"""
