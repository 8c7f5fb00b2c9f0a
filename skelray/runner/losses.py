"""What becomes of jobs whose attempts are lost: they are made again, alone on a node where memory was short, or given up."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from typing import Any

import ray
from ray.tune.experiment import Trial as TuneTrial

from skelray.runner.fit import Unfit
from skelray.runner.job import Job
from skelray.runner.nodes import Nodes
from skelray.runner.run import RETRIES

log = logging.getLogger("skelray")
MEMORY = ("low on memory", "NODE_OUT_OF_MEMORY")  # how Ray says so; a GPU that is full is the trial's own failure
TAKEN = re.compile(r"memory used=([\d.]+)GB")  # of the worker that Ray has ended


class Losses:
    """Attempts of each job that were lost one after the other without an epoch of progress. Jobs are told by identity."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.alone: set[int] = set()  # what was short of memory
        self._counts: dict[int, int] = {}
        self._furthest: dict[int, int] = {}  # epochs
        self._errors: dict[int, str] = {}
        self._peaks: dict[int, float] = {}  # bytes, of the largest that is known

    def note_progress(self, job: Job, epoch: int) -> None:
        """Notes an epoch: a job that gets further than before between losses is never given up."""
        if self.is_further(job, epoch):
            self._furthest[id(job)] = epoch
            self._counts.pop(id(job), None)

    def is_further(self, job: Job, epoch: int) -> bool:
        """Returns whether a job has not come as far before."""
        return epoch > self._furthest.get(id(job), -1)

    def note_memory(self, job: Job, peak: float) -> None:
        """Notes the bytes of memory that a job's worker has taken at most so far."""
        self._peaks[id(job)] = max(peak, self._peaks.get(id(job), 0.0))

    def note_error(self, job: Job, trial: TuneTrial) -> None:
        """Notes what an attempt has ended in. If its node was unfit, it costs the job nothing."""
        if trial.error_file is not None:
            with contextlib.suppress(OSError):
                self._errors[id(job)] = Path(trial.error_file).read_text()
        error = _cause(trial)
        if isinstance(error, Unfit):
            self.nodes.exclude(error.node, str(error))
            if self.nodes.slots():
                self._counts[id(job)] = self._counts.get(id(job), 0) - 1
        elif _is_out_of_memory(error) or _is_out_of_memory(self._errors.get(id(job), "")):
            self.alone.add(id(job))
            for taken in TAKEN.findall(self._errors.get(id(job), "")):
                self.note_memory(job, float(taken) * 2**30)

    def count_loss(self, job: Job) -> bool:
        """Counts a lost attempt. Returns whether another is to be made."""
        lost = self._counts[id(job)] = self._counts.get(id(job), 0) + 1
        if lost > RETRIES:
            return False
        if id(job) in self.alone:
            log.warning("%s was ended for want of memory on its node; it is tried again alone on one", job.name)
        return True

    def failure(self, job: Job) -> dict[str, Any]:
        """Returns why a job is given up, as the store keeps it."""
        line, cause = f"its worker process was lost or did not start, {RETRIES + 1} times", "worker lost"
        traceback = self._errors.get(id(job), "")
        if id(job) in self.alone:
            peak, cause = self._peaks.get(id(job), 0.0), "out of memory"
            took = f" ({peak / 2**30:.2f} GiB)" if peak else ""
            line = (
                f"its node ran out of memory, also with the trial alone on it{took}: give it a smaller batch or larger nodes"
            )
        return {"cause": cause, "line": line, "traceback": traceback, "transient": True}


def is_short_of_memory(trial: TuneTrial) -> bool:
    """Returns whether an attempt was ended for want of memory on its node."""
    told = ""
    if trial.error_file is not None:
        with contextlib.suppress(OSError):
            told = Path(trial.error_file).read_text()
    return _is_out_of_memory(_cause(trial)) or _is_out_of_memory(told)


def _cause(trial: TuneTrial) -> BaseException | None:
    """Returns the error in which the last attempt ended, as the worker raised it."""
    if trial.pickled_error_file is None:
        return None
    try:
        error: BaseException = ray.cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    except Exception:  # a file that Tune could not write, or what this process has no class for
        return None
    return error.cause if isinstance(error, ray.exceptions.RayTaskError) else error


def _is_out_of_memory(error: object) -> bool:
    """Returns whether Ray's memory monitor or the kernel ended a worker, from what Ray says of it."""
    return isinstance(error, ray.exceptions.OutOfMemoryError) or any(sign in str(error) for sign in MEMORY)
