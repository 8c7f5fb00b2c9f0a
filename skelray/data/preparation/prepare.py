"""Preparation of a benchmark's raw recordings, in bounded memory and resumable after a kill."""

from __future__ import annotations

import errno
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, HasRecordingNotes, Recording, Skipped, Split
from skelray.data.content import check_content
from skelray.data.dataset import open_dataset, open_with_protocols
from skelray.data.formats.listing import walk
from skelray.data.formats.sources import LooseFile, Recordings, stamp
from skelray.data.inspection.describe import division
from skelray.data.preparation.partial import Partial, exclusive
from skelray.data.preparation.workers import Recipe, in_order
from skelray.data.preprocess import PathName, Preprocessing
from skelray.data.report import PreparationReport, counted, preparation_report
from skelray.data.stored import DTYPES, FORMAT, DataError, read_history

RAW = "raw recordings"
NAME, NAMED = r"\w[\w.-]*", "letters, digits, points, lines and dashes name its folder, and it begins with no point or dash"
OPTIONAL = ("dtype", "lost", "kept")  # settings that are named only where they are not what they mostly are
ALL_FRAMES = "every frame with someone in it"

Progress = Callable[[int, int | None], None]  # recordings done, and of how many where that is known


def prepare(
    benchmark: Benchmark,
    source: Path | None,
    root: Path,
    preprocessing: Preprocessing | None = None,
    progress: Progress | None = None,
    force: bool = False,
    dtype: Literal["float32", "float16"] = "float32",
    workers: int = 1,
) -> PreparationReport:
    """Prepares ``source`` as ``root/<name>``; after a kill, the same call resumes.

    Does nothing if the same source is already prepared in the same way, unless ``force``. A data set of other settings, or
    of
    an earlier state of this source, is replaced once the new one is complete; one of another source only by ``force``.

    preprocessing: as published with SkeletonCLR by default, as far as the skeleton allows; a benchmark whose source was
        preprocessed keeps that.
    dtype: on disk. workers: processes that read and preprocess; the result does not depend on their number.

    Raises DataError.
    """
    if dtype not in DTYPES or workers < 1:
        raise UserError(f"dtype {dtype!r} and workers {workers}: the first is {' or '.join(DTYPES)}, the second 1 or more")
    if not re.fullmatch(NAME, benchmark.name):
        raise DataError(f"a data set cannot be named {benchmark.name!r}: {NAMED}")
    recipe = Recipe(benchmark, _agreed(benchmark, preprocessing), dtype)
    root, source = Path(root), source and Path(source)
    try:
        with exclusive(root / f".{benchmark.name}.lock"):
            return _prepare(recipe, source, root / benchmark.name, progress, force, workers)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"the disk that holds {root} is full: make room and give the same command again, it goes on from there"
            ) from error
        raise DataError(f"{benchmark.name} could not be prepared in {root}: {error}") from error


def _prepare(
    recipe: Recipe, source: Path | None, target: Path, progress: Progress | None, force: bool, workers: int
) -> PreparationReport:
    started, benchmark = time.monotonic(), recipe.benchmark
    recordings = benchmark.recordings(source)
    if isinstance(recordings, HasRecordingNotes):
        benchmark = replace(benchmark, notes=(*benchmark.notes, *recordings.notes))
    settings = _settings(recipe, source, _stamp(benchmark, source, recordings))
    content = cache(lambda: _content(source, recordings))
    if not force:
        if (counts := _already(target, settings, content)) is not None:
            return preparation_report(target, counts, benchmark, already=True, undivided=_undivided(target))
        _check_source(target, settings, content)
    shape = (3, recipe.preprocessing.frames, len(benchmark.skeleton.joints), benchmark.persons)
    partial = Partial(target.with_name(f".{target.name}.partial"), settings, shape)
    _read_all(partial, recordings, recipe, workers, progress)
    counts = counted(partial.entries())
    if not partial.kept:
        reasons = "; ".join(sorted(counts["skipped"])) or "none at all"
        raise DataError(f"{source} holds no usable sequence of {benchmark.name} ({reasons})")
    whole = content()
    if _stamp(benchmark, source, recordings) == settings["source"]["stamp"]:  # what was read is what is there now
        settings["source"]["content"] = whole
    counts["fingerprint"] = partial.finish(target, {**settings, "counts": counts})
    seconds = time.monotonic() - started
    return preparation_report(target, counts, benchmark, seconds=seconds, undivided=_undivided(target))


def _agreed(benchmark: Benchmark, wanted: Preprocessing | None) -> Preprocessing:
    done = benchmark.preprocessed
    if done is not None and wanted not in (None, done):
        raise DataError(
            f"the sequences of this source are {done.path} with {done.frames} frames already, and are not preprocessed "
            "twice: leave --path and --frames out (a trial may read them at other `frames`), or give the raw recordings"
        )
    agreed = done or wanted or Preprocessing(default_path(benchmark))
    if benchmark.planar and agreed.joints:
        raise DataError(
            f"{benchmark.name} lies in the plane of an image, where {agreed.path!r} cannot turn a body: --path plain "
            f"only resizes it, --path unturned centres it too"
        )
    if done is None and (missing := _missing(benchmark, agreed)):
        raise DataError(
            f"{benchmark.name} has no joint {' and no '.join(missing)}, by which {agreed.path!r} turns a body: --path plain "
            f"only resizes it, --path unturned centres it too"
        )
    return agreed


def default_path(benchmark: Benchmark) -> PathName:
    """Returns the default path of a benchmark: bodies that cannot be turned are only centred."""
    if benchmark.planar and benchmark.released:
        return "plain"
    return "unturned" if benchmark.planar or _missing(benchmark, Preprocessing()) else "centred"


def _missing(benchmark: Benchmark, preprocessing: Preprocessing) -> list[str]:
    return [joint for joint in preprocessing.joints if joint not in benchmark.skeleton.joints]


def _read_all(
    partial: Partial,
    recordings: Iterable[Recording | Skipped],
    recipe: Recipe,
    workers: int,
    progress: Progress | None,
) -> None:
    """Adds every recording that the journal does not hold yet; a Sequence of recordings resumes in its middle."""
    done = partial.done
    if isinstance(recordings, Sequence):
        total: int | None = len(recordings)
        _check_room(partial, recipe.benchmark.name, len(recordings) - done)
        rest: Iterable[Recording | Skipped] = recordings[done:]
    else:
        total, rest = None, islice(recordings, done, None)
    for count, prepared in enumerate(in_order(rest, recipe, workers), start=done + 1):
        partial.add(*prepared)
        if progress is not None:
            progress(count, total)


def _check_room(partial: Partial, name: str, missing: int) -> None:
    need = missing * int(np.prod(partial.shape)) * partial.dtype.itemsize
    free = shutil.disk_usage(partial.folder).free
    if need > free:
        raise DataError(
            f"{name} needs {need / 1e9:.1f} GB more in {partial.folder.parent}, where {free / 1e9:.1f} GB are free"
        )


def _settings(recipe: Recipe, source: Path | None, version: str) -> dict[str, Any]:
    """Returns all that decides the content of a prepared data set, as JSON.

    Data sets prepared before the OPTIONAL settings existed keep theirs.
    """
    benchmark, preprocessing, dtype = recipe.benchmark, recipe.preprocessing, recipe.dtype
    settings: dict[str, Any] = {
        "format": FORMAT,
        "name": benchmark.name,
        "skeleton": asdict(benchmark.skeleton),
        "classes": benchmark.classes,
        "protocols": {name: _described(split) for name, split in benchmark.protocols.items()},
        "persons": benchmark.persons,
        "frames": preprocessing.frames,
        "preprocessing": asdict(preprocessing),
        "source": {
            "path": None if source is None else str(source.resolve()),
            "stamp": version,
            "format": benchmark.arrays or RAW,
        },
    }
    optional = {
        "dtype": dtype if dtype != DTYPES[0] else None,
        "lost": benchmark.missing_information or None,
        "kept": None if benchmark.released or benchmark.preprocessed else ALL_FRAMES,
    }
    settings.update({key: optional[key] for key in OPTIONAL if optional[key] is not None})
    return json.loads(json.dumps(settings))


def _described(split: Split) -> dict[str, Any]:
    described = asdict(split)
    if split.test is None:
        del described["test"]
    return described


def _stamp(benchmark: Benchmark, source: Path | None, recordings: Iterable[Recording | Skipped]) -> str:
    """Returns a text that changes with the source: with its files or, if generated, with the generator's settings."""
    if isinstance(recordings, Recordings):
        return recordings.stamp
    if source is None:
        made_by = benchmark.recordings
        return repr(made_by) if is_dataclass(made_by) else getattr(made_by, "__qualname__", type(made_by).__qualname__)
    return stamp((name, *file.version) for name, file in _files(source))


def _content(source: Path | None, recordings: Iterable[Recording | Skipped]) -> str | None:
    """Returns a hash that is equal for a copy with other file times; reads the whole source."""
    if isinstance(recordings, Recordings):
        return recordings.content
    return None if source is None else stamp((name, *file.checksum) for name, file in _files(source))


def _files(source: Path) -> list[tuple[str, LooseFile]]:
    """Returns every file of a source that is no list of recordings, with its name in it."""
    folders = [(str(source.parent), [source.name])] if source.is_file() else walk(source)
    paths = sorted(Path(folder, file) for folder, files in folders for file in files)
    return [(path.relative_to(source).as_posix(), LooseFile(path)) for path in paths]


def _already(target: Path, settings: Mapping[str, Any], content: Callable[[], str | None]) -> dict[str, Any] | None:
    """Returns the target's counts if it is complete and was made by these settings from this source or a copy."""
    try:
        about = read_history(target)
        if about is None or any(about.get(key) != settings.get(key) for key in {*settings, *OPTIONAL} - {"source"}):
            return None
        if not _same(about["source"], settings["source"], content):
            return None
        open_dataset(target.parent, target.name)
        check_content(target.parent, target.name)
    except DataError:  # what cannot be read is prepared anew
        return None
    return {**about["counts"], "fingerprint": about["fingerprint"]}


def _same(made_from: Mapping[str, Any], here: Mapping[str, Any], content: Callable[[], str | None]) -> bool:
    """Returns whether two sources have equal content and format; older data sets do not record all of it."""
    if made_from.get("format", here["format"]) != here["format"]:
        return False
    if made_from["stamp"] == here["stamp"]:
        return True
    return made_from.get("content") is not None and made_from["content"] == content()


def _check_source(target: Path, settings: Mapping[str, Any], content: Callable[[], str | None]) -> None:
    """Raises DataError if the target was prepared from other files, or from these in another format.

    Files changed in place are the same source, and so are moved or copied ones.
    """
    try:
        made_from = (read_history(target) or settings)["source"]
    except DataError:
        return
    here = settings["source"]
    known = made_from.get("format", here["format"])
    if known == here["format"] and (made_from["path"] == here["path"] or _same(made_from, here, content)):
        return
    own = f"{target.name}_{'_'.join(settings['protocols'])}" if here["format"] != RAW else "ANOTHER"
    raise DataError(
        f"{target} was prepared from {made_from['path']} ({made_from.get('format', 'format unknown')}) and would be "
        f"replaced by {here['path']} ({here['format']}): --name {own} keeps both, --force replaces it"
    )


def _undivided(target: Path) -> tuple[str, ...]:
    """Returns a sentence for each protocol that leaves samples out, and the protocols with an empty part."""
    dataset, protocols = open_with_protocols(target.parent, target.name)
    return tuple(
        f"{name}: {sentence}" for name, split in protocols.items() if (sentence := division(dataset, name, split).trouble)
    )
