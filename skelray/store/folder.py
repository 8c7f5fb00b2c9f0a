"""The files of one trial in a store, which may be asked once which of them there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelray.store.files import Files


class TrialFolder:
    """Reads and writes files by their names in a trial's folder.

    Within ``listed_once`` an object store is listed at most once, and nothing is asked for that is not there.
    """

    def __init__(self, files: Files, id: str) -> None:
        self.files, self.id = files, id
        self._once = False
        self._names: set[str] | None = None
        self._read: dict[str, Any] = {}

    @contextlib.contextmanager
    def listed_once(self) -> Iterator[None]:
        """Takes what is there when it is first asked for as what there is, but for what is written here meanwhile."""
        outer, self._once = self._once, True
        try:
            yield
        finally:
            self._once = outer
            if not outer:
                self._names = None
                self._read.clear()

    def names(self) -> list[str]:
        """Returns the files that are there, sorted."""
        if not self._once:
            return self.files.names(self.id)
        if self._names is None:
            self._names = set(self.files.names(self.id))
        return sorted(self._names)

    def has(self, file: str) -> bool:
        return file in self.names()

    def read(self, file: str) -> bytes | None:
        return self.files.read(self._place(file)) if self._may_be(file) else None

    def read_json(self, file: str, fits: Callable[[Any], bool], lasts: bool = False, first: bool = False) -> Any:
        """Reads JSON as ``Files.read_json``. first: a file that is likely there is asked for without a listing."""
        if file in self._read:
            return self._read[file]
        known = self.files.knows(self._place(file))
        if not known and not (first and self._names is None) and not self._may_be(file):
            return None
        found = self.files.read_json(self._place(file), fits, lasts)
        if self._once and lasts and found is not None:
            self._read[file] = found
        return found

    def read_packed(self, file: str, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        return self.files.read_packed(self._place(file), fits) if self._may_be(file) else None

    def write(self, file: str, content: bytes) -> None:
        self.files.write(self._place(file), content)
        self._add(file)

    def write_json(self, file: str, content: Any, lasts: bool = False) -> None:
        self.files.write_json(self._place(file), content, lasts)
        self._add(file)

    def remove(self, file: str) -> None:
        if self._may_be(file):
            self.files.remove(self._place(file))
            self._drop(file)

    def set_aside(self, file: str, why: str) -> None:
        self.files.set_aside(self._place(file), why)
        self._drop(file)

    def _place(self, file: str) -> str:
        return f"{self.id}/{file}"

    def _may_be(self, file: str) -> bool:
        return not self._once or self.has(file)

    def _add(self, file: str) -> None:
        self._read.pop(file, None)
        if self._names is not None:
            self._names.add(file)

    def _drop(self, file: str) -> None:
        self._read.pop(file, None)
        if self._names is not None:
            self._names.discard(file)
