"""Where raw recordings lie: a folder, a zip or a folder of zips, listed once and read one by one in memory."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from skelray.data.benchmark import Recording, Skipped
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
        """Changes where the file does; -1 of a link that leads nowhere, which is skipped when it is read."""
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            return -1, -1
        return stat.st_size, stat.st_mtime_ns

    @property
    def checksum(self) -> tuple[int, int]:
        """Size and CRC, as of a packed file: the same of a copy. -1 of what cannot be read, which is skipped."""
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

    def read(self) -> bytes:
        if not os.path.isfile(self.path):  # a pipe would be waited for
            raise OSError(f"{self.path} is no file")
        with open(self.path, "rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise OSError(f"{self.path} has more than {LARGEST} bytes")
        return text


class Archive:
    """A zip whose members are read into memory by whichever process asks; nothing is ever unpacked to disk."""

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
        """Changes where the file does."""
        return self.info.file_size, self.info.CRC

    checksum = version

    def read(self) -> bytes:
        return self.archive.read(self.info)


@dataclass(frozen=True, slots=True)
class Member:
    """One recording's file in a source.

    match: its file name, matched by the pattern of the benchmark; the first group names the recording.
    path: where it lies, relative to the source. repeated: a file of the same name came before.
    """

    match: re.Match[str]
    path: str
    file: LooseFile | PackedFile
    repeated: bool = False


class Recordings(Sequence[Recording | Skipped]):
    """The recordings of a source, each read when it is asked for.

    parse: raises ValueError where the text is not a recording; such a file is skipped.
    settings: whatever else decides the result, such as what other files say; part of the stamp.
    """

    def __init__(
        self, members: Sequence[Member], parse: Callable[[Member], Recording | Skipped], settings: str = ""
    ) -> None:
        self.members = members
        self.parse = parse
        self.settings = settings

    @property
    def stamp(self) -> str:
        """Hash of the names and versions of the files and of the settings: changes where one of them does."""
        return self._stamped([member.file.version for member in self.members])

    @property
    def content(self) -> str:
        """As ``stamp``, but the same of a copy, whose files are of another time; reads every file that is not in a zip."""
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
        name = member.match[1]
        if member.repeated:
            return Skipped(name, "the source holds it twice")
        return read_or_skip(name, lambda: self.parse(member))


def read_or_skip(name: str, read: Callable[[], Recording | Skipped]) -> Recording | Skipped:
    """What ``read`` gives; Skipped where the bytes cannot be read or are not what they should be."""
    try:
        return read()
    except UNREADABLE:
        return Skipped(name, "its bytes cannot be read")
    except (ValueError, IndexError, KeyError, TypeError, ArithmeticError):  # the last: no number fits Infinity
        return Skipped(name, "broken or truncated file")


def content(member: Member) -> bytes:
    """All of a file without which the others say nothing. Raises DataError where it cannot be read."""
    try:
        return member.file.read()
    except UNREADABLE as error:
        raise DataError(f"{member.path} cannot be read ({error})") from error


def lines(member: Member) -> list[str]:
    """The lines of a text file that says what the others are. Raises DataError where it cannot be read."""
    try:
        return content(member).decode("utf-8-sig").splitlines()
    except UnicodeError as error:
        raise DataError(f"{member.path} cannot be read ({error})") from error


def head(file: LooseFile | PackedFile) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    if isinstance(file, LooseFile) and not os.path.isfile(file.path):
        return b""
    try:
        with open(file.path, "rb") if isinstance(file, LooseFile) else file.archive.open(file.info) as stream:
            return stream.read(HEAD)
    except UNREADABLE:
        return b""


def stamp(listing: Iterable[tuple[str | int, ...]]) -> str:
    """Hash of a listing of files."""
    digest = hashlib.sha256(b"[")
    for number, item in enumerate(listing):
        digest.update((", " * (number > 0) + json.dumps(item)).encode())
    digest.update(b"]")
    return digest.hexdigest()


def members(source: Path | None, pattern: re.Pattern[str], what: str) -> list[Member]:
    """The files of a source whose names match a pattern, sorted by name.

    Raises DataError where there is none; ``what`` says what was looked for.
    """
    if source is None or not source.exists():
        raise DataError(f"there is no {source or 'source given'}: name the folder or zip that holds {what}")
    found = [
        Member(match, path, file) for path, file in listing(source) if (match := pattern.fullmatch(path.rsplit("/", 1)[-1]))
    ]
    if not found:
        raise DataError(f"{source} holds no {what}")
    found.sort(key=lambda member: (member.match[1], member.path))
    names = [member.match[1] for member in found]
    return [replace(member, repeated=at > 0 and names[at - 1] == names[at]) for at, member in enumerate(found)]


def listing(source: Path) -> Iterator[tuple[str, LooseFile | PackedFile]]:
    """Every file below a source, those inside its zips too, with its path relative to the source.

    A source that is a file is that one file, or what is in it if it is a zip. An .npz is one too, but a file of arrays.
    Raises DataError where a zip cannot be read.
    """
    if source.is_file():
        suffix = source.suffix.lower()
        packed = suffix == ".zip" or (suffix != ".npz" and zipfile.is_zipfile(source))
        yield from _archive(source, "") if packed else [(source.name, LooseFile(source))]
        return
    for folder, names in walk(source):
        inside = Path(folder).relative_to(source).as_posix()
        prefix = "" if inside == "." else inside + "/"
        for name in names:
            path = os.path.join(folder, name)
            if name.lower().endswith(".zip"):
                yield from _archive(Path(path), prefix + name + "/")
            else:
                yield prefix + name, LooseFile(path)


def walk(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below a source with the names of its files, in order. Links are followed, into each folder once."""
    seen: set[tuple[int, int]] = set()
    for folder, inside, names in os.walk(source, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            inside.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        inside.sort()
        yield folder, sorted(names)


def below(source: Path, pattern: re.Pattern[str]) -> list[Path]:
    """The files below a source whose names match a pattern, sorted."""
    return sorted(Path(folder, name) for folder, names in walk(source) for name in names if pattern.fullmatch(name))


def _archive(path: Path, prefix: str) -> Iterator[tuple[str, PackedFile]]:
    try:
        archive = Archive(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:  # the last: of a later zip version
        raise DataError(f"{path} is not a readable zip ({error})") from error
    for info in archive.zip.infolist():
        if info.is_dir():
            continue
        if info.compress_type not in BOUNDED:
            method = {9: "deflate64", 12: "bzip2", 14: "LZMA"}.get(info.compress_type, f"method {info.compress_type}")
            raise DataError(f"{path} is packed by {method}, which is not read: pack it by deflate, as zip does by itself")
        yield prefix + info.filename, PackedFile(archive, info)
