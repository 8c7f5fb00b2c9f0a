"""Benchmarks: a skeleton, classes, protocols, and how to read the raw recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from skelray.checks import UserError
from skelray.data.preprocess import Preprocessing
from skelray.skeleton import Skeleton

Key = Literal["subject", "camera", "setup", "part"]


@dataclass(frozen=True, eq=False)
class Recording:
    """One recorded action as its source holds it, before any preprocessing.

    bodies: (T, M, V, 3) float32, metres, in the order listed; zeros where a body is absent from a frame.
    label: 0-based class. subject, camera, setup, replication: -1 if the source does not say.
    part: 0 for training and 1 for test in a source that is already divided; -1 if it does not say.
    frames: how many were recorded, if that is not the length of the bodies.
    """

    name: str
    bodies: np.ndarray
    label: int
    subject: int = -1
    camera: int = -1
    setup: int = -1
    replication: int = -1
    source: str = ""
    part: int = -1
    frames: int | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recording):
            return NotImplemented
        return all(np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))


@dataclass(frozen=True)
class Skipped:
    """A recording that is left out; reason: a short phrase, by which the report counts."""

    name: str
    reason: str


@runtime_checkable
class HasRecordingNotes(Protocol):
    """Recordings with notes for the report, one sentence each; a benchmark's own notes come first."""

    @property
    def notes(self) -> tuple[str, ...]: ...


class LeftOut(UserError):
    """Raised while reading a recording to leave it out; the message is the reason of its Skipped."""


@dataclass(frozen=True)
class Split:
    """A protocol: samples whose ``by`` is in ``train`` train, all others test.

    Samples for which it is unknown (-1) belong to neither.
    classes: labels the protocol is restricted to (None: all), as MSR Action3D's AS1 to AS3.
    test: if given, only samples whose ``by`` is in it test, and others belong to neither.
    """

    by: Key
    train: tuple[int, ...]
    classes: tuple[int, ...] | None = None
    test: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Benchmark:
    """A data set with its official protocols.

    recordings: reads a source (folder, zip, ...) lazily; raises DataError if the source cannot be this benchmark.
        The source is None if there is nothing to read (synthetic). A Sequence lets preparation resume in its middle.
    persons: how many bodies a prepared sequence keeps (M).
    preprocessed: the preprocessing that the recordings already have; they are then kept as they are.
    missing_information: what other sources of this benchmark state and this one does not, one sentence each.
    arrays: the format of the arrays that it is read from, such as "npz"; empty for raw recordings.
    planar: recorded in the plane of an image: the bodies hold (x, y, score), which no preprocessing may turn.
    released: frames and persons are kept as the benchmark's released code keeps them, which may cut the end of a clip;
        otherwise every frame with anyone in it is kept, and a person whose number changes stays one.
    notes: what was corrected or read otherwise than it is written, one sentence each, for the report.
    """

    name: str
    skeleton: Skeleton
    classes: tuple[str, ...]
    protocols: Mapping[str, Split]
    persons: int
    recordings: Callable[[Path | None], Iterable[Recording | Skipped]]
    preprocessed: Preprocessing | None = None
    missing_information: tuple[str, ...] = ()
    planar: bool = False
    arrays: str = ""
    released: bool = False
    notes: tuple[str, ...] = ()
