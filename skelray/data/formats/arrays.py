"""The arrays of released code as sources of one kind: rows, labels, and names if there are any.

Everything that a file states is kept; what it does not state is listed (``missing_information``). Sequences that were
preprocessed are recognised and kept as they are: SkeletonCLR's path leaves joint 21 at zero in every frame, HiCo's joint 2
of the first person. All others are raw, or raw up to a translation, which both paths remove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelray.data.benchmark import Benchmark, LeftOut, Recording, Skipped, Split
from skelray.data.formats.names import NTU_NAME, PKU_NAME, named, protocol_of
from skelray.data.formats.sources import UNREADABLE
from skelray.data.formats.stated import StatedLabel, class_names
from skelray.data.preprocess import Preprocessing
from skelray.data.report import UNREAD
from skelray.data.stored import DataError
from skelray.skeleton import KINECT_V2, Skeleton

PEEKED = 4  # sequences looked at to see how they were preprocessed
TRAIN, TEST = 0, 1
BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError)

NO_NAMES = (
    "names, and with them subject, camera, set-up and replication: of the training samples every fifth is held out, which "
    "may share its subject with the rest"
)
NO_LENGTHS = "how many frames were recorded: every sequence counts as long as its array"
NO_SUBJECT = "subjects: what is held out are set-ups, or every fifth training sample where those are unknown too"


@dataclass(frozen=True, eq=False)
class Rows:
    """Samples of one part of a source.

    read: returns sample ``at`` as (T, M, V, 3), whose end may be empty. labels: (N,). names: N of them, or none.
    parts: (N,) codes of the source's own division. frames: (N,) recorded lengths, if the source has them.
    """

    read: Callable[[int], np.ndarray]
    labels: np.ndarray
    names: Sequence[str]
    parts: np.ndarray
    source: str
    frames: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Arrays:
    """A whole source: its rows, and how they are divided if names do not say it.

    protocols: in codes of ``Rows.parts``. stem: names a data set that is none of the known ones. lost, planar, released: as
    in Benchmark. stated: the labels that the source names.
    """

    rows: tuple[Rows, ...]
    protocols: dict[str, Split]
    stem: str
    classes: int
    missing_information: tuple[str, ...] = ()
    skeleton: Skeleton = KINECT_V2
    planar: bool = False
    stated: tuple[StatedLabel, ...] = ()
    released: bool = False


class ArrayRecordings(Sequence[Recording | Skipped]):
    """The samples of array rows, one part after the other, each read when it is asked for."""

    def __init__(self, rows: tuple[Rows, ...], whole: bool, chosen: range | None = None) -> None:
        self.rows, self.whole = rows, whole
        self.chosen = range(sum(map(len, rows))) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return ArrayRecordings(self.rows, self.whole, self.chosen[at])
        at = self.chosen[at]
        for rows in self.rows:
            if at < len(rows):
                return self._recording(rows, at)
            at -= len(rows)
        raise IndexError(at)

    def _recording(self, rows: Rows, at: int) -> Recording | Skipped:
        name = rows.names[at] if rows.names else f"{rows.source}:{at}"
        try:
            with np.errstate(all="ignore"):  # what is no number is left out when it is prepared
                bodies = rows.read(at)
                seen = bodies.reshape(len(bodies), -1).any(axis=1)
        except LeftOut as reason:
            return Skipped(name, str(reason))
        except UNREADABLE:
            return Skipped(name, UNREAD)
        except BROKEN:
            return Skipped(name, "broken sample")
        found = named(name, bodies, int(rows.labels[at]))
        if isinstance(found, Skipped):
            return found
        frames = None if rows.frames is None else int(rows.frames[at])
        if not self.whole:  # what was recorded ends with the last frame that holds anyone
            present = np.flatnonzero(seen)
            found = replace(found, bodies=bodies[: present[-1] + 1] if len(present) else bodies[:1])
        return replace(found, part=int(rows.parts[at]), source=rows.source, frames=frames)


def benchmark(arrays: Arrays, wanted: Benchmark | None, known: Sequence[Benchmark]) -> Benchmark:
    """Returns the benchmark of arrays, with protocols by sample name or else the source's own division.

    wanted: named by the user. known: the candidates. Raises DataError if the arrays cannot be what is wanted.
    """
    names = [name for rows in arrays.rows for name in rows.names]
    matches = [NTU_NAME.fullmatch(name) for name in names]
    official = bool(names) and all(matches)
    like = wanted or _likely(arrays, [int(match[6]) for match in matches if match] if official else [], known)
    own = () if official else _own_classes(arrays, like, wanted)
    like = None if own else like
    base = wanted or (like if like is not None and like.skeleton == arrays.skeleton else None)
    top = max((int(rows.labels.max(initial=0)) for rows in arrays.rows), default=0)
    if like is not None and ((wanted and wanted.skeleton != arrays.skeleton) or top >= len(like.classes)):
        raise DataError(
            f"these arrays are no {like.name}: they have {len(arrays.skeleton.joints)} joints and labels up to {top}, "
            f"it has {len(like.skeleton.joints)} joints and {len(like.classes)} classes"
        )
    by_name = official and like is not None and like.name in ("ntu60", "ntu120")
    unnamed = tuple(f"class {label}" for label in range(max(arrays.classes, top + 1)))
    classes = like.classes if like is not None else own + unnamed[len(own) :]
    preprocessed = None if arrays.planar else _preprocessed(arrays)
    return Benchmark(
        name=base.name if base is not None else _free(arrays.stem, known) if own else arrays.stem,
        skeleton=arrays.skeleton,
        classes=classes,
        protocols=like.protocols if by_name and like is not None else arrays.protocols,
        persons=2,
        recordings=lambda source: ArrayRecordings(arrays.rows, preprocessed is not None),
        preprocessed=preprocessed,
        missing_information=_missing_information(arrays, names, official, preprocessed is not None),
        planar=arrays.planar,
        released=arrays.released or arrays.planar,
    )


def _missing_information(arrays: Arrays, names: list[str], official: bool, preprocessed: bool) -> tuple[str, ...]:
    """Returns a sentence for each thing that the arrays do not tell of their samples."""
    missing = [*arrays.missing_information]
    if not names:
        missing.insert(0, NO_NAMES)
    elif not official and not all((match := PKU_NAME.fullmatch(name)) and match[2] for name in names):
        missing.insert(0, NO_SUBJECT)
    if preprocessed and any(rows.frames is None for rows in arrays.rows):
        missing.append(NO_LENGTHS)
    return tuple(missing)


def _own_classes(arrays: Arrays, like: Benchmark | None, wanted: Benchmark | None) -> tuple[str, ...]:
    """Returns the classes that a source names if they differ from those of the benchmark it resembles, else none.

    Raises DataError if they differ from those of ``wanted``.
    """
    own = class_names([(one, arrays.stem) for one in arrays.stated], like.classes if like is not None else ()) or ()
    if own and wanted is not None:
        raise DataError(f"these arrays name classes of their own ({', '.join(own[:3])}), not those of {wanted.name}")
    return own


def _free(stem: str, known: Sequence[Benchmark]) -> str:
    """Returns a name that no benchmark has."""
    return f"{stem}_own" if stem in {one.name for one in known} else stem


def _likely(arrays: Arrays, actions: Sequence[int], known: Sequence[Benchmark]) -> Benchmark | None:
    """Returns NTU 60 or 120, by the actions in names or by the number of classes, else no benchmark."""
    count = (60 if max(actions) <= 60 else 120) if actions else arrays.classes
    for one in known:
        if len(one.classes) == count:
            return one
    return None


def _preprocessed(arrays: Arrays) -> Preprocessing | None:
    """Returns the preprocessing that a few samples of each part show. Raises DataError if they disagree."""
    looked = [clip for rows in arrays.rows for clip in _some(rows)]
    with np.errstate(all="ignore"):
        found = {_kind(clip) for clip in looked}
    found.discard("empty")
    if len(found) > 1:
        raise DataError(f"some of these sequences are {' and others '.join(sorted(found))}: prepare them apart")
    kind = next(iter(found), "raw")
    if kind == "raw":
        return None
    lengths = set(map(len, looked))
    if len(lengths) > 1:
        raise DataError(f"the parts have {' and '.join(map(str, sorted(lengths)))} frames: prepare them apart")
    return Preprocessing("centred" if kind == "centred" else "rigid", lengths.pop())


def _some(rows: Rows) -> Iterator[np.ndarray]:
    """Yields a few samples spread over all; unreadable ones are skipped later."""
    for at in np.unique(np.linspace(0, len(rows) - 1, PEEKED).astype(int)) if len(rows) else ():
        with suppress(*UNREADABLE, *BROKEN), np.errstate(all="ignore"):
            yield rows.read(int(at))


def _kind(clip: np.ndarray) -> str:
    if not clip.any():
        return "empty"
    if not clip[:, :, KINECT_V2.centre].any():
        return "centred"
    if np.count_nonzero(clip.reshape(len(clip), -1).any(axis=1)) > 1 and not clip[:, 0, KINECT_V2.index("spine_mid")].any():
        return "rigid"
    return "raw"


def two_parts(path: Path) -> dict[str, Split]:
    """Returns the one protocol of a source with a training and a test file."""
    return {protocol_of(path): Split("part", (TRAIN,))}
