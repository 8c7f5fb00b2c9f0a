"""Tells a run what becomes of each lane of its packs on Ray, and the packs' workers what the run decides."""

from __future__ import annotations

import logging
from typing import Any

from ray.tune.experiment import Trial as TuneTrial

from skelray.runner.job import Job
from skelray.runner.losses import is_short_of_memory
from skelray.runner.pack_searcher import PackSearcher
from skelray.runner.reporting import ReportingScheduler, log_from_worker
from skelray.runner.worker_log import read_unreported
from skelray.training import Report

log = logging.getLogger("skelray")


class PackScheduler(ReportingScheduler):
    """A verdict for each lane, and another job for each that is free.

    A lost worker counts against a job that had it to itself. Which of several it was does not show: each trains an epoch in
    a worker of its own before they share one again, so that the one that kills its worker is given up alone.
    Of a worker that hangs it is the process alone that tells: a lane's evaluations may take however long.
    """

    jobs: PackSearcher

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        log_from_worker(result.get("logged", ()))
        self._tell_waiting(False)
        jobs, stops = self.jobs.seats[trial.trial_id], list[int]()
        if self.jobs.is_shared(trial.trial_id):
            result = result | {"peak": 0.0}  # what one of them takes is not known
        for row in result["reports"]:
            if (job := jobs.get(row["seat"])) is not None:
                report = Report(row["epoch"], row["metrics"], row["seconds"], replayed=row["replayed"])
                further = not report.replayed and self.losses.is_further(job, report.epoch)
                if not self.goes_on(job, report, result):
                    stops.append(row["seat"])
                    del jobs[row["seat"]]
                elif further and self.jobs.let_share_again(job) and report.epoch < job.trial.epochs:
                    stops.append(row["seat"])  # it stays in its seat until its worker has let go of it
        for one in result["ended"]:
            if (job := jobs.pop(one["seat"], None)) is not None:
                self._lane_ended(job, one, result)
        more, configs = self.jobs.fill(trial.trial_id, result["vacant"] + len(stops))
        for job in more:
            self.announce(job)
        actor: Any = trial.temporary_state.ray_actor
        if stops or configs:
            actor.hear.remote(stops, configs)  # before its next step, which Tune asks for later
        return self.CONTINUE

    def _lane_ended(self, job: Job, ended: dict[str, Any], result: dict[str, Any]) -> None:
        if "busy" in ended:
            self.jobs.wait(job)
        elif ended.get("again"):
            self.retry_or_give_up(job)
        else:
            self.finish(job, ended.get("failed", {}), result)

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        self._over.append(trial)
        self.watch.ended(trial.trial_id)
        log_from_worker(result.get("logged", ()))

    def _lost_together(self, trial: TuneTrial) -> None:
        """Says what becomes of the jobs of a worker that is lost; where memory was short, they share none again."""
        lost = self.jobs.seats.get(trial.trial_id, {}).values()
        if is_short_of_memory(trial):
            self.jobs.large |= {id(job) for job in lost}
            log.warning("a worker of %d trials was ended for want of memory: each goes on in one of its own", len(lost))
        else:
            told = "a worker of %d trials was lost: each trains an epoch in one of its own before they share one"
            log.warning(told, len(lost))

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        self._over.append(trial)
        self.watch.ended(trial.trial_id)
        log_from_worker(read_unreported(trial.trial_id))
        if self.jobs.is_shared(trial.trial_id):
            self._looked = 0.0  # whatever has become of its node is known at once
            self._lost_together(trial)
            return
        for job in self.jobs.seats.get(trial.trial_id, {}).values():
            self.losses.note_error(job, trial)
