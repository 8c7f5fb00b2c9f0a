"""Trials under way in one process: those in a pack go from one of its epochs to the next together."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial

import torch

from skelray.evaluation import Load
from skelray.runner.execute import in_turns
from skelray.runner.fusing import evaluate_fused
from skelray.runner.job import Job
from skelray.runner.packing import Packing
from skelray.store.files import InUse
from skelray.training import Pretraining, Report


class ActiveJob:
    """A job that was taken up, and how far it is. training: once it trains."""

    def __init__(self, job: Job, structure: str) -> None:
        self.job, self.structure, self.attempt, self.announced = job, structure, 0, False
        self.reports: Generator[Report | None, None, None]  # of the attempt under way, which began then
        self.began = datetime.now(UTC)
        self.training: Pretraining | None = None


class ActiveJobs(ABC):
    """The jobs under way, as many at once as train together. load: reads a protocol's splits."""

    def __init__(self, device: torch.device, packing: Packing, load: Load) -> None:
        self.device, self.packing, self.load = device, packing, load
        self.active: list[ActiveJob] = []

    def train(self) -> None:
        """Takes every job a pack's epoch further, or to its end."""
        try:
            self.packing.train([active.training for active in self.active if active.training is not None])
        except Exception as error:
            self._break_up(error)
        for active in list(self.active):
            self.advance(active)

    def begin(self, active: ActiveJob, wait: bool) -> None:
        """Takes a job to its first epoch in a pack, or to its end.

        wait: until another process has let go of it. Raises InUse where it is not to wait.
        """
        self.packing.open(active.structure)
        active.began = datetime.now(UTC)
        active.reports = self._reports_of(active, wait)
        self.active.append(active)
        try:
            self.advance(active)
        except InUse:
            self.active.remove(active)
            raise

    def advance(self, active: ActiveJob) -> None:
        """Takes a job to the next epoch that a pack is to train, to where it does not go on by itself, or to its end."""
        while True:
            try:
                report = next(active.reports)
            except StopIteration:
                self.end(active, "done")
                return
            except InUse:
                raise
            except Exception as error:
                self.fail(active, error)
                return
            if report is None or not self.goes_on(active, report):
                return

    def close(self) -> None:
        """Closes what is still under way, as where the run is cut: each keeps what it has."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.packing.close)
            for active in self.active:
                stack.callback(active.reports.close)

    @abstractmethod
    def goes_on(self, active: ActiveJob, report: Report) -> bool:
        """Hears of an epoch; whether the job goes on at once."""

    @abstractmethod
    def fail(self, active: ActiveJob, error: Exception) -> None:
        """Hears that an attempt has failed, and takes it off those under way."""

    @abstractmethod
    def end(self, active: ActiveJob, status: str) -> None:
        """Hears that a job is over, and takes it off those under way."""

    @abstractmethod
    def put_back(self, jobs: list[ActiveJob]) -> None:
        """Keeps jobs that are to begin again from their last checkpoints."""

    def _reports_of(self, active: ActiveJob, wait: bool) -> Generator[Report | None, None, None]:
        """Takes a job from one epoch to the next."""
        job, trial = active.job, active.job.trial
        splits = self.load(trial.benchmark, trial.protocol)
        if job.fused is not None:
            evaluate_fused(job.fused, job.stored.store, splits.train.fingerprint, job.stored)
            return
        join = partial(self._join, active)
        yield from in_turns(trial, splits, job.stored, self.device, self.load, join, wait)

    def _join(self, active: ActiveJob, training: Pretraining) -> None:
        active.training = training
        self.packing.join(training)

    def _break_up(self, error: Exception) -> None:
        """Has all that trained in the pack begin again; what was cut is in no checkpoint."""
        for active in self.active:
            with contextlib.suppress(Exception):
                active.reports.close()
        put_back = list(self.active)
        self.active.clear()
        self.packing.break_up(error)
        self.put_back(put_back)
