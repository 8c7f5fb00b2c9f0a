"""Hands a run's jobs to Tune one by one, as many at once as the cluster's nodes hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.tune.search import Searcher

from skelray.runner.job import Job

log = logging.getLogger("skelray")


class Jobs(Searcher):
    """What Tune asks for its next trial."""

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        super().__init__()
        self._jobs = jobs
        self.given: dict[str, Job] = {}
        self.exhausted = False
        self.error: Exception | None = None  # of the study's own code, or of the store: Tune would end in one of its own
        self.lost: Callable[[Job], None] = lambda job: None
        self.room: Callable[[], bool] = lambda: True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """None: not yet, as there is no room, or nothing can start before something has ended."""
        if not self.room():
            return None
        try:
            job = next(self._jobs, self)
            if job is None:
                return None
            if isinstance(job, Job):
                job.stored.clear_failure(job.trial.epochs)  # an earlier run's: what is there in the end is this one's
                if (holder := job.stored.holder(job.trial.epochs)) is not None:
                    log.warning("%s waits for %s", job.name, holder)
                self.given[trial_id] = job
                content = ray.cloudpickle.dumps(job.trial)  # the study's own classes by value
                return {"number": job.number, "id": job.stored.id, "epochs": job.trial.epochs, "trial": content}
        except Exception as error:
            self.error = error
        self.exhausted = True
        return Searcher.FINISHED  # type: ignore[return-value]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:  # of a trial whose attempts are used up; a scheduler hears of every lost attempt
            self.lost(self.given[trial_id])

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps a copy of its parts, and none of ours is restored from it."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...
