"""Tells a run what becomes of each of its jobs on Ray, and Tune where lost ones go next."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterable
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from skelray.checks import UserError
from skelray.results.rows import complete
from skelray.runner import ending
from skelray.runner.asking import Asking
from skelray.runner.execute import describe_failure
from skelray.runner.hanging import Watch
from skelray.runner.job import Job, Listener
from skelray.runner.job_searcher import JobSearcher
from skelray.runner.losses import Losses
from skelray.runner.nodes import Nodes
from skelray.runner.run import Run
from skelray.runner.worker_log import read_unreported
from skelray.training import Report

log = logging.getLogger("skelray")
LOOK = 5.0  # seconds between two looks at the nodes


class ReportingScheduler(FIFOScheduler):
    """Tells the run and its listener what becomes of each job, and stops one where the run says so.

    A lost attempt is made again from the checkpoint: elsewhere where its node was unfit, alone on a node where memory was
    short. Attempts are given up where RETRIES + 1 of them were lost one after the other without an epoch of progress.
    """

    def __init__(self, run: Run, jobs: JobSearcher, listener: Listener, nodes: Nodes, asking: Asking | None = None) -> None:
        super().__init__()
        self.run, self.jobs, self.listener, self.nodes, self.asking = run, jobs, listener, nodes, asking
        self.losses, self.watch = Losses(nodes), Watch()
        self.statuses: dict[int, str] = {}  # by identity: a job that was paused comes again under its number
        self.begun: set[int] = set()
        self.places: dict[int, str] = {}  # the node of a job's last report
        # attempts that have not begun, with the one node that each waits for, or those that it avoids
        self._pending: dict[str, tuple[TuneTrial, str, set[str]]] = {}
        self._looked, self._slots, self._waiting = 0.0, 0, False
        self._renewed = 0.0  # the look after which waiting attempts were last gone through
        self._ending = False
        self._over: list[TuneTrial] = []  # attempts that have ended, and still have what Tune keeps of each
        jobs.on_lost, jobs.has_room = self.retry_or_give_up, self.has_room
        jobs.is_alone = lambda job: id(job) in self.losses.alone

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def has_room(self) -> bool:
        """Returns whether the nodes hold another attempt now, and warns if they hold none."""
        if time.monotonic() - self._looked > LOOK:
            self._look()
        jobs, losses, kept = self.jobs, self.losses, self.nodes.kept
        if jobs.again and id(jobs.again[0]) in losses.alone and kept:
            return True
        taking = jobs.occupied()
        if kept:  # what runs elsewhere
            taking = [one for one in taking if one not in losses.alone and self.places.get(one) != kept]
        return len(taking) < self._slots

    def _look(self) -> None:
        """Asks nodes that have joined, counts what all of them hold, and ends workers that hang."""
        self._looked = time.monotonic()
        self.watch.end_hanging_workers()
        if self.asking is not None:
            self.asking.ask_new_nodes()
        if self.losses.alone:
            self.nodes.keep_free()
        else:
            self.nodes.kept = ""
        self._slots = self.nodes.slots()
        holds = bool(self._slots or self.nodes.kept)
        if holds or not self.nodes.asked:  # what a node that is still asked can hold is not known
            self._tell_waiting(not holds)

    def _tell_waiting(self, waiting: bool) -> None:
        """Says it when trials begin to wait for a node, and when they go on."""
        if waiting and not self._waiting:
            log.warning("no node of the cluster can hold a trial now: trials wait until one joins")
        if self._waiting and not waiting:
            log.warning("a node has joined: trials go on")
        self._waiting = waiting

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        if ending.is_asked_to_end() and not self._ending:
            self._ending = True
            signal.raise_signal(signal.SIGUSR1)  # Tune ends its loop, and has the workers save what they have
        self._over = [trial for trial in self._over if not _release_if_ended(trial)]
        self.has_room()
        if self._renewed != self._looked:
            self._renewed = self._looked
            self._renew(tune_controller)
        return super().choose_trial_to_run(tune_controller)

    def _renew(self, tune_controller: Any) -> None:
        """Takes back what waits for none of the nodes that can hold it now, so that it is asked for anew."""
        there = self.nodes.fit()
        for trial, kept, avoided in list(self._pending.values()):
            if trial.status != TuneTrial.PENDING:
                del self._pending[trial.trial_id]
            elif there and not (there & {kept} if kept else there - avoided):
                del self._pending[trial.trial_id]
                self.jobs.take_back(trial.trial_id)  # first: Tune tells the searcher that what it stops is complete
                tune_controller.stop_trial(trial)
                self.watch.ended(trial.trial_id)

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        job = self.jobs.given[trial.trial_id]
        self.announce(job)
        self.watch.started(job, trial)
        alone = id(job) in self.losses.alone
        self._pending[trial.trial_id] = trial, self.nodes.kept if alone else "", self.nodes.avoided(alone)
        trial.update_resources(self.nodes.request(alone))

    def announce(self, job: Job) -> None:
        """Notes that an attempt at a job is made, and tells the listener of the first."""
        if id(job) not in self.begun:
            self.begun.add(id(job))
            self.listener.started(job)
        self.places.pop(id(job), None)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        job = self.jobs.given[trial.trial_id]
        log_from_worker(result.get("logged", ()))
        report = Report(result["epoch"], _under("metrics", result), result["epoch_seconds"], replayed=result["replayed"])
        self._tell_waiting(False)  # it may have begun on a node that is still asked
        self.watch.reported(trial.trial_id, report.epoch, report.metrics, report.replayed)
        if self.goes_on(job, report, result):
            return self.CONTINUE
        self._over.append(trial)
        return self.STOP

    def goes_on(self, job: Job, report: Report, result: dict[str, Any]) -> bool:
        """Returns whether a job goes on after a report; else it has ended. result: that brought the report."""
        self._heard_of(job, result)
        self.losses.note_progress(job, report.epoch)
        self.listener.reported(job, report)
        source, status = _under("source", result), "stopped"
        try:
            if self.run.should_continue(job, report, source):
                return True
        except UserError as error:  # of the study's own stopping rule
            self._keep(job, describe_failure(error) | source)
            status = "failed"
        self.end_job(job, status)
        return False

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        self._over.append(trial)
        self.watch.ended(trial.trial_id)
        job, failed = self.jobs.given[trial.trial_id], _under("failed", result)
        if id(job) not in self.statuses:  # else the run has stopped it
            log_from_worker(result.get("logged", ()))
            self.finish(job, failed, result)

    def finish(self, job: Job, failed: dict[str, Any], result: dict[str, Any]) -> None:
        """Ends a job whose worker says that it is over. failed: why, if it is for that."""
        if not failed and not self._is_there(job):
            node = str(result.get("node", ""))
            self.nodes.exclude(node, f"it says that {job.name} is done, and {self.run.context.store.root} has nothing of it")
            line = f"its worker said that it is done, and the store {self.run.context.store.root} has nothing of it"
            failed = {"cause": "store", "line": line, "transient": True} | _under("source", result)
        if failed:
            self._keep(job, failed)  # unless the worker has
        self.end_job(job, "failed" if failed else "done")

    def _is_there(self, job: Job) -> bool:
        """Returns whether the store, seen from here, has all of a job; if it does not answer, the worker is believed."""
        try:
            return complete(job.trial, job.stored)
        except OSError:
            return True

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Notes that an attempt was lost."""
        self._over.append(trial)
        self.watch.ended(trial.trial_id)
        log_from_worker(read_unreported(trial.trial_id))
        self.losses.note_error(self.jobs.given[trial.trial_id], trial)

    def retry_or_give_up(self, job: Job) -> None:
        """Has a job whose attempt was lost tried again, or gives it up; a transient failure is in the store."""
        if id(job) in self.statuses:
            return
        if self.losses.count_loss(job):
            self.jobs.again.insert(0, job)
            self._looked = 0.0  # whatever has become of its node is known at once
            return
        self._keep(job, self.losses.failure(job))
        self.end_job(job, "failed")

    def _heard_of(self, job: Job, result: dict[str, Any]) -> None:
        """Notes where a job runs, and what memory it has taken."""
        self.places[id(job)] = str(result.get("node", ""))
        self.losses.note_memory(job, result.get("peak", 0.0))
        if id(job) in self.losses.alone and self.nodes.kept:
            self.nodes.kept = self.places[id(job)]

    def _keep(self, job: Job, failed: dict[str, Any]) -> None:
        """Puts a failure into the store where none is; one that cannot be written stops no other trial."""
        with self.run.context.tolerating_write_errors("the store"):
            if job.stored.failure(job.trial.epochs) is None:
                job.stored.save_failure(job.trial.epochs, failed)

    def end_job(self, job: Job, status: str) -> None:
        if id(job) not in self.statuses:
            self.statuses[id(job)] = status
            self.jobs.under_way.pop(id(job), None)
            self.losses.alone.discard(id(job))
            self.listener.ended(job, self.run.ended(job, status))


def _release_if_ended(trial: TuneTrial) -> bool:
    """Takes from an attempt that has ended what Tune keeps of each to the end: statistics of every number that was reported,
    and copies of the trial. Returns whether it has ended.
    """
    if not trial.is_finished():
        return False
    trial.run_metadata.last_result = {}
    for kept in (trial.metric_analysis, trial.metric_n_steps, trial.config, trial.evaluated_params):
        kept.clear()
    return True


def log_from_worker(logged: Iterable[str]) -> None:
    """Says what a worker had to say, whose own words nobody reads."""
    for line in logged:
        log.warning("%s", line)


def _under(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Returns a nested part of a result, which Tune flattens with slashes before a scheduler sees it."""
    return {key.removeprefix(f"{name}/"): value for key, value in result.items() if key.startswith(f"{name}/")}
