"""Makes Tune take every way in which Ray loses a worker for the loss of that worker alone.

Where the memory monitor ends a worker, or its node dies, Ray 2.60 may raise an error that is none of an actor's. Tune takes
that for a bug of its own, and ends all trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller


class ActorManager(RayActorManager):
    """Tune's manager of actors, to which whatever Ray raises over a task that did not raise itself is an actor's loss."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, (RayActorError, RayTaskError)):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


@contextmanager
def tolerating_lost_actors() -> Iterator[None]:
    """Has Tune manage its actors so within the block."""
    before = tune_controller.RayActorManager
    tune_controller.RayActorManager = ActorManager  # type: ignore[misc]
    try:
        yield
    finally:
        tune_controller.RayActorManager = before  # type: ignore[misc]
