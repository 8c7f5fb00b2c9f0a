"""Actions annotated in long recordings: each file is read once, and its actions are cut from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from skelray.data.benchmark import Recording, Skipped
from skelray.data.formats.sources import Member, Recordings, read_or_skip


@dataclass(frozen=True)
class Instance:
    """One annotated action: frames from ``start`` up to, not including, ``end``, as the format numbers them."""

    name: str
    label: int
    start: int
    end: int


Item = tuple[Member, Instance | Skipped]


class Instances(Recordings):
    """Recordings cut from long files. Only the last file read is kept, so in order each is read once.

    items: the file of each action, grouped by file. If several files share a name, the caller has chosen one:
        ``repeated`` is not read, as skeletons and labels may share their names.
    read: all of a file; raises ValueError if it is broken. cut: one action from the result of ``read``.
    settings: whatever else decides the result; part of the stamp.
    """

    def __init__(
        self,
        items: Sequence[Item],
        read: Callable[[Member], Any],
        cut: Callable[[Member, Instance, Any], Recording],
        settings: str = "",
    ) -> None:
        self.members = list({id(member): member for member, _ in items}.values())  # each once
        self.items, self.read, self.cut, self.settings = items, read, cut, settings
        self._last: tuple[Member, Any] | None = None

    def _stamped(self, versions: Sequence[tuple[int, int]]) -> str:
        """Returns a hash that changes with a file, an annotation or a setting."""
        annotations = [astuple(item) for _, item in self.items]
        return hashlib.sha256(json.dumps([super()._stamped(versions), annotations, self.settings]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Instances(self.items[at], self.read, self.cut, self.settings)
        member, item = self.items[at]
        if isinstance(item, Skipped):
            return item
        return read_or_skip(item.name, lambda: self._cut(member, item))

    def _cut(self, member: Member, instance: Instance) -> Recording | Skipped:
        recording = self.cut(member, instance, self._content(member))
        if not len(recording.bodies):
            return Skipped(instance.name, "its frames lie outside the recording")
        if not np.any(recording.bodies):
            return Skipped(instance.name, "all of it is zero")
        return recording

    def _content(self, member: Member) -> Any:
        if self._last is None or self._last[0] is not member:
            self._last = None  # never two files at once
            self._last = (member, self.read(member))
        return self._last[1]
