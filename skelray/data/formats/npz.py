"""The ``.npz`` of CTR-GCN, SGN and MAMP: x_train, y_train, x_test, y_test, without names.

x is (N, 300, 150): two bodies of 25 joints a frame, moved so that joint 2 of the first frame is at zero; y is one-hot.
What numpy stored uncompressed is memory-mapped where it lies in the file; what it compressed is read as a stream.
"""

from __future__ import annotations

import io
import os
import re
import struct
import weakref
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from skelray.checks import UserError
from skelray.data.formats.arrays import TEST, TRAIN, Arrays, Rows, two_parts
from skelray.data.formats.listing import files_below
from skelray.data.formats.names import stem_of
from skelray.data.formats.npy import HEADER, array_header, integers, two_bodies
from skelray.data.formats.sources import BLOCK, BOUNDED, LARGEST, UNREADABLE, File, LooseFile, PackedFile
from skelray.data.formats.stated import LISTS, StatedLabel, stated_labels
from skelray.data.stored import NO_NPY, DataError
from skelray.skeleton import KINECT_V2

NAME = re.compile(r".+\.npz", re.IGNORECASE)
KEYS = ("x_train", "y_train", "x_test", "y_test")
JOINTS = len(KINECT_V2.joints)
AWAY = np.array([0, 0, 3], np.float32)  # metres from the camera


def holds_them(name: str, file: File) -> bool:
    """Returns whether a file has the four arrays; a large one in a zip by its name. Raises OSError."""
    if isinstance(file, PackedFile) and file.info.file_size > LARGEST:
        return True
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            return {f"{key}.npy" for key in KEYS} <= set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError):
        return False


def _is_one(path: Path) -> bool:
    with suppress(OSError):
        return holds_them(path.name, LooseFile(path))
    return False


def open_npz(source: Path) -> Arrays:
    """Opens the arrays of such a file. Raises DataError if they are incomplete."""
    paths = [source] if source.is_file() else [path for path in files_below(source, NAME) if _is_one(path)]
    if len(paths) > 1:
        raise DataError(
            f"{source} holds several such files: give one of {', '.join(map(str, paths))}; each is a data set of "
            "its own, and two of one benchmark take a --name each"
        )
    if not paths:
        raise DataError(f"{source} holds no npz of {', '.join(KEYS)}")
    (path,) = paths
    parts, classes = [], 0
    for part, code in (("train", TRAIN), ("test", TEST)):
        labels, count = _labels(path, f"y_{part}")
        rows = ZippedArray(path, f"x_{part}")
        if len(rows.shape) != 3 or rows.shape[2] not in (3 * JOINTS, 6 * JOINTS) or rows.shape[0] != len(labels):
            raise DataError(
                f"{path}: x_{part} is {rows.shape} with {len(labels)} labels, not (samples, frames, {6 * JOINTS})"
            )
        parts.append(Rows(rows.bodies, labels, (), np.full(len(labels), code), f"x_{part}"))
        classes = max(classes, count)
    missing_information = ("where the people stood: joint 2 of the first frame is at zero",)
    return Arrays(tuple(parts), two_parts(path), stem_of(path), classes, missing_information, stated=_stated_labels(path))


class ZippedArray:
    """One array of an npz, read row by row. Raises DataError unless it is a complete C-order array of numbers."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.name = path, f"{key}.npy"
        try:
            with zipfile.ZipFile(path) as archive:
                self.info = archive.getinfo(self.name)
                if self.info.compress_type not in BOUNDED:
                    raise UserError(f"{self.name} is not packed by deflate")
                with archive.open(self.info) as file:
                    header = io.BytesIO(file.read(HEADER))
                self.shape, fortran, self.dtype = array_header(header)
                self.start = header.tell()
        except (*UNREADABLE, *NO_NPY, KeyError) as error:
            raise DataError(f"{path} is no npz of {', '.join(KEYS)} ({' '.join(str(error).split())[:100]})") from error
        self.bytes = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize  # of a row
        whole = self.start + self.bytes * self.shape[0] == self.info.file_size if self.shape else False
        if fortran or not whole or self.dtype.kind not in "fiu" or not 0 < self.bytes <= LARGEST:
            raise DataError(f"{path}: {key} is no whole array of numbers ({self.shape} of {self.dtype})")
        self._stream: tuple[int, IO[bytes]] | None = None  # of which process, and where it stands
        self._mapped = self._map() if self.info.compress_type == zipfile.ZIP_STORED else None

    def _map(self) -> np.ndarray:
        with open(self.path, "rb") as file:
            file.seek(self.info.header_offset + 26)
            lengths = struct.unpack("<HH", file.read(4))  # of the name and of the extra field, which data follow
        offset = self.info.header_offset + 30 + sum(lengths) + self.start
        try:
            return np.memmap(self.path, self.dtype, "r", offset, self.shape)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: {self.name} is truncated ({error})") from error

    def row(self, at: int) -> np.ndarray:
        """Returns one row. Raises OSError, EOFError or zipfile.BadZipFile if it cannot be read."""
        if self._mapped is not None:
            return self._mapped[at]
        place = self.start + at * self.bytes
        if self._stream is None or self._stream[0] != os.getpid():  # the place in the file is shared with the parent
            stream = zipfile.ZipFile(self.path).open(self.info)  # noqa: SIM115
            weakref.finalize(self, stream.close)
            self._stream = os.getpid(), stream
        self._stream[1].seek(place)  # forwards it reads on, backwards it starts again
        raw = self._stream[1].read(self.bytes)
        if len(raw) != self.bytes:
            raise EOFError(f"{self.name} ends early")
        return np.frombuffer(raw, self.dtype).reshape(self.shape[1:])

    def all(self) -> np.ndarray:
        """Returns all rows. Raises as ``row`` does, and OSError if they do not fit into memory."""
        size = self.bytes * self.shape[0]
        if size > LARGEST:
            raise OSError(f"{size} bytes")
        if self._mapped is not None:
            return np.array(self._mapped)
        with zipfile.ZipFile(self.path) as archive, archive.open(self.info) as file:
            file.seek(self.start)
            raw = b"".join(iter(lambda: file.read(BLOCK), b""))
        if len(raw) != size:
            raise EOFError(f"{self.name} ends early")
        return np.frombuffer(raw, self.dtype).reshape(self.shape)

    def bodies(self, at: int) -> np.ndarray:
        """Returns a row as (T, 2, 25, 3) float32, translated, as a joint at zero would count as missing."""
        row = np.asarray(self.row(at), np.float32)
        bodies = two_bodies(row.reshape(len(row), -1, JOINTS, 3))
        return np.where(bodies.any(axis=(2, 3), keepdims=True), bodies + AWAY, 0)


def _stated_labels(path: Path) -> tuple[StatedLabel, ...]:
    """Returns the names of the classes, if the file lists them."""
    with zipfile.ZipFile(path) as archive, suppress(*UNREADABLE, *NO_NPY):
        for key in LISTS:
            if f"{key}.npy" in archive.namelist() and archive.getinfo(f"{key}.npy").file_size < BLOCK:
                return stated_labels(np.load(io.BytesIO(archive.read(f"{key}.npy")), allow_pickle=False))
    return ()


def _labels(path: Path, key: str) -> tuple[np.ndarray, int]:
    """Returns the labels of a part and the number of classes; stored as (N, classes) one-hot or (N,) numbers."""
    member = ZippedArray(path, key)
    try:
        values = member.all()
    except UNREADABLE as error:
        raise DataError(f"{path}: {key} cannot be read ({error})") from error
    if values.ndim == 1:
        labels = integers(values, path)
        return labels, int(labels.max(initial=-1)) + 1
    if values.ndim != 2 or not ((values == 0) | (values == 1)).all() or not (values.sum(axis=1) == 1).all():
        raise DataError(f"{path}: {key} is {values.shape} and not one-hot")
    return values.argmax(axis=1), values.shape[1]
