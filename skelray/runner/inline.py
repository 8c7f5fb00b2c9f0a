"""Runs a study in this process: one trial after the other, or several as lanes of a pack where the device gains from it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

import torch

from skelray import machine
from skelray.checks import UserError
from skelray.machine import provenance
from skelray.runner import ending
from skelray.runner.active_jobs import ActiveJob, ActiveJobs
from skelray.runner.decisions import Decisions
from skelray.runner.execute import describe_failure
from skelray.runner.job import Job, Listener
from skelray.runner.packing import Packing
from skelray.runner.run import RETRIES, Run
from skelray.store.files import InUse
from skelray.training import Report

log = logging.getLogger("skelray")


def run_inline(run: Run, listener: Listener | None = None) -> None:
    """Runs what is missing and brings the tables up to date."""
    device = machine.choose_device(run.settings.device)
    machine.configure_process(run.settings.threads)
    with run.session():
        jobs = InlineJobs(run, device, listener or Listener())
        try:
            jobs.work()
        finally:
            jobs.close()


class InlineJobs(ActiveJobs):
    """The jobs of a run, as many under way at once as train together; all that are wait for the pack's next epoch."""

    def __init__(self, run: Run, device: torch.device, listener: Listener) -> None:
        lanes, results = run.settings.lanes, run.settings.results
        decisions = Decisions(run.context.store, run.name, device)
        super().__init__(device, Packing(device, lanes, results, decisions, run.alike), run.context.load_splits)
        self.run, self.listener, self._source = run, listener, provenance(device)
        self._jobs: Iterator[Job | None] | None = run.jobs()
        self._waiting: list[ActiveJob] = []  # taken up and not begun, as no lane is free or they fit no pack with the others
        self._busy: list[ActiveJob] = []  # with another process, so that the others need not wait for it

    def work(self) -> None:
        """Runs jobs until all have ended."""
        while True:
            self._fill()
            if not self.active:
                if not self.packing.plain:
                    self.packing.decisions.forget()
                return
            self.train()
            ending.raise_if_asked_to_end()

    def _fill(self) -> None:
        """Begins jobs as long as there is room for them; where all that are left are with other processes, waits for one."""
        self._begin_free()
        while self._busy and not self.active:
            self._begins(self._busy.pop(0), wait=True)
            self._begin_free()

    def _begin_free(self) -> None:
        """Begins jobs that no other process has, as long as there is room for them."""
        self._waiting += self._busy
        self._busy = []
        while not self.active or len(self.active) < self.packing.lanes:
            if (active := self._fitting()) is None:
                break
            if not self._begins(active, wait=False):
                self._busy.append(active)
            if not self.active and len(self._busy) >= self.run.work.most_waiting:
                break

    def _fitting(self) -> ActiveJob | None:
        """Returns the next job that may train beside those under way; None if there is none now."""
        for active in self._waiting:
            if active.structure == self.packing.structure:
                self._waiting.remove(active)
                return active
        ahead = self.run.work.most_waiting if self.packing.pack is not None else 1
        while len(self._waiting) < ahead and (job := self._next_job()):
            active = ActiveJob(job, self._structure_of(job))
            if active.structure == self.packing.structure:
                return active
            self._waiting.append(active)
        return self._waiting.pop(0) if self._waiting and not self.active else None

    def _structure_of(self, job: Job) -> str:
        """Returns the structure that trials of one pack share; of a job that trains nothing, its own id."""
        return job.stored.id if job.fused else self.packing.structure_of(job.trial, self.run.context.fingerprint(job.trial))

    def _next_job(self) -> Job | None:
        if self._jobs is None:
            return None
        try:
            job = next(self._jobs)
        except StopIteration:
            self._jobs = None
            return None
        if job is None and not (self.active or self._waiting or self._busy):
            raise RuntimeError("no trial is under way, and none can start")
        return job

    def _begins(self, active: ActiveJob, wait: bool) -> bool:
        """Takes a job to its first epoch, or to its end; not where another process has it, and it is not to wait."""
        if not active.announced:
            self.listener.started(active.job)
        try:
            self.begin(active, wait)
        except InUse:
            if not active.announced:
                holder = active.job.stored.holder(active.job.trial.epochs) or "another process"
                log.warning("%s comes later: it waits for %s", active.job.name, holder)
            return False
        finally:
            active.announced = True
        return True

    def goes_on(self, active: ActiveJob, report: Report) -> bool:
        self.listener.reported(active.job, report)
        if active.training is None or active.training.lane is None:
            ending.raise_if_asked_to_end()  # in a pack once each lane has taken what was trained of it
        try:
            if self.run.should_continue(active.job, report, self._source):
                return True
        except UserError as error:  # of the study's own stopping rule
            self.fail(active, error)
            return False
        try:
            active.reports.close()
        except Exception as error:  # what it has could not be stored
            self.fail(active, error)
        else:
            self.end(active, "stopped")
        return False

    def fail(self, active: ActiveJob, error: Exception) -> None:
        """Keeps why an attempt failed; what may pass is tried again from the last checkpoint."""
        job, kept = active.job, describe_failure(error, self.device, active.began)
        with contextlib.suppress(Exception):
            active.reports.close()
        with self.run.context.tolerating_write_errors("the store"):
            job.stored.save_failure(job.trial.epochs, kept)
        if kept["transient"] and active.attempt < RETRIES:
            time.sleep(active.attempt)
            active.attempt += 1
            self.active.remove(active)
            self._waiting.insert(0, active)
        else:
            self.end(active, "failed")

    def end(self, active: ActiveJob, status: str) -> None:
        self.active.remove(active)
        self.listener.ended(active.job, self.run.ended(active.job, status))

    def put_back(self, jobs: list[ActiveJob]) -> None:
        self._waiting[:0] = jobs
