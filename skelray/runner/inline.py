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
from skelray.runner.decisions import Decisions
from skelray.runner.execute import describe_failure
from skelray.runner.job import Job, Listener
from skelray.runner.packing import Packing
from skelray.runner.run import RETRIES, Run
from skelray.runner.seats import Seat, Seats
from skelray.store.files import InUse
from skelray.training import Report

log = logging.getLogger("skelray")


def run_inline(run: Run, listener: Listener | None = None) -> None:
    """Runs what is missing and brings the tables up to date."""
    device = machine.choose_device(run.settings.device)
    machine.configure_process(run.settings.threads)
    with run.session():
        jobs = Jobs(run, device, listener or Listener())
        try:
            jobs.work()
        finally:
            jobs.close()


class Jobs(Seats):
    """The jobs of a run, as many under way at once as train together; all that are wait for the pack's next epoch."""

    def __init__(self, run: Run, device: torch.device, listener: Listener) -> None:
        lanes, results = run.settings.lanes, run.settings.results
        decisions = Decisions(run.context.store, run.name, device)
        super().__init__(device, Packing(device, lanes, results, decisions, run.alike), run.context.load_splits)
        self.run, self.listener, self._source = run, listener, provenance(device)
        self._jobs: Iterator[Job | None] | None = run.jobs()
        self._held: list[Seat] = []  # taken up and not begun, as no lane is free or they fit no pack with the others

    def work(self) -> None:
        """Ends when all jobs have ended."""
        while True:
            self._fill()
            if not self.taken:
                self.packing.decisions.forget()
                return
            self.train()
            ending.raise_if_asked_to_end()

    def _fill(self) -> None:
        """Begins jobs as long as there is room for them."""
        busy: list[Seat] = []  # with another process, so that the others need not wait for it
        while not self.taken or len(self.taken) < self.packing.lanes:
            if (seat := self._fitting()) is None:
                break
            if not self._begins(seat):
                busy.append(seat)
        self._held += busy

    def _fitting(self) -> Seat | None:
        """The next job that may train beside those that are under way; None where there is none now."""
        for seat in self._held:
            if seat.structure == self.packing.structure:
                self._held.remove(seat)
                return seat
        ahead = self.run.work.most_waiting if self.packing.pack is not None else 1
        while len(self._held) < ahead and (job := self._next_job()):
            seat = Seat(job, self._structure_of(job))
            if seat.structure == self.packing.structure:
                return seat
            self._held.append(seat)
        return self._held.pop(0) if self._held and not self.taken else None

    def _structure_of(self, job: Job) -> str:
        """What it shares with jobs that may train beside it; nothing where streams are put side by side."""
        return job.stored.id if job.fused else self.packing.structure_of(job.trial, self.run.context.data(job.trial))

    def _next_job(self) -> Job | None:
        if self._jobs is None:
            return None
        try:
            job = next(self._jobs)
        except StopIteration:
            self._jobs = None
            return None
        if job is None and not self.taken and not self._held:
            raise RuntimeError("no trial is under way, and none can start")
        return job

    def _begins(self, seat: Seat) -> bool:
        """Takes a job to its first epoch, or to its end; not where others are under way and another process has it."""
        if not seat.told:
            self.listener.started(seat.job)
        try:
            self.sit(seat)
        except InUse as error:
            if not seat.told:
                log.warning("%s waits: %s", seat.job.name, error)
            return False
        finally:
            seat.told = True
        return True

    def goes_on(self, seat: Seat, report: Report) -> bool:
        self.listener.report(seat.job, report)
        if seat.training is None or seat.training.lane is None:
            ending.raise_if_asked_to_end()  # in a pack once each lane has taken what was trained of it
        try:
            if self.run.should_continue(seat.job, report, self._source):
                return True
        except UserError as error:  # of the study's own stopping rule
            self.fail(seat, error)
            return False
        try:
            seat.turns.close()
        except Exception as error:  # what it has could not be stored
            self.fail(seat, error)
        else:
            self.end(seat, "stopped")
        return False

    def fail(self, seat: Seat, error: Exception) -> None:
        """Keeps why an attempt failed; what may pass is tried again from the last checkpoint."""
        job, kept = seat.job, describe_failure(error, self.device, seat.began)
        with contextlib.suppress(Exception):
            seat.turns.close()
        with self.run.context.going_on("the store"):
            job.stored.save_failure(job.trial.epochs, kept)
        if kept["transient"] and seat.attempt < RETRIES:
            time.sleep(seat.attempt)
            seat.attempt += 1
            self.taken.remove(seat)
            self._held.insert(0, seat)
        else:
            self.end(seat, "failed")

    def end(self, seat: Seat, status: str) -> None:
        self.taken.remove(seat)
        self.listener.ended(seat.job, self.run.ended(seat.job, status))

    def put_back(self, seats: list[Seat]) -> None:
        self._held[:0] = seats
