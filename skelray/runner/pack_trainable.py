"""Ray's side of a pack: one worker that trains several trials of a study as lanes of one step."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Any

import ray
import torch

from skelray import machine
from skelray.evaluation import Load
from skelray.names import HELD_OUT
from skelray.runner.active_jobs import ActiveJob, ActiveJobs
from skelray.runner.context import open_splits
from skelray.runner.decisions import Decisions
from skelray.runner.execute import describe_failure
from skelray.runner.fit import check_fit
from skelray.runner.job import Job
from skelray.runner.packing import Packing
from skelray.runner.trainables import StudyTrainable
from skelray.store.files import InUse
from skelray.store.store import Store
from skelray.study.cell import Fused
from skelray.training import Report

log = logging.getLogger("skelray")
EVERY = 1.0  # seconds of training in a result, unless the driver has to decide before


class PackTrainable(StudyTrainable):
    """Trials of a study against the store, a second of training or a decision a step.

    config: that of the first trial, with its ``seat``, what it has in common with others of its ``structure``, the ``most``
    lanes, how many trials are ``alike`` for each of the cluster's slots, and the name of the ``run``. Others come, and
    trials are stopped, by ``hear``. Each lane's failure is told; what is lost with this process goes on elsewhere from
    each lane's own checkpoint.
    """

    _packing: Packing | None = None  # kept from one attempt to the next

    def begin(self, config: dict[str, Any]) -> None:
        machine.configure_process(self.settings.threads)
        machine.forget_peak()
        self.pulse.begin(config["attempt"])
        self.logged.begin(config["attempt"])
        self.device, self.config = torch.device("cpu"), config
        self._jobs: _LaneJobs | None = None
        self._stops: set[int] = set()
        self._new = [config]

    def hear(self, stops: Collection[int], new: Collection[dict[str, Any]]) -> None:
        """Takes the driver's word before the next step: seats to stop, and configs of further trials of the structure."""
        self._stops |= set(stops)
        self._new += new

    def step(self) -> dict[str, Any]:
        self.device = machine.choose_device(self.settings.device)
        if self._jobs is None:
            self._jobs = _LaneJobs(self.device, self._own_packing(), partial(open_splits, self.settings.data))
        jobs = self._jobs
        jobs.ended = []
        stops, new, self._stops, self._new = self._stops, self._new, set(), []
        for config in new:
            self._take(config, jobs)
        over = not (jobs.active or jobs.waiting or jobs.ended)
        if not over:
            jobs.work(stops)
        return {
            "done": over,
            "reports": jobs.reports,
            "ended": jobs.ended,
            "vacant": max(jobs.packing.lanes - len(jobs.active) - len(jobs.waiting), 0),
            "logged": self.logged.drain(),
            "peak": machine.peak_memory(),
            **self.source(),
        }

    def _own_packing(self) -> Packing:
        most = self.config["most"]
        if self._packing is not None and self._packing.most != most:
            self._packing.close()
            self._packing = None
        if self._packing is None:
            decisions = Decisions(Store(self.settings.store), self.config["run"], self.device)
            results = self.settings.results if self.settings.results.is_dir() else None
            self._packing = Packing(self.device, most, results, decisions, lambda _: self.config["alike"])
        return self._packing

    def _take(self, config: dict[str, Any], jobs: _LaneJobs) -> None:
        """Raises Unfit where the driver has to set this node aside."""
        stored = Store(self.settings.store).trial(config["id"])
        try:
            asked = pickle.loads(config["trial"])  # from our own driver
        except Exception as error:
            jobs.ended.append({"seat": config["seat"], "failed": describe_failure(error, self.device)})
            return
        fused = asked if isinstance(asked, Fused) else None
        trial = asked.trial if isinstance(asked, Fused) else asked
        if self.needs is not None:
            check_fit(self.settings, self.needs, trial, ray.get_runtime_context().get_node_id())
        jobs.waiting.append(ActiveJob(Job(config["seat"], "", trial, stored, fused=fused), self.config["structure"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._jobs is not None:
            self._jobs.drop()
        self.begin(new_config)
        return True

    def close(self) -> None:
        if self._jobs is not None:
            self._jobs.close()


class _LaneJobs(ActiveJobs):
    """The lanes of a worker; jobs are numbered by seat. What became of them since the last step waits for the driver.

    reports, ended: of this step. waiting: to begin when a lane is free. vacant lanes are the driver's to fill. None
    waits for another process: the driver has others to train meanwhile.
    """

    def __init__(self, device: torch.device, packing: Packing, load: Load) -> None:
        super().__init__(device, packing, load)
        self.waiting: list[ActiveJob] = []
        self.reports: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self._asked: list[ActiveJob] = []  # which go on once the driver has heard of their last report
        self._until = 0.0

    def work(self, stops: Collection[int]) -> None:
        """Stops these seats, and trains the others until the driver has to decide or hear something."""
        self.reports, self._until = [], time.monotonic() + EVERY
        asked, self._asked = self._asked, []
        for active in list(self.active):
            if active.job.number in stops:
                self._stop(active)
            elif active in asked:
                self.advance(active)
        first = not self.active
        self._fill()
        if first and self.active and len(self.active) < self.packing.lanes:
            return  # others may begin beside it
        while self.active and not (self._asked or self._any_over() or time.monotonic() >= self._until):
            self.train()
            self._fill()

    def _any_over(self) -> bool:
        """Returns whether any job is over; for one that is with another process the others do not wait."""
        return any("busy" not in one for one in self.ended)

    def drop(self) -> None:
        """Closes what is under way; each keeps what it has."""
        for active in self.active:
            active.reports.close()
        self.active.clear()

    def goes_on(self, active: ActiveJob, report: Report) -> bool:
        row = {"epoch": report.epoch, "metrics": report.metrics, "seconds": report.seconds, "replayed": report.replayed}
        self.reports.append({"seat": active.job.number, **row})
        alone = active.training is None or active.training.lane is None
        if HELD_OUT in report.metrics or report.epoch == active.job.trial.epochs or (alone and not report.replayed):
            self._asked.append(active)
            return False
        return True

    def fail(self, active: ActiveJob, error: Exception) -> None:
        """Keeps why it failed; where the store cannot be reached from here, the driver does."""
        job, failed = active.job, describe_failure(error, self.device, active.began)
        with suppress(Exception):
            active.reports.close()
        saved = False
        with suppress(OSError, ValueError):
            job.stored.save_failure(job.trial.epochs, failed)
            saved = True
        self.active.remove(active)
        self.ended.append({"seat": job.number, "failed": failed, "again": saved and failed["transient"]})

    def end(self, active: ActiveJob, status: str) -> None:
        self.active.remove(active)
        self.ended.append({"seat": active.job.number})

    def put_back(self, jobs: list[ActiveJob]) -> None:
        self._asked.clear()
        self.waiting[:0] = jobs

    def _fill(self) -> None:
        while self.waiting and (not self.active or len(self.active) < self.packing.lanes):
            active = self.waiting.pop(0)
            try:
                self.begin(active, wait=False)
            except InUse as error:
                self.ended.append({"seat": active.job.number, "busy": str(error)})

    def _stop(self, active: ActiveJob) -> None:
        """The driver has ended the job already."""
        self.active.remove(active)
        try:
            active.reports.close()
        except Exception as error:
            log.warning("what a trial that was stopped had could not be stored: %s", error)
