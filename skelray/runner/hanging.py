"""Finds workers that hang: those whose process does not stir, as a stopped one, and those whose epoch does not end."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import ray
from ray.experimental import internal_kv
from ray.tune.experiment import Trial as TuneTrial

from skelray.names import HELD_OUT
from skelray.runner.job import Job

log = logging.getLogger("skelray")
BEAT = 5.0  # seconds between two signs of life
SILENT = 300.0  # seconds without one, after which a worker hangs: code that lets no other thread run may take a while
PATIENCE = 20.0  # times the longest epoch so far, and at least as many seconds as EPOCH, that an epoch may take
EPOCH = 600.0
AWAY = 30.0  # seconds between two looks, after which it was the driver that did not stir
SPACE = "skelray"  # of Ray's store of keys, where signs of life are left


class Pulse:
    """Leaves a sign of life of a worker's process every few seconds, under the name of the attempt that it works on."""

    def __init__(self) -> None:
        self._attempt, self._number, self._over = "", 0, threading.Event()
        threading.Thread(target=self._beats, daemon=True).start()

    def begin(self, attempt: str) -> None:
        """Begins an attempt with a sign of life at once, so that a process that is stopped right away is missed."""
        self._attempt = attempt
        self._beat()

    def end(self) -> None:
        """Leaves no sign of life any more."""
        self._over.set()

    def _beats(self) -> None:
        while not self._over.wait(BEAT):
            self._beat()

    def _beat(self) -> None:
        self._number += 1
        try:
            internal_kv._internal_kv_put(self._attempt, str(self._number), namespace=SPACE)
        except Exception:  # there is no cluster, or its head is gone, and soon this process, too
            log.debug("no sign of life could be left", exc_info=True)


class _Attempt:
    """An attempt at a job: its last sign of life and its last epoch, and when the driver saw each."""

    def __init__(self, job: Job, trial: TuneTrial) -> None:
        self.job, self.trial = job, trial
        self.beat: bytes | None = None
        self.beaten = self.reported = time.monotonic()
        self.longest, self.trains = 0.0, False  # seconds between two reports; whether an epoch is under way
        self.known = job.trial.monitor is None  # how long an epoch may take: one with a reading takes far longer


class Watch:
    """The attempts under way. An evaluation has no usual length: there it is the process alone that is watched."""

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}
        self._looked = time.monotonic()

    def started(self, job: Job, trial: TuneTrial) -> None:
        self._attempts[trial.trial_id] = _Attempt(job, trial)

    def reported(self, id: str, epoch: int, metrics: dict[str, Any], replayed: bool) -> None:
        """Notes that an epoch of an attempt has ended, or was read back."""
        attempt, now = self._attempts.get(id), time.monotonic()
        if attempt is None:
            return
        if attempt.trains and not replayed:
            attempt.longest = max(attempt.longest, now - attempt.reported)
            attempt.known = attempt.known or HELD_OUT in metrics
        attempt.reported, attempt.trains = now, epoch < attempt.job.trial.epochs

    def ended(self, id: str) -> None:
        """Forgets an attempt that has ended."""
        if self._attempts.pop(id, None) is not None and ray.is_initialized():
            internal_kv._internal_kv_del(id, namespace=SPACE)

    def end_hanging_workers(self) -> None:
        """Ends workers that hang, and says so; their attempts are then lost like those of any worker that is gone."""
        now, before = time.monotonic(), self._looked
        self._looked = now
        for id, attempt in self._attempts.items():
            actor = attempt.trial.temporary_state.ray_actor
            if actor is None or now - before > AWAY:
                attempt.beaten = attempt.reported = now
                continue
            beat = internal_kv._internal_kv_get(id, namespace=SPACE)
            if beat != attempt.beat:
                attempt.beat, attempt.beaten = beat, now
            if why := self._hangs(attempt, now):
                log.warning("the worker of %s is ended, since %s", attempt.job.name, why)
                attempt.beat, attempt.beaten, attempt.trains = None, now, False
                ray.kill(actor)

    def _hangs(self, attempt: _Attempt, now: float) -> str:
        if attempt.beat is not None and now - attempt.beaten > SILENT:
            return f"its process has not stirred for {now - attempt.beaten:.0f} s"
        limit = max(EPOCH, PATIENCE * attempt.longest)
        if attempt.trains and attempt.known and attempt.longest > 0 and now - attempt.reported > limit:
            return f"its epoch has taken {now - attempt.reported:.0f} s, and the longest before {attempt.longest:.0f} s"
        return ""
