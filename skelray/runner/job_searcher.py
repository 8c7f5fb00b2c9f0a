"""Hands a run's jobs to Tune one by one, as many at once as the cluster's nodes hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.tune.search import Searcher

from skelray.runner.job import Job

log = logging.getLogger("skelray")


class JobSearcher(Searcher):
    """Gives Tune its next trial, which is one attempt at a job; lost attempts come first.

    Tune makes no attempt again by itself: it gives a trial up whose idle worker is lost with its node.
    """

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        super().__init__()
        self._jobs = jobs
        self.given: dict[str, Job] = {}  # by Tune's id of the attempt
        self.under_way: dict[int, Job] = {}  # taken up and not ended, by identity: a paused job comes again by its number
        self._kept: list[Job] = []  # that were ever taken up: each is known by its identity, which no other may get
        self.again: list[Job] = []  # whose last attempt was lost
        self.exhausted = False
        self.error: Exception | None = None  # of the study's own code, or of the store: Tune would end in one of its own
        self.on_lost: Callable[[Job], None] = lambda job: None
        self.has_room: Callable[[], bool] = lambda: True
        self.is_alone: Callable[[Job], bool] = lambda job: False  # whether it is to have a node to itself

    def is_over(self) -> bool:
        """Returns whether there is no further job and every one has ended."""
        return self.exhausted and not self.under_way

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Returns the config of an attempt; None if there is no room, or nothing can start before something has ended."""
        if self.is_over() or self.error is not None:
            return Searcher.FINISHED  # type: ignore[return-value]
        if not self.has_room():
            return None
        try:
            job = self.again.pop(0) if self.again else self._next()
            if job is None:
                return Searcher.FINISHED if self.is_over() else None  # type: ignore[return-value]
            config = self.config_of(trial_id, job)
        except Exception as error:
            self.error = error
            return Searcher.FINISHED  # type: ignore[return-value]
        self.given[trial_id] = job
        return config

    def config_of(self, trial_id: str, job: Job) -> dict[str, Any]:
        """Returns what a worker needs for an attempt at a job."""
        content = ray.cloudpickle.dumps(job.fused or job.trial)  # the study's own classes by value
        return {"attempt": trial_id, "number": job.number, "id": job.stored.id, "epochs": job.trial.epochs, "trial": content}

    def occupied(self) -> list[int]:
        """Returns the attempts that take room on a node or wait for it, each by the identity of its job."""
        waiting = {id(job) for job in self.again}
        return [one for one in self.under_way if one not in waiting]

    def take_back(self, trial_id: str) -> None:
        """Has an attempt that has not begun made again."""
        self.again.insert(0, self.given[trial_id])

    def _next(self) -> Job | None:
        """Returns a job that is taken up for the first time."""
        job = self._draw()
        return None if job is None else self._taken_up(job)

    def _draw(self) -> Job | None:
        """Returns the run's next job; None if it has none now."""
        job = None if self.exhausted else next(self._jobs, self)
        if not isinstance(job, Job):
            self.exhausted = self.exhausted or job is self
            return None
        return job

    def _taken_up(self, job: Job) -> Job:
        job.stored.clear_failure(job.trial.epochs)  # an earlier run's: what is there in the end is this one's
        if (holder := job.stored.holder(job.trial.epochs)) is not None:
            log.warning("%s waits for %s", job.name, holder)
        self.under_way[id(job)] = job
        self._kept.append(job)
        return job

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self.on_lost(self.given[trial_id])

    def __getstate__(self) -> dict[str, Any]:
        """Returns nothing: Tune keeps a copy of its parts, and none of ours is restored from it."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...
