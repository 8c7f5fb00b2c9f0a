"""Folders of ``.npy`` arrays with labels beside them, as ST-GCN's descendants write them.

(N, 3, T, 25, M) arrays: ``train_position.npy`` and ``val_position.npy`` (SkeletonCLR, AimCLR, HiCLR: 50 frames, done),
``*_data.npy`` (ST-GCN and 2s-AGCN before its normalisation: 300 frames, raw), ``*_data_joint.npy`` with
``*_num_frame.npy`` (skeleton-contrast, HiCo, CMD: 300 frames, done). Labels are a pickle of names and labels,
``*_label.pkl``, or an array ``*_label.npy`` without names.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from skelray.checks import UserError
from skelray.data.formats.arrays import TEST, TRAIN, Arrays, Rows, two_parts
from skelray.data.formats.listing import walk
from skelray.data.formats.names import stem_of
from skelray.data.formats.sources import File, head
from skelray.data.formats.unpickle import unpickle
from skelray.data.stored import NO_NPY, DataError
from skelray.skeleton import KINECT_V2

PARTS = {"train": TRAIN, "val": TEST}
POSITION = re.compile(r"(train|val)_position\.npy")
DATA = re.compile(r"(train|val)_data\.npy")
DATA_JOINT = re.compile(r"(train|val)_data_joint\.npy")
HEADER = 1 << 14  # bytes in which the header of an array must end
FIRST_TWO = "bodies beyond the first two of a frame, and frames after the last of the array"


def open_position(source: Path) -> Arrays:
    """Opens SkeletonCLR's arrays. Raises DataError if they are incomplete."""
    return _opened(source, POSITION)


def open_data(source: Path) -> Arrays:
    """Opens ST-GCN's arrays. Raises DataError if they are incomplete."""
    return _opened(source, DATA, FIRST_TWO)


def open_data_joint(source: Path) -> Arrays:
    """Opens skeleton-contrast's and HiCo's arrays. Raises DataError if they are incomplete."""
    return _opened(source, DATA_JOINT)


def holds_sequences(name: str, file: File) -> bool:
    """Returns whether an array holds sequences, by its shape. Raises one of UNREADABLE."""
    text = io.BytesIO(head(file, HEADER))
    with suppress(*NO_NPY):
        shape, _, _ = array_header(text)
        return _are_sequences(shape)
    return False


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Returns shape, order and type of an array in a .npy file. Raises one of NO_NPY."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise UserError(f"npy version {version}")


def _are_sequences(shape: tuple[int, ...]) -> bool:
    """Returns whether a shape is (samples, 3, frames, 25, bodies)."""
    return len(shape) == 5 and shape[1] == 3 and shape[3] == len(KINECT_V2.joints) and 1 <= shape[4] <= 2


def _opened(source: Path, pattern: re.Pattern[str], *missing_information: str) -> Arrays:
    folder = _folder(source, pattern)
    found = {match[1]: match[0] for name in sorted(os.listdir(folder)) if (match := pattern.fullmatch(name))}
    rows = tuple(_rows(folder, part, found[part]) for part in PARTS if part in found)
    missing = [f"the {part} part: {folder} has no such array" for part in PARTS if part not in found]
    return Arrays(rows, two_parts(folder), stem_of(folder), 0, (*missing_information, *missing), released=True)


def _folder(source: Path, pattern: re.Pattern[str]) -> Path:
    """Returns the one folder below a source that holds such arrays."""
    if source.is_file():
        return source.parent
    found = [Path(folder) for folder, names in walk(source) if any(map(pattern.fullmatch, names))]
    if len(found) > 1:
        names = ", ".join(sorted(str(folder) for folder in found))
        raise DataError(f"{source} holds the same samples divided in several ways: give one of {names}")
    return found[0]


def _rows(folder: Path, part: str, file: str) -> Rows:
    array = mapped(folder / file)
    if not _are_sequences(array.shape):
        raise DataError(f"{folder / file} holds {array.shape}, not (samples, 3, frames, {len(KINECT_V2.joints)}, bodies)")
    names, labels = _labels(folder, part)
    lengths = folder / f"{part}_num_frame.npy"
    if len(labels) != len(array):
        raise DataError(f"{folder / file} holds {len(array)} samples, but there are {len(labels)} labels beside it")
    frames = _lengths(lengths, len(array), array.shape[2]) if lengths.exists() else None
    return Rows(
        read=lambda at: two_bodies(np.asarray(array[at], np.float32).transpose(1, 3, 2, 0)),  # (T, M, V, 3)
        labels=labels,
        names=names,
        parts=np.full(len(array), PARTS[part]),
        source=file,
        frames=frames,
    )


def _lengths(path: Path, count: int, most: int) -> np.ndarray:
    """Returns the recorded frames, (count,) int64. Raises DataError for anything else."""
    stored = mapped(path)
    if stored.size != count or len(stored) != count:
        raise DataError(f"{path} holds {stored.shape}, not a number of frames for each of {count} samples")
    frames = np.asarray(stored).reshape(-1)
    wrong = frames[~((frames >= 0) & (frames <= most) & (frames == np.floor(frames)))]  # so is NaN
    if len(wrong):
        raise DataError(f"{path} says that {wrong[0]} frames were recorded, of an array of {most}")
    return frames.astype(np.int64)


def two_bodies(clip: np.ndarray) -> np.ndarray:
    """Returns a clip as (T, 2, V, 3), the second body absent if there is one."""
    if clip.shape[1] == 2:
        return clip
    return np.concatenate([clip[:, :1], np.zeros_like(clip[:, :1])], axis=1)


def mapped(path: Path) -> np.ndarray:
    """Memory-maps an array of numbers. Raises DataError if it is truncated or corrupt."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except NO_NPY as error:
        raise DataError(f"{path} is truncated or corrupt ({' '.join(str(error).split())[:100]})") from error
    if not isinstance(array, np.memmap) or array.dtype.kind not in "fiu" or not array.ndim:
        raise DataError(f"{path} is no array of numbers")
    return array


def _labels(folder: Path, part: str) -> tuple[list[str], np.ndarray]:
    """Returns (names, labels) of a part; no names if the labels are an array."""
    pickled, array = folder / f"{part}_label.pkl", folder / f"{part}_label.npy"
    if pickled.exists():
        stored = unpickle(pickled)
        if not isinstance(stored, (tuple, list)) or len(stored) < 2:
            raise DataError(f"{pickled} holds no pair of names and labels")
        names, labels = texts(stored[0], pickled), integers(stored[1], pickled)
        if len(names) != len(labels):
            raise DataError(f"{pickled} holds {len(names)} names and {len(labels)} labels")
        return names, labels
    if array.exists():
        return [], integers(mapped(array), array)
    raise DataError(f"{folder} lacks {pickled.name}, which says what the samples are")


def texts(values: object, path: Path) -> list[str]:
    """Returns a list of texts. Raises DataError for anything else."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) for name in listed):
        raise DataError(f"{path} holds names that are no texts")
    return [str(name) for name in listed]


def integers(values: object, path: Path) -> np.ndarray:
    """Returns (N,) int64, none negative. Raises DataError for anything else.

    Nested lists are not followed: a small pickle may hold the same list a billion times.
    """
    try:
        if not isinstance(values, np.ndarray) and not (isinstance(values, (list, tuple)) and all(map(_is_whole, values))):
            raise UserError("they are no list of whole numbers")
        labels = np.asarray(values).reshape(-1)
        if labels.dtype.kind not in "iu" and len(labels):
            raise UserError(f"they are {labels.dtype}")
        if len(labels) and int(labels.min()) < 0:
            raise UserError(f"one is {labels.min()}")
        return labels.astype(np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path} holds labels that are no classes ({error})") from error


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
