"""Turns the raw recordings of a benchmark into a prepared data set, in bounded memory and from where a kill left it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from skelray.data.benchmark import Benchmark, Recording, Skipped
from skelray.data.dataset import FORMAT, DataError, open_dataset, read_about
from skelray.data.partial import Entry, Partial, alone
from skelray.data.preprocess import Preprocessing
from skelray.data.sources import LooseFile, Recordings

EMPTY = "no skeleton in it"
SHORT = 10  # frames; a clip with fewer is reported

DEFAULT = Preprocessing()

Progress = Callable[[int, int | None], None]  # recordings done, and of how many where that is known


@dataclass(frozen=True)
class Report:
    """What became of a source.

    sequences, frames, bodies: what was kept, as recorded. short: names of kept sequences under ten frames.
    skipped: names by reason, the empty ones among them. already: nothing was done, the data set was there.
    """

    name: str
    folder: str
    sequences: int
    frames: int
    bodies: int
    short: tuple[str, ...]
    skipped: Mapping[str, tuple[str, ...]]
    fingerprint: str
    seconds: float = 0.0
    already: bool = False

    @property
    def empty(self) -> tuple[str, ...]:
        """The sequences without any skeleton."""
        return self.skipped.get(EMPTY, ())

    def __str__(self) -> str:
        how = "already, from this source: nothing was done" if self.already else f"{self.seconds:.1f} s"
        lines = [f"{self.name} is prepared in {self.folder} ({how})"]
        lines.append(f"  {self.sequences:,} sequences, {self.frames:,} frames, {self.bodies:,} bodies")
        if self.short:
            lines.append(f"  {len(self.short):,} shorter than {SHORT} frames: {_some(self.short)}")
        for reason, names in sorted(self.skipped.items(), key=lambda item: -len(item[1])):
            lines.append(f"  {len(names):,} skipped, {reason}: {_some(names)}")
        lines.append(f"  fingerprint {self.fingerprint[:12]}")
        return "\n".join(lines)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def prepare(
    benchmark: Benchmark,
    source: Path | None,
    root: Path,
    preprocessing: Preprocessing = DEFAULT,
    progress: Progress | None = None,
    force: bool = False,
) -> Report:
    """Prepares ``source`` as ``root/<name>``; a call that was killed goes on when it is made again.

    Does nothing where the same source was prepared in the same way before, unless ``force``. A data set of other
    settings or of another source is replaced once the new one is whole. Raises DataError.
    """
    started = time.monotonic()
    if benchmark.planar and preprocessing.path != "plain":
        raise DataError(
            f"{benchmark.name} lies in the plane of an image, where {preprocessing.path!r} cannot turn a body: --path plain"
        )
    root, source = Path(root), source and Path(source)
    target = root / benchmark.name
    try:
        with alone(root / f".{benchmark.name}.lock"):
            recordings = benchmark.recordings(source)
            settings = _settings(benchmark, preprocessing, source, _stamp(benchmark, source, recordings))
            if not force and (counts := _already(target, settings)) is not None:
                return _report(target, counts, already=True)
            shape = (3, preprocessing.frames, len(benchmark.skeleton.joints), benchmark.persons)
            partial = Partial(target.with_name(f"{benchmark.name}.partial"), settings, shape)
            _read_all(partial, benchmark, recordings, preprocessing, progress)
            if not partial.kept:
                reasons = sorted({entry["reason"] for entry in partial.entries})
                raise DataError(
                    f"{source} holds no usable sequence of {benchmark.name} ({'; '.join(reasons) or 'none at all'})"
                )
            counts = _counts(partial.entries)
            fingerprint = partial.finish(target, counts)
            return _report(target, {**counts, "fingerprint": fingerprint}, seconds=time.monotonic() - started)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"the disk that holds {root} is full: make room and give the same command again, it goes on from there"
            ) from error
        raise DataError(f"{benchmark.name} could not be prepared in {root}: {error}") from error


def _read_all(
    partial: Partial,
    benchmark: Benchmark,
    recordings: Iterable[Recording | Skipped],
    preprocessing: Preprocessing,
    progress: Progress | None,
) -> None:
    """Adds every recording that the journal does not hold yet; a sequence of recordings is entered in its middle."""
    done = len(partial.entries)
    if isinstance(recordings, Sequence):
        total: int | None = len(recordings)
        _check_room(partial, benchmark.name, len(recordings) - done)
        rest: Iterable[Recording | Skipped] = recordings[done:]
    else:
        total, rest = None, islice(recordings, done, None)
    for count, recording in enumerate(rest, start=done + 1):
        partial.add(*_prepared(recording, benchmark, preprocessing))
        if progress is not None:
            progress(count, total)


def _check_room(partial: Partial, name: str, missing: int) -> None:
    need, free = missing * int(np.prod(partial.shape)) * 4, shutil.disk_usage(partial.folder).free
    if need > free:
        raise DataError(
            f"{name} needs {need / 1e9:.1f} GB more in {partial.folder.parent}, where {free / 1e9:.1f} GB are free"
        )


def _prepared(
    recording: Recording | Skipped, benchmark: Benchmark, preprocessing: Preprocessing
) -> tuple[Entry, np.ndarray | None]:
    if isinstance(recording, Skipped):
        return {"name": recording.name, "reason": recording.reason}, None
    bodies, joints = recording.bodies, len(benchmark.skeleton.joints)
    if bodies.ndim != 4 or bodies.shape[2:] != (joints, 3) or not 0 <= recording.label < len(benchmark.classes):
        raise DataError(
            f"{recording.name} has bodies {bodies.shape} and label {recording.label}; {benchmark.name} wants "
            f"(T, M, {joints}, 3) and a label below {len(benchmark.classes)}"
        )
    if not np.isfinite(bodies).all():
        return {"name": recording.name, "reason": "coordinates that are not finite"}, None
    with np.errstate(over="ignore", invalid="ignore"):
        sequence = preprocessing(bodies, benchmark.skeleton, benchmark.persons)
    if not np.isfinite(sequence).all():
        return {"name": recording.name, "reason": "coordinates that are not finite"}, None
    if not sequence.any():
        return {"name": recording.name, "reason": EMPTY}, None
    entry = {
        **{key: getattr(recording, key) for key in ("name", "label", "subject", "camera", "setup", "replication", "part")},
        "frames": len(bodies),
        "persons": int(bodies.any(axis=(0, 2, 3)).sum()),
        "source": recording.source,
    }
    return entry, sequence


def _settings(benchmark: Benchmark, preprocessing: Preprocessing, source: Path | None, stamp: str) -> dict[str, Any]:
    """All that decides the content of a prepared data set, as JSON gives it back."""
    settings = {
        "format": FORMAT,
        "name": benchmark.name,
        "skeleton": asdict(benchmark.skeleton),
        "classes": benchmark.classes,
        "protocols": {name: asdict(split) for name, split in benchmark.protocols.items()},
        "persons": benchmark.persons,
        "frames": preprocessing.frames,
        "preprocessing": asdict(preprocessing),
        "source": {"path": None if source is None else str(source.resolve()), "stamp": stamp},
    }
    return json.loads(json.dumps(settings))


def _stamp(benchmark: Benchmark, source: Path | None, recordings: Iterable[Recording | Skipped]) -> str:
    """What changes when the source does: its files or, of a generated benchmark, the settings of its generator."""
    if isinstance(recordings, Recordings):
        return recordings.stamp
    if source is None:
        made_by = benchmark.recordings
        return repr(made_by) if is_dataclass(made_by) else getattr(made_by, "__qualname__", type(made_by).__qualname__)
    folders = [(str(source.parent), [], [source.name])] if source.is_file() else os.walk(source)
    paths = sorted(Path(folder, file) for folder, _, files in folders for file in files)
    listing = [(path.relative_to(source).as_posix(), *LooseFile(path).version) for path in paths]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _already(target: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The counts of the target if it is whole and was made by these settings."""
    try:
        about = read_about(target)
        if about is None or any(about.get(key) != value for key, value in settings.items()):
            return None
        open_dataset(target.parent, target.name)
    except DataError:  # what cannot be read is prepared anew
        return None
    return {**about["counts"], "fingerprint": about["fingerprint"]}


def _counts(entries: Sequence[Entry]) -> dict[str, Any]:
    kept = [entry for entry in entries if "reason" not in entry]
    skipped: dict[str, list[str]] = {}
    for entry in entries:
        if "reason" in entry:
            skipped.setdefault(entry["reason"], []).append(entry["name"])
    return {
        "sequences": len(kept),
        "frames": sum(entry["frames"] for entry in kept),
        "bodies": sum(entry["persons"] for entry in kept),
        "short": [entry["name"] for entry in kept if entry["frames"] < SHORT],
        "skipped": skipped,
    }


def _report(target: Path, counts: Mapping[str, Any], **also: Any) -> Report:
    skipped = {reason: tuple(names) for reason, names in counts["skipped"].items()}
    return Report(target.name, str(target), **{**counts, **also, "short": tuple(counts["short"]), "skipped": skipped})
