"""Tells a run what becomes of each of its jobs on Ray, and Tune where lost ones go next."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from pathlib import Path
from typing import Any

import ray
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from skelray.checks import UserError
from skelray.results.rows import complete
from skelray.runner import ending
from skelray.runner.execute import failure
from skelray.runner.fit import Unfit
from skelray.runner.handing import Jobs
from skelray.runner.job import Job, Listener
from skelray.runner.nodes import Nodes
from skelray.runner.run import RETRIES, Run
from skelray.training import Report

log = logging.getLogger("skelray")
MEMORY = ("low on memory", "NODE_OUT_OF_MEMORY", "OutOfMemory")  # how Ray says so
LOOK = 5.0  # seconds between two looks at the nodes


class Reporting(FIFOScheduler):
    """Tells the run and its listener what becomes of each job, and stops one where the run says so.

    A lost attempt is made again from the checkpoint: elsewhere where its node was unfit, alone on a node where memory was
    short. Attempts are given up where RETRIES + 1 of them were lost one after the other without an epoch of progress.
    """

    def __init__(self, run: Run, jobs: Jobs, listener: Listener, nodes: Nodes) -> None:
        super().__init__()
        self.run, self.jobs, self.listener, self.nodes = run, jobs, listener, nodes
        self.statuses: dict[int, str] = {}  # by identity: a job that was paused comes again under its number
        self.begun: set[str] = set()
        self.alone: set[str] = set()  # what was short of memory, by Tune's id
        self.errors: dict[int, str] = {}
        self._looked, self._slots, self._waiting = 0.0, 0, False
        self._ending = False
        jobs.lost, jobs.room = self.lost, self.room

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def over(self) -> bool:
        """Whether there was no further job and every one has ended."""
        return self.jobs.exhausted and all(id(job) in self.statuses for job in self.jobs.given.values())

    def room(self) -> bool:
        """Whether the nodes that are there now hold another trial. Where they hold none, it is said."""
        if time.monotonic() - self._looked > LOOK:
            self._looked, self._slots = time.monotonic(), self.nodes.slots()
            if not self._slots and not self._waiting:
                log.warning("no node of the cluster can hold a trial now: trials wait until one joins")
            if self._slots and self._waiting:
                log.warning("a node has joined: trials go on")
            self._waiting = not self._slots
        return len(self.jobs.given) - len(self.statuses) < self._slots

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        if ending.asked() and not self._ending:
            self._ending = True
            signal.raise_signal(signal.SIGUSR1)  # Tune ends its loop, and has the workers save what they have
        self.room()
        return super().choose_trial_to_run(tune_controller)

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        if trial.trial_id not in self.begun:  # Tune adds a trial again for each attempt
            self.begun.add(trial.trial_id)
            self.listener.started(self.jobs.given[trial.trial_id])
        if self.nodes.aside or trial.trial_id in self.alone:  # of an attempt that was lost, too
            trial.update_resources(self.nodes.request(alone=trial.trial_id in self.alone))

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        job = self.jobs.given[trial.trial_id]
        _log(result)
        report = Report(result["epoch"], _under("metrics", result), result["epoch_seconds"], replayed=result["replayed"])
        if not report.replayed:
            trial.run_metadata.num_failures = 0  # it makes progress between losses
        self.listener.report(job, report)
        source, status = _under("source", result), "stopped"
        try:
            if self.run.should_continue(job, report, source):
                return self.CONTINUE
        except UserError as error:  # of the study's own stopping rule
            self._keep(job, failure(error) | source)
            status = "failed"
        self.end(job, status)
        return self.STOP

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        job, failed = self.jobs.given[trial.trial_id], _under("failed", result)
        if id(job) in self.statuses:  # the run has stopped it
            return
        _log(result)
        if not failed and not self._is_there(job):
            node = str(result.get("node", ""))
            self.nodes.set_aside(
                node, f"it says that {job.name} is done, and {self.run.context.store.root} has nothing of it"
            )
            line = f"its worker said that it is done, and the store {self.run.context.store.root} has nothing of it"
            failed = {"cause": "store", "line": line, "transient": True} | _under("source", result)
        if failed:
            self._keep(job, failed)  # unless the worker has
        self.end(job, "failed" if failed else "done")

    def _is_there(self, job: Job) -> bool:
        """Whether the store that this process sees has all of a job; where it cannot be asked, the worker is believed."""
        try:
            return complete(job.trial, job.stored)
        except OSError:
            return True

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """An attempt was lost; Tune has counted it, and makes another where the count allows."""
        job = self.jobs.given[trial.trial_id]
        if trial.error_file is not None:  # where Tune keeps what every attempt ended in
            with contextlib.suppress(OSError):
                self.errors[job.number] = Path(trial.error_file).read_text()
        error = _cause(trial)
        if isinstance(error, Unfit):
            self.nodes.set_aside(error.node, str(error))
            if self.nodes.slots():
                trial.run_metadata.num_failures -= 1  # it costs the trial nothing
        elif _memory(error):
            self.alone.add(trial.trial_id)
            if trial.should_recover():
                log.warning("%s was ended for want of memory on its node; it is tried again alone there", job.name)

    def lost(self, job: Job) -> None:
        """Every attempt at a job has ended in a lost worker or a transient failure; the latter is in the store."""
        line, cause = f"its worker process was lost or did not start, {RETRIES + 1} times", "worker lost"
        traceback = self.errors.get(job.number, "")
        if _memory(traceback):
            cause = "out of memory"
            line = "its node ran out of memory, also with the trial alone on it: give it a smaller batch or a larger node"
        self._keep(job, {"cause": cause, "line": line, "traceback": traceback, "transient": True})
        self.end(job, "failed")

    def _keep(self, job: Job, failed: dict[str, Any]) -> None:
        """Puts a failure into the store where none is; one that cannot be written stops no other trial."""
        with self.run.context.going_on("the store"):
            if job.stored.failure(job.trial.epochs) is None:
                job.stored.save_failure(job.trial.epochs, failed)

    def end(self, job: Job, status: str) -> None:
        if id(job) not in self.statuses:
            self.statuses[id(job)] = status
            self.listener.ended(job, self.run.ended(job, status))


def _cause(trial: TuneTrial) -> BaseException | None:
    """What the last attempt ended in, as the worker raised it."""
    if trial.pickled_error_file is None:
        return None
    try:
        error: BaseException = ray.cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    except Exception:  # a file that Tune could not write, or what this process has no class for
        return None
    return error.cause if isinstance(error, ray.exceptions.RayTaskError) else error


def _memory(error: object) -> bool:
    """Whether Ray's memory monitor or the kernel ended a worker, from what Ray says of it."""
    return isinstance(error, ray.exceptions.OutOfMemoryError) or any(sign in str(error) for sign in MEMORY)


def _log(result: dict[str, Any]) -> None:
    """Says what a worker had to say, whose own words nobody reads."""
    for line in result.get("said", ()):
        log.warning("%s", line)


def _under(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """A nested part of a result, which Tune flattens with slashes before a scheduler sees it."""
    return {key.removeprefix(f"{name}/"): value for key, value in result.items() if key.startswith(f"{name}/")}
