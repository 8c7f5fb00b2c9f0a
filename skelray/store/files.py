"""Files by name, in a local folder or on any pyarrow file system.

A local file is written beside its place, brought to the disk and moved there; an object store takes one whole or not at all.
So a killed writer never leaves half of one, and what refers to a file is never there before it. A file that was damaged from
outside is as good as none: it is kept aside as <name>.damaged, which is logged, and made again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyarrow import fs

from skelray.atomic import STALE
from skelray.store import lease, lock
from skelray.store.checksum import load_with_checksum, with_checksum, without_checksum
from skelray.store.remote import is_uri, open_filesystem, retry

log = logging.getLogger("skelray")
WHOLE = ("s3", "gcs")  # file systems that have no folders, and take a file whole or not at all


class StoreError(OSError):
    """The store cannot be read or written; one sentence."""


class InUse(StoreError):
    """Another process has the claim."""


class Files:
    """Reads, writes, lists and claims the files under a root.

    root: a local path or a URI that pyarrow knows (s3://bucket/prefix, gs://...).
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        if is_uri(self.root):
            self.files, self.path = open_filesystem(self.root)
        else:
            self.root = self.path = str(Path(root).absolute())
            self.files = fs.LocalFileSystem()
        self.local = isinstance(self.files, fs.LocalFileSystem)
        self.whole = self.files.type_name in WHOLE
        self._known: dict[str, Any] = {}  # what an object store was asked for once and does not change
        self._seen: set[str] = set()  # files that it was asked for and has

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file; None where there is none, or a folder, which is set aside."""
        try:
            return retry(lambda: self._content(name))
        except FileNotFoundError:
            return None
        except OSError:
            if not self._is_folder(name):
                raise
            self.set_aside(name, "it is a folder")
            return None

    def _content(self, name: str) -> bytes:
        with self.files.open_input_stream(f"{self.path}/{name}") as stream:
            found: bytes = stream.read()
        return found

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file at once. Raises StoreError where it cannot; what was there stays."""
        self._known.pop(name, None)
        try:
            if self.whole:
                retry(lambda: self._put(f"{self.path}/{name}", content))
            else:
                self._replace(name, content)
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise StoreError(
                f"{self.root}/{name} was not written: {why}; the run goes on from here when started again"
            ) from error

    def _put(self, path: str, content: bytes) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)

    def _replace(self, name: str, content: bytes) -> None:
        folder, _, file = f"{self.path}/{name}".rpartition("/")
        temporary = f"{folder}/.{file}.{uuid.uuid4().hex}.tmp"
        try:
            self.files.create_dir(folder, recursive=True)
            self._put(temporary, content)
            if self.local:
                to_disk(temporary)
            if self._is_folder(name):
                self.set_aside(name, "it is a folder")
            self.files.move(temporary, f"{folder}/{file}")
            if self.local:
                to_disk(folder)
        except OSError:
            with contextlib.suppress(OSError):
                self.files.delete_file(temporary)
            raise

    def remove(self, name: str) -> None:
        self._forget(name)
        with contextlib.suppress(FileNotFoundError):
            retry(lambda: self.files.delete_file(f"{self.path}/{name}"))

    def has(self, name: str) -> bool:
        """Returns whether there is such a file; an object store is not asked again for what it has."""
        if name in self._seen:
            return True
        found: bool = retry(lambda: self.files.get_file_info(f"{self.path}/{name}")).is_file
        if found and not self.local:
            self._seen.add(name)
        return found

    def names(self, folder: str) -> list[str]:
        """Returns the files in a folder, sorted."""
        return sorted(info.base_name for info in self.listed(folder) if info.is_file)

    def folders(self, folder: str = "") -> list[str]:
        """Returns the folders of the store, or within a folder, sorted: ids of trials, and a few others."""
        return sorted(info.base_name for info in self.listed(folder) if not info.is_file)

    def listed(self, folder: str, below: bool = False) -> list[fs.FileInfo]:
        """Returns the names of what is in a folder. below: in its folders, too."""
        place = fs.FileSelector(f"{self.path}/{folder}".rstrip("/"), allow_not_found=True, recursive=below)
        found: list[fs.FileInfo] = retry(lambda: self.files.get_file_info(place))
        return found

    def _is_folder(self, name: str) -> bool:
        return self.files.get_file_info(f"{self.path}/{name}").type == fs.FileType.Directory

    def read_json(self, name: str, fits: Callable[[Any], bool] = lambda content: True, lasts: bool = False) -> Any:
        """Reads JSON; None where there is none, or a damaged one, which is set aside. fits: tells the right shape.

        lasts: once there, it stays as it is, so that an object store is asked for it once.
        """
        if name in self._known:
            return self._known[name]
        content = self.read(name)
        if content is None:
            return None
        try:
            found = without_checksum(content)
            if fits(found):
                if lasts and not self.local:
                    self._known[name] = found
                return found
            why = "its content is of another kind"
        except (ValueError, RecursionError) as error:
            why = str(error) or type(error).__name__
        self.set_aside(name, why)
        return None

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._seen.discard(name)

    def knows(self, name: str) -> bool:
        """Returns whether JSON that lasts has been read or written here, so that nobody is asked for it."""
        return name in self._known

    def write_json(self, name: str, content: Any, lasts: bool = False) -> None:
        """Writes JSON with its checksum. lasts: as for ``read_json``."""
        text = with_checksum(content)
        self.write(name, text)
        if lasts and not self.local:
            self._known[name] = without_checksum(text)

    def read_packed(self, name: str, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        """Reads tensors and plain containers, as ``read_json`` reads JSON."""
        content = self.read(name)
        if content is None:
            return None
        found = load_with_checksum(content)
        if found is not None and fits(found):
            return found
        self.set_aside(name, "its content is not what was written")
        return None

    def set_aside(self, name: str, why: str) -> None:
        """Keeps a damaged file as NAME.damaged, or with a number, so that it is made again; logs it in one line."""
        self._forget(name)
        folder, _, file = name.rpartition("/")
        there = [info for info in self.listed(folder) if info.base_name.startswith(f"{file}.damaged")]
        aside = f"{file}.damaged" + (f".{len(there) + 1}" if there else "")
        said = " ".join(why.split())[:200]
        try:
            self.files.move(f"{self.path}/{name}", f"{self.path}/{folder}/{aside}")
        except FileNotFoundError:
            return  # another process has just done so
        except OSError as error:
            log.warning("%s/%s is damaged (%s), cannot be moved (%s), and counts as missing", self.root, name, said, error)
            return
        log.warning("%s/%s is damaged (%s): kept aside as %s, it counts as missing", self.root, name, said, aside)

    @contextlib.contextmanager
    def claim(self, name: str, file: str = ".lock", free: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Claims a name for one process until it ends, however it ends: at once by a lock, or as ``lease`` says.

        Others wait, and say for whom. free: as for ``lock.held``.
        """
        what = f"trial {name}"
        if not self._has_locks(name):
            with lease.hold_lease(self, self._tickets(name, file), what, free):
                yield
            return
        path = self._lock(name, file)
        with lock.hold_lock(path, what, free):
            self._clean(path.parent)
            yield

    @contextlib.contextmanager
    def claim_at_once(self, name: str, file: str = ".lock") -> Iterator[None]:
        """Claims a name without waiting. Raises InUse, which says who has it."""
        with contextlib.ExitStack() as stack:
            try:
                if self._has_locks(name):
                    path = self._lock(name, file)
                    stack.enter_context(lock.hold_lock_at_once(path))
                    self._clean(path.parent)
                else:
                    stack.enter_context(lease.hold_lease_at_once(self, self._tickets(name, file)))
            except BlockingIOError as error:
                who = f"{self.path}/{name} is in use by another run of this study ({error})"
                raise InUse(f"{who}: wait until it has ended") from None
            yield

    def in_use(self, name: str) -> bool:
        """Returns whether any process may have a claim on it now; a ticket that someone dead has left counts as one."""
        if self._has_locks(name):
            return any(lock.is_held(path) for path in (Path(self.path) / name).glob(".lock*"))
        tickets = (info for info in self.listed(name, below=True) if lease.is_ticket(info))
        return any(info.size or not self.whole for info in tickets)

    def _has_locks(self, name: str) -> bool:
        """Returns whether the store is on a file system of this machine's or one shared with it that has locks."""
        return self.local and lock.locks_work(self._lock(name, ".lock"))

    @staticmethod
    def _tickets(name: str, file: str) -> str:
        return f"{name}/claims{file.removeprefix('.lock')}"

    def _lock(self, name: str, file: str) -> Path:
        folder = Path(self.path) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to: {error}") from error
        return folder / file

    def _clean(self, folder: Path) -> None:
        for leftover in folder.glob(".*.tmp"):  # of a writer that was killed; a live one takes no hour
            with contextlib.suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > STALE:
                    leftover.unlink()


def to_disk(path: str) -> None:
    """Waits until a file, or which files a folder has, would outlast a loss of power."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
