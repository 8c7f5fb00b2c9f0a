"""Where raw recordings lie: a folder, a zip or a folder of zips, listed once and read one by one in memory."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skelray.data.benchmark import Recording, Skipped
from skelray.data.dataset import DataError

LARGEST = 1 << 28  # bytes; no recording is near it, an archive made to fill the memory is


@dataclass(frozen=True)
class LooseFile:
    """A file in a folder."""

    path: Path

    @property
    def version(self) -> tuple[int, int]:
        """Changes where the file does."""
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    def read(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class PackedFile:
    """A file in a zip; it is read into memory and never unpacked to disk."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    @property
    def version(self) -> tuple[int, int]:
        """Changes where the file does."""
        return self.info.file_size, self.info.CRC

    def read(self) -> bytes:
        if self.info.file_size > LARGEST:
            raise OSError(f"{self.info.filename} has {self.info.file_size} bytes")
        return self.archive.read(self.info)


@dataclass(frozen=True)
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
    """

    def __init__(self, members: Sequence[Member], parse: Callable[[Member], Recording | Skipped]) -> None:
        self.members = members
        self.parse = parse

    @property
    def stamp(self) -> str:
        """Hash of the names and versions of the files: changes where one of them does."""
        listing = [(member.match[0], *member.file.version) for member in self.members]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Recordings(self.members[at], self.parse)
        member = self.members[at]
        name = member.match[1]
        if member.repeated:
            return Skipped(name, "the source holds it twice")
        try:
            return self.parse(member)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):  # RuntimeError: an encrypted zip
            return Skipped(name, "its bytes cannot be read")
        except (ValueError, IndexError, KeyError, TypeError, ArithmeticError):  # the last: no number fits Infinity
            return Skipped(name, "broken or truncated file")


def members(source: Path | None, pattern: re.Pattern[str], what: str) -> list[Member]:
    """The files of a source whose names match a pattern, sorted by name.

    Raises DataError where there is none; ``what`` says what was looked for.
    """
    if source is None or not source.exists():
        raise DataError(f"there is no {source or 'source given'}: name the folder or zip that holds {what}")
    found = [
        Member(match, path, file) for path, file in _listing(source) if (match := pattern.fullmatch(path.rsplit("/", 1)[-1]))
    ]
    if not found:
        raise DataError(f"{source} holds no {what}")
    found.sort(key=lambda member: (member.match[1], member.path))
    names = [member.match[1] for member in found]
    return [replace(member, repeated=at > 0 and names[at - 1] == names[at]) for at, member in enumerate(found)]


def _listing(source: Path) -> Iterator[tuple[str, LooseFile | PackedFile]]:
    if source.is_file():
        yield from _archive(source, "")
        return
    for folder, _, names in os.walk(source):
        for path in (Path(folder, name) for name in names):
            relative = path.relative_to(source).as_posix()
            if path.suffix.lower() == ".zip":
                yield from _archive(path, relative + "/")
            else:
                yield relative, LooseFile(path)


def _archive(path: Path, prefix: str) -> Iterator[tuple[str, PackedFile]]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:  # the last: of a later zip version
        raise DataError(f"{path} is not a readable zip ({error})") from error
    for info in archive.infolist():
        if not info.is_dir():
            yield prefix + info.filename, PackedFile(archive, info)
