"""Recordings prepared one by one, here or in several processes, and returned in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelray.data.benchmark import Benchmark, Recording, Skipped
from skelray.data.persons import present_bodies
from skelray.data.preparation.stuck import stuck
from skelray.data.preprocess import Kept, Preprocessing, channels_first
from skelray.data.report import EMPTY
from skelray.data.stored import DataError

NOT_FINITE = "coordinates that are not finite"
CHUNK = 16  # recordings that a process takes at once

Prepared = tuple[dict[str, Any], np.ndarray | None]  # an entry of the journal, and its sequence unless it was skipped


@dataclass(frozen=True)
class Recipe:
    """The processing of every recording of a benchmark."""

    benchmark: Benchmark
    preprocessing: Preprocessing
    dtype: str

    def __call__(self, recording: Recording | Skipped) -> Prepared:
        if isinstance(recording, Skipped):
            return {"name": recording.name, "reason": recording.reason}, None
        bodies, joints = recording.bodies, len(self.benchmark.skeleton.joints)
        if bodies.ndim != 4 or bodies.shape[2:] != (joints, 3) or not 0 <= recording.label < len(self.benchmark.classes):
            raise DataError(
                f"{recording.name} has bodies {bodies.shape} and label {recording.label}; {self.benchmark.name} wants "
                f"(T, M, {joints}, 3) and a label below {len(self.benchmark.classes)}"
            )
        if not np.isfinite(bodies).all():
            return {"name": recording.name, "reason": NOT_FINITE}, None
        with np.errstate(over="ignore", invalid="ignore"):
            kept = self._kept(bodies)
            sequence = kept.clip.astype(self.dtype, copy=False)
        if not np.isfinite(sequence).all():
            return {"name": recording.name, "reason": NOT_FINITE}, None
        if not sequence.any():
            return {"name": recording.name, "reason": EMPTY}, None
        entry: dict[str, Any] = {
            **{
                key: getattr(recording, key)
                for key in ("name", "label", "subject", "camera", "setup", "replication", "part")
            },
            "frames": len(bodies) if recording.frames is None else recording.frames,
            "persons": int(bodies.any(axis=(0, 2, 3)).sum()) - kept.joined,
            "source": recording.source,
        }
        told: dict[str, Any] = {"cut": kept.frames, "left_out": kept.persons, "joined": kept.joined}
        if self.benchmark.preprocessed is None:
            told["stuck"] = stuck(bodies, self.benchmark.skeleton)
            told["vacant"] = int((~present_bodies(bodies).any(axis=1)).sum())
        return {**entry, **{key: value for key, value in told.items() if value}}, sequence

    def _kept(self, bodies: np.ndarray) -> Kept:
        if self.benchmark.preprocessed is None:
            benchmark = self.benchmark
            return self.preprocessing.preprocess(
                bodies, benchmark.skeleton, benchmark.persons, benchmark.released, benchmark.planar
            )
        if bodies.shape[:2] != (wanted := (self.preprocessing.frames, self.benchmark.persons)):
            raise DataError(
                f"{self.benchmark.name}: a preprocessed sequence has {bodies.shape[:2]} (frames, bodies), not {wanted}"
            )
        return Kept(channels_first(bodies))


def in_order(recordings: Iterable[Recording | Skipped], recipe: Recipe, workers: int) -> Iterator[Prepared]:
    """Yields the prepared recordings in order, sharing a Sequence of them out to processes.

    Only a process without other threads forks: a child may wait for ever for a lock that another thread held. At most two
    chunks wait for each process. Raises DataError if a process was killed.
    """
    threaded = threading.active_count() > 1
    if workers < 2 or threaded or not isinstance(recordings, Sequence) or len(recordings) <= CHUNK:
        yield from map(recipe, recordings)
        return
    chunks = iter(range(0, len(recordings), CHUNK))
    waiting: deque[Future[list[Prepared]]] = deque()
    context = multiprocessing.get_context("fork")  # what is forked need not be pickled: benchmarks may be lambdas
    pool = ProcessPoolExecutor(workers, context, _begin, (recordings, recipe, os.getpid()))
    try:
        while True:
            for _, start in zip(range(2 * workers - len(waiting)), chunks, strict=False):
                waiting.append(pool.submit(_chunk, start))
            if not waiting:
                return
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that prepared data was killed, perhaps for want of memory: the same command goes on from there, "
            "with fewer --workers if need be"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_shared: tuple[Sequence[Recording | Skipped], Callable[[Recording | Skipped], Prepared]]  # of a worker process


def _begin(recordings: Sequence[Recording | Skipped], recipe: Recipe, parent: int) -> None:
    global _shared
    _shared = recordings, recipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """Ends this process when its parent is killed."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _chunk(start: int) -> list[Prepared]:
    recordings, recipe = _shared
    return [recipe(recordings[at]) for at in range(start, min(start + CHUNK, len(recordings)))]
