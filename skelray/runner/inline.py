"""Runs a study in this process, one trial after the other: for a debugger, for tests, for teaching."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime

import torch

from skelray import machine
from skelray.checks import UserError
from skelray.machine import provenance
from skelray.runner import ending
from skelray.runner.execute import execute, failure
from skelray.runner.fusing import fuse
from skelray.runner.job import Job, Listener
from skelray.runner.run import RETRIES, Run
from skelray.training import Report


def run_inline(run: Run, listener: Listener | None = None) -> None:
    """Runs what is missing and brings the tables up to date."""
    listener = listener or Listener()
    device = machine.choose_device(run.settings.device)
    machine.configure_process(run.settings.threads)
    with run.session():
        for job in run.jobs():
            if job is None:
                raise RuntimeError("no trial is under way, and none can start")
            listener.started(job)
            status = _attempts(run, job, device, listener)
            listener.ended(job, run.ended(job, status))


def _attempts(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    for attempt in range(RETRIES + 1):
        started = datetime.now(UTC)
        try:
            return _attempt(run, job, device, listener)
        except _Failed as failed:
            kept = failure(failed.error, device, started)
            with run.context.going_on("the store"):
                job.stored.save_failure(job.trial.epochs, kept)
            if not kept["transient"] or attempt == RETRIES:
                break
            time.sleep(attempt)
    return "failed"


class _Failed(Exception):
    """The trial has failed, and not what listens to it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _attempt(run: Run, job: Job, device: torch.device, listener: Listener) -> str:
    source = provenance(device)
    with closing(_reports(run, job, device)) as reports:
        for report in reports:
            listener.report(job, report)
            ending.check()
            try:
                if not run.should_continue(job, report, source):
                    return "stopped"
            except UserError as error:  # of the study's own stopping rule
                raise _Failed(error) from error
    return "done"


def _reports(run: Run, job: Job, device: torch.device) -> Generator[Report, None, None]:
    """What ``execute`` reports. Raises _Failed for every error of it."""
    try:
        if job.fused is not None:
            fuse(job.fused, run.context.store, run.context.data(job.trial), job.stored)
        else:
            yield from execute(job.trial, run.context.splits(job.trial), job.stored, device, run.context.load)
    except Exception as error:
        raise _Failed(error) from error
