"""Runs a study on Ray Tune: Tune schedules and restarts, everything that must last is in the store.

Tune gets a plain list of jobs from ``Jobs`` and a verdict on each report from ``Reporting``; its own experiment state is
thrown away afterwards, since a new run of the same study goes on from the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from skelray.runner.cluster import Cluster, connect, device_of_trials, slots  # sets what Ray reads at its import

# isort: split
import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from skelray import machine
from skelray.checks import UserError
from skelray.runner.execute import failure
from skelray.runner.job import Job, Listener
from skelray.runner.run import RETRIES, Run
from skelray.runner.study_file import modules_beside
from skelray.runner.trainables import StudyTrainable
from skelray.training import Report

log = logging.getLogger("skelray")


class Jobs(Searcher):
    """Hands the run's jobs to Tune one by one."""

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        super().__init__()
        self._jobs = jobs
        self.given: dict[str, Job] = {}
        self.exhausted = False
        self.error: Exception | None = None  # of the study's own code, or of the store: Tune would end in one of its own
        self.lost: Callable[[str], None] = lambda trial_id: None

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """None: not yet, as nothing can start before something has ended."""
        try:
            job = next(self._jobs, self)
            if job is None:
                return None
            if isinstance(job, Job):
                job.stored.clear_failure(job.trial.epochs)  # an earlier run's: what is there in the end is this one's
                if (holder := job.stored.holder(job.trial.epochs)) is not None:
                    log.warning("%s waits for %s", job.name, holder)
                self.given[trial_id] = job
                content = ray.cloudpickle.dumps(job.trial)  # the study's own classes by value
                return {"number": job.number, "id": job.stored.id, "epochs": job.trial.epochs, "trial": content}
        except Exception as error:
            self.error = error
        self.exhausted = True
        return Searcher.FINISHED  # type: ignore[return-value]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:  # of a trial whose attempts are used up; a scheduler hears of every lost attempt
            self.lost(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps a copy of its parts, and none of ours is restored from it."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class Reporting(FIFOScheduler):
    """Tells the run and its listener what becomes of each job, and stops one where the run says so."""

    def __init__(self, run: Run, jobs: Jobs, listener: Listener) -> None:
        super().__init__()
        self.run, self.jobs, self.listener = run, jobs, listener
        self.statuses: dict[str, str] = {}  # by Tune's id of a trial: a job that was paused comes again
        self.begun: set[str] = set()
        self.errors: dict[int, str] = {}
        jobs.lost = self.lost

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def over(self) -> bool:
        """Whether there was no further job and every one has ended."""
        return self.jobs.exhausted and all(id in self.statuses for id in self.jobs.given)

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        if trial.trial_id not in self.begun:  # Tune adds a trial again for each attempt
            self.begun.add(trial.trial_id)
            self.listener.started(self.jobs.given[trial.trial_id])

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        job = self.jobs.given[trial.trial_id]
        _log(result)
        report = Report(result["epoch"], _under("metrics", result), result["epoch_seconds"], replayed=result["replayed"])
        self.listener.report(job, report)
        source, status = _under("source", result), "stopped"
        try:
            if self.run.should_continue(job, report, source):
                return self.CONTINUE
        except UserError as error:  # of the study's own stopping rule
            self._keep(job, failure(error) | source)
            status = "failed"
        self.end(trial.trial_id, status)
        return self.STOP

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        job, failed = self.jobs.given[trial.trial_id], _under("failed", result)
        _log(result)
        if failed:
            self._keep(job, failed)  # unless the worker has
        self.end(trial.trial_id, "failed" if failed else "done")

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        if trial.error_file is not None:  # where Tune keeps what every attempt ended in
            with contextlib.suppress(OSError):
                self.errors[self.jobs.given[trial.trial_id].number] = Path(trial.error_file).read_text()

    def lost(self, trial_id: str) -> None:
        """Every attempt at a job has ended in a lost worker or a transient failure; the latter is in the store."""
        job = self.jobs.given[trial_id]
        line = f"its worker process was lost or did not start, {RETRIES + 1} times"
        traceback = self.errors.get(job.number, "")
        self._keep(job, {"cause": "worker lost", "line": line, "traceback": traceback, "transient": True})
        self.end(trial_id, "failed")

    def _keep(self, job: Job, failed: dict[str, Any]) -> None:
        """Puts a failure into the store where none is; one that cannot be written stops no other trial."""
        with self.run.context.going_on("the store"):
            if job.stored.failure(job.trial.epochs) is None:
                job.stored.save_failure(job.trial.epochs, failed)

    def end(self, trial_id: str, status: str) -> None:
        if trial_id not in self.statuses:
            job = self.jobs.given[trial_id]
            self.statuses[trial_id] = status
            self.listener.ended(job, self.run.ended(job, status))


def _log(result: dict[str, Any]) -> None:
    """Says what a worker had to say, whose own words nobody reads."""
    for line in result.get("said", ()):
        log.warning("%s", line)


def _under(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """A nested part of a result, which Tune flattens with slashes before a scheduler sees it."""
    return {key.removeprefix(f"{name}/"): value for key, value in result.items() if key.startswith(f"{name}/")}


def run_on_ray(run: Run, module: ModuleType | None, listener: Listener, cluster: Cluster) -> None:
    """module: the study's; its classes travel to the workers by value. Raises UserError where no node can hold a trial."""
    with run.session():
        device = _on_cluster(run, module, listener, cluster)
        machine.configure_process(run.settings.threads)
        # here, where a cluster's GPUs may be out of reach
        run.evaluate_finals(machine.choose_device(None if device == "cuda" else device))


def _on_cluster(run: Run, module: ModuleType | None, listener: Listener, cluster: Cluster) -> str:
    """Runs the jobs; returns the device that they were given."""
    own = not ray.is_initialized()
    if own:
        connect(cluster)
    try:
        for mine in () if module is None else (module, *modules_beside()):
            if mine.__name__ in sys.modules:
                ray.cloudpickle.register_pickle_by_value(mine)
        device = device_of_trials(run.settings.device, joined=not own or cluster.address is not None)
        resources = {"cpu": float(run.settings.threads)}
        if device == "cuda":
            resources["gpu"] = 1 / cluster.per_gpu
        _fit(run, device, resources, listener)
    finally:
        if own:
            ray.shutdown()
    return device


def _fit(run: Run, device: str, resources: dict[str, float], listener: Listener) -> None:
    concurrent = slots(resources)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrent)
    jobs = Jobs(run.jobs())
    reporting = Reporting(run, jobs, listener)
    settings = replace(run.settings, data=run.settings.data.absolute(), store=run.context.store.root, device=device)
    trainable = tune.with_parameters(StudyTrainable, settings=settings)
    scratch = tempfile.mkdtemp(prefix="skelray-tune-")
    try:
        tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=jobs,
                scheduler=reporting,
                num_samples=-1,
                max_concurrent_trials=concurrent,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=run.name,
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
        if jobs.error is not None:
            raise jobs.error
        if not reporting.over():  # Tune was told to stop, and returns as if it had finished
            raise KeyboardInterrupt
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
