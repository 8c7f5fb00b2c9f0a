"""Runs a study in this process: one trial after the other, or several as lanes of a pack where the device gains from it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from functools import partial

import torch

from skelray import machine
from skelray.checks import UserError
from skelray.machine import provenance
from skelray.runner import ending
from skelray.runner.execute import describe_failure, in_turns
from skelray.runner.fusing import evaluate_fused
from skelray.runner.job import Job, Listener
from skelray.runner.packing import Packing
from skelray.runner.run import RETRIES, Run
from skelray.store.files import InUse
from skelray.training import Pretraining, Report

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


class ActiveJob:
    """A job that was taken up, and how far it is. training: once it trains."""

    def __init__(self, job: Job, structure: str) -> None:
        self.job, self.structure, self.attempt, self.announced = job, structure, 0, False
        self.reports: Generator[Report | None, None, None]  # of the attempt under way, which began then
        self.began = datetime.now(UTC)
        self.training: Pretraining | None = None


class InlineJobs:
    """The jobs of a run, as many under way at once as train together; all that are wait for the pack's next epoch."""

    def __init__(self, run: Run, device: torch.device, listener: Listener) -> None:
        self.run, self.device, self.listener = run, device, listener
        self._source = provenance(device)
        self.packing = Packing(device, run.settings.lanes, run.settings.results)
        self._jobs: Iterator[Job | None] | None = run.jobs()
        self._waiting: list[ActiveJob] = []  # taken up and not begun, as no lane is free or they fit no pack with the others
        self._active: list[ActiveJob] = []  # under way

    def work(self) -> None:
        """Runs jobs until all have ended."""
        while True:
            self._fill()
            if not self._active:
                return
            try:
                self.packing.train([active.training for active in self._active if active.training is not None])
            except Exception as error:
                self._break_up(error)
            for active in list(self._active):
                self._advance(active)
            ending.raise_if_asked_to_end()

    def close(self) -> None:
        """Closes what is still under way, as where the run is cut: each keeps what it has."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.packing.close)
            for active in self._active:
                stack.callback(active.reports.close)

    def _fill(self) -> None:
        """Begins jobs as long as there is room for them."""
        busy: list[ActiveJob] = []  # with another process, so that the others need not wait for it
        while not self._active or len(self._active) < self.packing.lanes:
            if (active := self._fitting()) is None:
                break
            self.packing.open(active.structure)
            if not self._begins(active):
                busy.append(active)
        self._waiting += busy

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
        return self._waiting.pop(0) if self._waiting and not self._active else None

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
        if job is None and not self._active and not self._waiting:
            raise RuntimeError("no trial is under way, and none can start")
        return job

    def _begins(self, active: ActiveJob) -> bool:
        """Takes a job to its first epoch, or to its end; not where others are under way and another process has it."""
        if not active.announced:
            self.listener.started(active.job)
        active.began = datetime.now(UTC)
        active.reports = self._reports_of(active, alone=not self._active)
        self._active.append(active)
        try:
            self._advance(active)
        except InUse as error:
            self._active.remove(active)
            if not active.announced:
                log.warning("%s waits: %s", active.job.name, error)
            return False
        finally:
            active.announced = True
        return True

    def _reports_of(self, active: ActiveJob, alone: bool) -> Generator[Report | None, None, None]:
        """Yields a job's epochs. alone: it may wait for another process."""
        job, context = active.job, self.run.context
        if job.fused is not None:
            evaluate_fused(job.fused, context.store, context.fingerprint(job.trial), job.stored)
            return
        join = partial(self._join, active)
        yield from in_turns(
            job.trial, context.splits(job.trial), job.stored, self.device, context.load_splits, join, wait=alone
        )

    def _join(self, active: ActiveJob, training: Pretraining) -> None:
        active.training = training
        self.packing.join(training)

    def _advance(self, active: ActiveJob) -> None:
        """Takes a job to the next epoch that a pack is to train, or to its end."""
        while True:
            try:
                report = next(active.reports)
            except StopIteration:
                self._end(active, "done")
                return
            except InUse:
                raise
            except Exception as error:
                self._fail(active, error)
                return
            if report is None:
                return
            self.listener.reported(active.job, report)
            if active.training is None or active.training.lane is None:
                ending.raise_if_asked_to_end()  # in a pack once each lane has taken what was trained of it
            if not self._goes_on(active, report):
                return

    def _goes_on(self, active: ActiveJob, report: Report) -> bool:
        try:
            if self.run.should_continue(active.job, report, self._source):
                return True
        except UserError as error:  # of the study's own stopping rule
            self._fail(active, error)
            return False
        try:
            active.reports.close()
        except Exception as error:  # what it has could not be stored
            self._fail(active, error)
        else:
            self._end(active, "stopped")
        return False

    def _fail(self, active: ActiveJob, error: Exception) -> None:
        """Keeps why an attempt failed; what may pass is tried again from the last checkpoint."""
        job, kept = active.job, describe_failure(error, self.device, active.began)
        with contextlib.suppress(Exception):
            active.reports.close()
        with self.run.context.tolerating_write_errors("the store"):
            job.stored.save_failure(job.trial.epochs, kept)
        if kept["transient"] and active.attempt < RETRIES:
            time.sleep(active.attempt)
            active.attempt += 1
            self._active.remove(active)
            self._waiting.insert(0, active)
        else:
            self._end(active, "failed")

    def _end(self, active: ActiveJob, status: str) -> None:
        self._active.remove(active)
        self.listener.ended(active.job, self.run.ended(active.job, status))

    def _break_up(self, error: Exception) -> None:
        """Has all that trained in the pack begin again from their last checkpoints; what was cut is in none."""
        for active in self._active:
            with contextlib.suppress(Exception):
                active.reports.close()
        self._waiting[:0] = self._active
        self._active.clear()
        self.packing.break_up(error)
