"""Runs a study on Ray Tune: Tune schedules and restarts, everything that must last is in the store.

Tune gets a plain list of jobs from ``JobSearcher`` and a verdict on each report from ``ReportingScheduler``; its own
experiment state is thrown away afterwards, since a new run of the same study goes on from the store.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType

from skelray.runner.cluster import Cluster, device_of_trials, join_or_start  # sets what Ray reads at its import

# isort: split
import ray
import torch
from ray import tune

from skelray.runner import ending
from skelray.runner.actor_losses import tolerating_lost_actors
from skelray.runner.asking import asking
from skelray.runner.context import Settings
from skelray.runner.decisions import Decisions
from skelray.runner.job import Listener
from skelray.runner.job_searcher import JobSearcher
from skelray.runner.nodes import Nodes
from skelray.runner.pack_scheduler import PackScheduler
from skelray.runner.pack_searcher import PackSearcher, all_fit_packs
from skelray.runner.pack_trainable import PackTrainable
from skelray.runner.reporting import ReportingScheduler
from skelray.runner.run import Run
from skelray.runner.study_file import modules_beside
from skelray.runner.trainables import StudyTrainable

HEARD = {"ray.tune": logging.ERROR, "ray.tune.tune": logging.CRITICAL}  # from which level on
MANY = 1_000_000  # trials that may wait for Ray: ``ReportingScheduler.has_room`` decides how many are under way


def run_on_ray(run: Run, module: ModuleType | None, listener: Listener, cluster: Cluster) -> None:
    """Runs what is missing on Ray.

    module: the study's, whose classes travel by value. Raises UserError if no node can hold a trial.
    """
    with run.session():
        _on_cluster(run, module, listener, cluster)


def _on_cluster(run: Run, module: ModuleType | None, listener: Listener, cluster: Cluster) -> None:
    joined = ray.is_initialized() or cluster.address is not None
    with nullcontext() if ray.is_initialized() else join_or_start(cluster):
        for mine in () if module is None else (module, *modules_beside()):
            if mine.__name__ in sys.modules:
                ray.cloudpickle.register_pickle_by_value(mine)
        device = device_of_trials(run.settings.device, joined)
        lanes = _lanes(run, device, cluster)
        resources = {"cpu": float(run.settings.threads)}
        if device == "cuda":
            resources["gpu"] = 1.0 if lanes > 1 else 1 / cluster.per_gpu
        _fit(run, replace(run.settings, device=device, lanes=lanes), resources, listener, joined)


def _lanes(run: Run, device: str, cluster: Cluster) -> int:
    """Returns how many trials may train as lanes of one step; 1 if any of them fits no pack: then each has a process."""
    lanes = run.settings.lanes or (cluster.lanes if device == "cuda" else None) or 1
    return lanes if lanes > 1 and all_fit_packs(run) else 1


def _fit(run: Run, settings: Settings, resources: dict[str, float], listener: Listener, joined: bool) -> None:
    nodes = Nodes(resources)
    nodes.check_slots()
    data, results = settings.data.absolute(), settings.results.absolute()
    settings = replace(settings, data=data, results=results, store=run.context.store.root)
    trials = [one.trial for one in run.work.planned()]
    with asking(nodes, run.context, settings, trials) if joined else nullcontext() as asked:
        needs = asked.needs if asked is not None else None
        jobs: JobSearcher
        trainable: type[StudyTrainable]
        reporting: ReportingScheduler
        if settings.lanes is not None and settings.lanes > 1:
            packs = PackSearcher(run, settings.lanes, nodes.slots())
            jobs, trainable, reporting = packs, PackTrainable, PackScheduler(run, packs, listener, nodes, asked)
        else:
            jobs, trainable = JobSearcher(run.jobs()), StudyTrainable
            reporting = ReportingScheduler(run, jobs, listener, nodes, asked)
        _tune(run.name, tune.with_parameters(trainable, settings=settings, needs=needs), jobs, reporting)
    if jobs.error is not None:
        raise jobs.error
    ending.raise_if_asked_to_end()
    if not jobs.is_over():  # Tune was told to stop, and returns as if it had finished
        raise KeyboardInterrupt
    Decisions(run.context.store, run.name, torch.device("cpu")).forget()


def _tune(name: str, trainable: type[tune.Trainable], jobs: JobSearcher, reporting: ReportingScheduler) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MANY)
    scratch = tempfile.mkdtemp(prefix="skelray-tune-")
    try:
        with _quiet(), tolerating_lost_actors():
            tune.Tuner(
                tune.with_resources(trainable, reporting.nodes.request()),
                tune_config=tune.TuneConfig(search_alg=jobs, scheduler=reporting, num_samples=-1, reuse_actors=True),
                run_config=tune.RunConfig(
                    name=name,
                    storage_path=scratch,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=0),  # `JobSearcher` hands a lost job out again
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lets Tune say within the block only what is wrong with itself, whoever has started Ray.

    Else it counts lost attempts as trials that failed, and misses files of results, which are in the store instead.
    """
    before = {name: logging.getLogger(name).level for name in HEARD}
    try:
        for name, level in HEARD.items():
            logging.getLogger(name).setLevel(level)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
