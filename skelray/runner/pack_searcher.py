"""Hands a run's jobs to Tune in packs: a first one begins an attempt, and those that are alike are seated beside it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from itertools import count
from typing import Any

from skelray.runner.job import Job
from skelray.runner.job_searcher import JobSearcher
from skelray.runner.packing import ALONE, structure_of
from skelray.runner.run import Run

BUSY = 30.0  # seconds until a trial that another process works on is offered again


class PackSearcher(JobSearcher):
    """An attempt is at a pack: the jobs that are seated in it now, none of which has ended there.

    lanes: the most of a pack, spread over the slots of the cluster's nodes where fewer trials are alike.
    """

    def __init__(self, run: Run, lanes: int, slots: int) -> None:
        super().__init__(run.jobs())
        self.run, self.lanes, self.slots = run, lanes, slots
        self.seats: dict[str, dict[int, Job]] = {}  # by Tune's id of the attempt
        self.apart: set[int] = set()  # by identity: lost a worker together, and did not get further alone yet
        self.large: set[int] = set()  # likewise, for want of memory: they share none again
        self._seated_in: Counter[str] = Counter()  # jobs that an attempt had so far
        self._open: dict[str, str] = {}  # attempts that others may join, and the structure that they must have
        self._structures: dict[int, str] = {}  # of jobs, by identity
        self._drawn: defaultdict[str, deque[Job]] = defaultdict(deque)  # not taken up, as they fitted no pack yet
        self._busy: list[tuple[float, Job]] = []  # with another process: when each may be offered again, and what
        self._numbers = count()

    def is_over(self) -> bool:
        return super().is_over() and not self._waiting()

    def config_of(self, trial_id: str, job: Job) -> dict[str, Any]:
        structure = self._structure_of(job)
        self.seats[trial_id] = {}
        if not (alone := job.fused is not None or not self._shares(job)):
            self._open[trial_id] = structure
        alike = 1 if alone else -(-self.run.alike(structure) // max(self.slots, 1))
        about = {"structure": structure, "most": 1 if alone else self.lanes, "alike": max(alike, 1), "run": self.run.name}
        return {**self._seated(trial_id, job), **about}

    def fill(self, trial_id: str, vacant: int) -> tuple[list[Job], list[dict[str, Any]]]:
        """Seats as many more jobs as there are and fit; returns them, and their configs. None joins one that is apart."""
        jobs: list[Job] = []
        configs: list[dict[str, Any]] = []
        if (structure := self._open.get(trial_id)) is None:
            return jobs, configs
        try:
            while len(jobs) < vacant and (job := self._alike(structure)) is not None:
                configs.append(self._seated(trial_id, job))
                jobs.append(job)
        except Exception as error:
            self.error = error
        return jobs, configs

    def occupied(self) -> list[int]:
        """Returns the packs that take room on a node or wait for it, each by the identity of its first job."""
        return [id(next(iter(jobs.values()))) for jobs in self.seats.values() if jobs]

    def take_back(self, trial_id: str) -> None:
        self.again[:0] = self.seats.pop(trial_id, {}).values()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        jobs, shared = list(self.seats.pop(trial_id, {}).values()), self.is_shared(trial_id)
        self._open.pop(trial_id, None)
        self._seated_in.pop(trial_id, None)
        if not error:
            self.again += jobs
        elif shared:
            self.apart |= {id(job) for job in jobs}
            self.again[:0] = jobs
        else:
            for job in jobs:
                self.on_lost(job)

    def is_shared(self, trial_id: str) -> bool:
        """Returns whether an attempt has had several jobs so far."""
        return self._seated_in[trial_id] > 1

    def let_share_again(self, job: Job) -> bool:
        """Lets a job that was apart share packs, as it has got further by itself. Returns whether it was, and now may."""
        apart = id(job) in self.apart
        self.apart.discard(id(job))
        return apart and self._shares(job)

    def _shares(self, job: Job) -> bool:
        return not (self.is_alone(job) or id(job) in self.apart or id(job) in self.large)

    def wait(self, job: Job) -> None:
        """Keeps a job that another process works on, for which nobody here waits, until it may be offered again."""
        self._busy.append((time.monotonic() + BUSY, job))

    def _let_go(self, structure: str | None = None) -> Job | None:
        """Returns a job that may be offered again, now that no other is left. structure: of the pack that it is to share."""
        for one in self._busy:
            due, job = one
            fits = structure is None or (self._shares(job) and self._structure_of(job) == structure)
            if due <= time.monotonic() and fits:
                self._busy.remove(one)
                return job
        return None

    def _seated(self, trial_id: str, job: Job) -> dict[str, Any]:
        seat = next(self._numbers)
        config = {**super().config_of(trial_id, job), "seat": seat}
        self.seats[trial_id][seat] = job
        self._seated_in[trial_id] += 1
        return config

    def _alike(self, structure: str) -> Job | None:
        """Returns the next job of a structure that may share a pack."""
        for job in self.again:
            if self._shares(job) and self._structure_of(job) == structure:
                self.again.remove(job)
                return job
        if self._drawn[structure]:
            return self._taken_up(self._drawn[structure].popleft())
        while self._waiting() < self.run.work.most_waiting and (drawn := self._draw()) is not None:
            if (found := self._structure_of(drawn)) == structure:
                return self._taken_up(drawn)
            self._drawn[found].append(drawn)
        return self._let_go(structure)

    def _waiting(self) -> int:
        return sum(map(len, self._drawn.values()))

    def _next(self) -> Job | None:
        """Returns one of the structure that was met first."""
        drawn = next(filter(None, self._drawn.values()), None)
        job = self._taken_up(drawn.popleft()) if drawn else super()._next()
        return self._let_go() if job is None else job

    def _structure_of(self, job: Job) -> str:
        """Returns what jobs must have in common to share a pack, found out once for each: those that were drawn are kept."""
        if id(job) not in self._structures:
            data = self.run.context.fingerprint(job.trial)
            self._structures[id(job)] = job.stored.id if job.fused else structure_of(job.trial, data)
        return self._structures[id(job)]


def all_fit_packs(run: Run) -> bool:
    """Returns whether every trial of a run may share a pack with others of its structure."""
    return not any(structure_of(one.trial, "").startswith(ALONE) for one in run.work.planned())
