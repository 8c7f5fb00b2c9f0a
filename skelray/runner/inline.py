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
from skelray.runner.fusing import fuse
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
        jobs = Jobs(run, device, listener or Listener())
        try:
            jobs.work()
        finally:
            jobs.close()


class Seat:
    """A job that was taken up, and how far it is. training: once it trains."""

    def __init__(self, job: Job, structure: str) -> None:
        self.job, self.structure, self.attempt, self.told = job, structure, 0, False
        self.turns: Generator[Report | None, None, None]  # of the attempt under way, which began then
        self.began = datetime.now(UTC)
        self.training: Pretraining | None = None


class Jobs:
    """The jobs of a run, as many under way at once as train together; all that are wait for the pack's next epoch."""

    def __init__(self, run: Run, device: torch.device, listener: Listener) -> None:
        self.run, self.device, self.listener = run, device, listener
        self._source = provenance(device)
        self.packing = Packing(device, run.settings.lanes, run.settings.results)
        self._jobs: Iterator[Job | None] | None = run.jobs()
        self._held: list[Seat] = []  # taken up and not begun, as no lane is free or they fit no pack with the others
        self._seats: list[Seat] = []  # under way

    def work(self) -> None:
        """Ends when all jobs have ended."""
        while True:
            self._fill()
            if not self._seats:
                return
            try:
                self.packing.train([seat.training for seat in self._seats if seat.training is not None])
            except Exception as error:
                self._break_up(error)
            for seat in list(self._seats):
                self._advance(seat)
            ending.raise_if_asked_to_end()

    def close(self) -> None:
        """Closes what is still under way, as where the run is cut: each keeps what it has."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.packing.close)
            for seat in self._seats:
                stack.callback(seat.turns.close)

    def _fill(self) -> None:
        """Begins jobs as long as there is room for them."""
        busy: list[Seat] = []  # with another process, so that the others need not wait for it
        while not self._seats or len(self._seats) < self.packing.lanes:
            if (seat := self._fitting()) is None:
                break
            self.packing.open(seat.structure)
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
        return self._held.pop(0) if self._held and not self._seats else None

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
        if job is None and not self._seats and not self._held:
            raise RuntimeError("no trial is under way, and none can start")
        return job

    def _begins(self, seat: Seat) -> bool:
        """Takes a job to its first epoch, or to its end; not where others are under way and another process has it."""
        if not seat.told:
            self.listener.started(seat.job)
        seat.began = datetime.now(UTC)
        seat.turns = self._turns(seat, alone=not self._seats)
        self._seats.append(seat)
        try:
            self._advance(seat)
        except InUse as error:
            self._seats.remove(seat)
            if not seat.told:
                log.warning("%s waits: %s", seat.job.name, error)
            return False
        finally:
            seat.told = True
        return True

    def _turns(self, seat: Seat, alone: bool) -> Generator[Report | None, None, None]:
        """Takes a job from one epoch to the next. alone: it may wait for another process."""
        job, context = seat.job, self.run.context
        if job.fused is not None:
            fuse(job.fused, context.store, context.data(job.trial), job.stored)
            return
        join = partial(self._join, seat)
        yield from in_turns(
            job.trial, context.splits(job.trial), job.stored, self.device, context.load_splits, join, wait=alone
        )

    def _join(self, seat: Seat, training: Pretraining) -> None:
        seat.training = training
        self.packing.join(training)

    def _advance(self, seat: Seat) -> None:
        """Takes a job to the next epoch that a pack is to train, or to its end."""
        while True:
            try:
                report = next(seat.turns)
            except StopIteration:
                self._end(seat, "done")
                return
            except InUse:
                raise
            except Exception as error:
                self._fail(seat, error)
                return
            if report is None:
                return
            self.listener.report(seat.job, report)
            if seat.training is None or seat.training.lane is None:
                ending.raise_if_asked_to_end()  # in a pack once each lane has taken what was trained of it
            if not self._goes_on(seat, report):
                return

    def _goes_on(self, seat: Seat, report: Report) -> bool:
        try:
            if self.run.should_continue(seat.job, report, self._source):
                return True
        except UserError as error:  # of the study's own stopping rule
            self._fail(seat, error)
            return False
        try:
            seat.turns.close()
        except Exception as error:  # what it has could not be stored
            self._fail(seat, error)
        else:
            self._end(seat, "stopped")
        return False

    def _fail(self, seat: Seat, error: Exception) -> None:
        """Keeps why an attempt failed; what may pass is tried again from the last checkpoint."""
        job, kept = seat.job, describe_failure(error, self.device, seat.began)
        with contextlib.suppress(Exception):
            seat.turns.close()
        with self.run.context.going_on("the store"):
            job.stored.save_failure(job.trial.epochs, kept)
        if kept["transient"] and seat.attempt < RETRIES:
            time.sleep(seat.attempt)
            seat.attempt += 1
            self._seats.remove(seat)
            self._held.insert(0, seat)
        else:
            self._end(seat, "failed")

    def _end(self, seat: Seat, status: str) -> None:
        self._seats.remove(seat)
        self.listener.ended(seat.job, self.run.ended(seat.job, status))

    def _break_up(self, error: Exception) -> None:
        """Has all that trained in the pack begin again from their last checkpoints; what was cut is in none."""
        for seat in self._seats:
            with contextlib.suppress(Exception):
                seat.turns.close()
        self._held[:0] = self._seats
        self._seats.clear()
        self.packing.break_up(error)
