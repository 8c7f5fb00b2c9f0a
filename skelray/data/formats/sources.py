"""Files of a source, loose or in a zip, and the recordings read from them one by one, in memory."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from skelray.data.benchmark import LeftOut, Recording, Skipped
from skelray.data.formats.text import decode
from skelray.data.report import UNREAD
from skelray.data.stored import DataError

LARGEST = 1 << 28  # bytes; no recording is near it, an archive made to fill the memory is
BLOCK = 1 << 20  # bytes that are unpacked at once
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what is unpacked as far as it is asked for, and no farther
HEAD = 1000  # bytes of a file that are looked at
# What reading raises over a damaged file or zip; RuntimeError over an encrypted one, and over JSON that is too deep.
UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)


@dataclass(frozen=True, slots=True)
class LooseFile:
    """A file in a folder."""

    path: str | Path

    @property
    def version(self) -> tuple[int, int]:
        """Returns numbers that change with the file; -1 for an unreachable one, which is skipped when it is read."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return -1, -1
        return stat.st_size, stat.st_mtime_ns

    @property
    def checksum(self) -> tuple[int, int]:
        """Returns size and CRC, as for a packed file, equal for a copy; -1 for an unreadable one, which is skipped."""
        size = sum_ = 0
        try:
            if not os.path.isfile(self.path):
                return -1, -1
            with open(self.path, "rb") as file:
                while block := file.read(BLOCK):
                    size, sum_ = size + len(block), zlib.crc32(block, sum_)
        except OSError:
            return -1, -1
        return size, sum_

    def open(self) -> IO[bytes]:
        if not os.path.isfile(self.path):  # a pipe would be waited for
            raise OSError(f"{self.path} is no file")
        return open(self.path, "rb")

    def read(self) -> bytes:
        with self.open() as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise OSError(f"{self.path} has more than {LARGEST} bytes")
        return text


class Archive:
    """A zip whose members any process reads into memory; nothing is unpacked to disk."""

    def __init__(self, path: str | Path) -> None:
        self.zip = zipfile.ZipFile(path)
        self._opened_by = os.getpid()

    def read(self, info: zipfile.ZipInfo) -> bytes:
        if info.file_size > LARGEST:
            raise OSError(f"{info.filename} has {info.file_size} bytes")
        with self.open(info) as file:  # in blocks: the size that a zip states is not believed
            return b"".join(iter(lambda: file.read(BLOCK), b""))

    def open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        if self._opened_by != os.getpid():  # a forked process would share the place in the file with its parent
            self.zip.fp = open(str(self.zip.filename), "rb")  # noqa: SIM115
            self._opened_by = os.getpid()
        return self.zip.open(info)


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file in a zip."""

    archive: Archive
    info: zipfile.ZipInfo

    @property
    def version(self) -> tuple[int, int]:
        """Returns numbers that change with the file."""
        return self.info.file_size, self.info.CRC

    checksum = version

    def open(self) -> IO[bytes]:
        return self.archive.open(self.info)

    def read(self) -> bytes:
        return self.archive.read(self.info)


File = LooseFile | PackedFile


@dataclass(frozen=True, slots=True)
class Member:
    """The file of one recording in a source.

    match: its file name, matched by the benchmark's pattern. path: relative to the source. name: of the recording.
    repeated: an earlier file has the same name.
    """

    match: re.Match[str]
    path: str
    file: File
    name: str
    repeated: bool = False


class Recordings(Sequence[Recording | Skipped]):
    """The recordings of a source, each read when it is asked for.

    parse: raises ValueError for a text that is no recording; such a file is skipped.
    settings: whatever else decides the result, such as the content of other files; part of the stamp.
    """

    notes: tuple[str, ...] = ()  # what the report says of them, one sentence each

    def __init__(
        self, members: Sequence[Member], parse: Callable[[Member], Recording | Skipped], settings: str = ""
    ) -> None:
        self.members = members
        self.parse = parse
        self.settings = settings

    @property
    def stamp(self) -> str:
        """Returns a hash of the names and versions of the files and of the settings."""
        return self._stamped([member.file.version for member in self.members])

    @property
    def content(self) -> str:
        """Returns a hash of the files' content, equal for a copy, unlike ``stamp``; reads every file outside a zip."""
        return self._stamped([member.file.checksum for member in self.members])

    def _stamped(self, versions: Sequence[tuple[int, int]]) -> str:
        listed = [(member.match[0], *version) for member, version in zip(self.members, versions, strict=True)]
        return stamp([*listed, (self.settings,)] if self.settings else listed)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Recordings(self.members[at], self.parse, self.settings)
        member = self.members[at]
        if member.repeated:
            return Skipped(member.name, "the source holds it twice")
        return read_or_skip(member.name, lambda: self.parse(member))


def read_or_skip(name: str, read: Callable[[], Recording | Skipped]) -> Recording | Skipped:
    """Returns the result of ``read``, or Skipped if the bytes cannot be read or are invalid."""
    try:
        return read()
    except LeftOut as reason:
        return Skipped(name, str(reason))
    except UNREADABLE:
        return Skipped(name, UNREAD)
    except (ValueError, IndexError, KeyError, TypeError, ArithmeticError):  # the last: no number fits Infinity
        return Skipped(name, "broken or truncated file")


def content(member: Member) -> bytes:
    """Returns a file on which all others depend. Raises DataError if it cannot be read."""
    try:
        return member.file.read()
    except UNREADABLE as error:
        raise DataError(f"{member.path} cannot be read ({error})") from error


def lines(member: Member) -> list[str]:
    """Returns the lines of a text file that describes the others. Raises DataError if it cannot be read."""
    try:
        return decode(content(member)).splitlines()
    except UnicodeError as error:
        raise DataError(f"{member.path} cannot be read ({error})") from error


def head(file: File, size: int = HEAD) -> bytes:
    """Returns the first bytes of a file. Raises one of UNREADABLE."""
    with file.open() as stream:
        return stream.read(size)


def stamp(listing: Iterable[tuple[str | int, ...]]) -> str:
    """Returns a hash of a listing of files."""
    digest = hashlib.sha256(b"[")
    for number, item in enumerate(listing):
        digest.update((", " * (number > 0) + json.dumps(item)).encode())
    digest.update(b"]")
    return digest.hexdigest()
