"""The contents of a source: folders and zips listed once, and files identified by their names."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from skelray.data.formats.sources import BOUNDED, Archive, LooseFile, Member, PackedFile
from skelray.data.report import shortened
from skelray.data.stored import DataError

COPIED = r"(?: ?\(\d+\)| - Copy(?: \(\d+\))?)?"  # what browsers and Windows add to the names of copies
LINKED_FILE = re.compile(r".+\.(?:skeleton|txt|json|npy|npz|pkl|mat|zip)", re.IGNORECASE)


def coded(code: str, ending: str) -> re.Pattern[str]:
    """Compiles a pattern of a code and an ending, ignoring case and the suffixes that systems add to copies and texts."""
    return re.compile(f"{code}{COPIED}{ending}(?:\\.txt)?", re.IGNORECASE)


def members(source: Path | None, pattern: re.Pattern[str], what: str, case: Callable[[str], str] = str) -> list[Member]:
    """Returns the files of a source whose names match a pattern, sorted by name.

    case: converts the first group to the letter case of recordings' names. Raises DataError if there is none; ``what`` names
    what was looked for.
    """
    if source is None or not exists(source):
        raise DataError(f"there is no {source or 'source given'}: name the folder or zip that holds {what}")
    if found := matching(source, pattern, case):
        return found
    raise DataError(f"{source} holds no {what}")


def matching(source: Path, pattern: re.Pattern[str], case: Callable[[str], str] = str) -> list[Member]:
    """Returns what ``members`` does, or an empty list. Of files with one name, copies come last."""
    found = [
        Member(match, path, file, case(match[1]))
        for path, file in listing(source)
        if (match := pattern.fullmatch(path.rsplit("/", 1)[-1]))
    ]
    found.sort(key=lambda member: (member.name, len(member.match[0]), member.path))
    return [replace(member, repeated=at > 0 and found[at - 1].name == member.name) for at, member in enumerate(found)]


def exists(source: Path) -> bool:
    """Returns whether the source exists. Raises DataError if that cannot be determined."""
    try:
        return source.exists()
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror or error})") from error


def listing(source: Path) -> Iterator[tuple[str, LooseFile | PackedFile]]:
    """Yields every file below a source, including those in its zips, with its path relative to the source.

    If the source is a file, yields that file, or its contents if it is a zip. An .npz is a zip but counts as a file.
    Raises DataError if a zip or a folder cannot be read.
    """
    if source.is_file():
        suffix = source.suffix.lower()
        packed = suffix == ".zip" or (suffix not in (".npz", ".xlsx") and zipfile.is_zipfile(source))
        yield from _archive(source, "") if packed else [(source.name, LooseFile(source))]
        return
    for folder, names in walk(source):
        inside = Path(folder).relative_to(source).as_posix()
        prefix = "" if inside == "." else inside + "/"
        for name in names:
            path = os.path.join(folder, name)
            if name.lower().endswith(".zip") and not name.startswith("."):
                yield from _archive(Path(path), prefix + name + "/")
            else:
                yield prefix + name, LooseFile(path)


def walk(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields every folder below a source with the names of its files, in order, following links into each folder once.

    Raises DataError at the end if folders could not be read or links lead nowhere, as their files would be left out; a
    broken
    link named as a file is reported when it is read.
    """
    seen: set[tuple[int, int]] = set()
    unread: list[str] = []
    waiting = [str(source)]
    while waiting:
        folder = waiting.pop()
        try:
            stat = os.stat(folder)
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            inside, names, lost = _entries(folder)
        except OSError as error:
            unread.append(f"{folder} ({error.strerror or error})")
            continue
        unread += [f"{os.path.join(folder, name)} (a link that leads nowhere)" for name in lost]
        yield folder, sorted(names)
        waiting += [os.path.join(folder, name) for name in sorted(inside, reverse=True)]
    if unread:
        raise DataError(
            f"{source} holds {len(unread)} folders or links that cannot be read, whose recordings would be left out: "
            f"{shortened(unread)}. Make them readable, or take them away"
        )


def _entries(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Returns the folders and files in a folder, and its broken links. Raises OSError."""
    inside, names, lost = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # links that lead to each other, or into a closed folder
                is_folder = False
            if is_folder:
                inside.append(entry.name)
            elif entry.is_symlink() and not LINKED_FILE.fullmatch(entry.name) and not os.path.exists(entry.path):
                lost.append(entry.name)
            else:
                names.append(entry.name)
    return inside, names, lost


def files_below(source: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Returns the files below a source whose names match a pattern, sorted."""
    return sorted(Path(folder, name) for folder, names in walk(source) for name in names if pattern.fullmatch(name))


def _archive(path: Path, prefix: str) -> Iterator[tuple[str, PackedFile]]:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise OSError("a link that leads nowhere" if path.is_symlink() else "no file")
        archive = Archive(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:  # the last: of a later zip version
        raise DataError(f"{path} is not a readable zip ({error}): fetch it again, or move it elsewhere") from error
    for info in archive.zip.infolist():
        if info.is_dir():
            continue
        if info.compress_type not in BOUNDED:
            method = {9: "deflate64", 12: "bzip2", 14: "LZMA"}.get(info.compress_type, f"method {info.compress_type}")
            raise DataError(f"{path} is packed by {method}, which is not read: pack it by deflate, as zip does by itself")
        yield prefix + info.filename, PackedFile(archive, info)
