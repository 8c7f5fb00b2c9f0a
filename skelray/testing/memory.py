"""A store that lies in memory, for searches that are made up."""

from __future__ import annotations

from skelray.store.store import Store


class MemoryStore(Store):
    """Files by name. It holds what a ledger asks of a store, and is gone with the process."""

    def __init__(self) -> None:
        super().__init__(".")
        self.local = False
        self._content: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._content.get(name)

    def write(self, name: str, content: bytes) -> None:
        self._content[name] = content

    def remove(self, name: str) -> None:
        self._content.pop(name, None)

    def names(self, folder: str) -> list[str]:
        inside = (name.removeprefix(f"{folder}/") for name in self._content if name.startswith(f"{folder}/"))
        return sorted(name for name in inside if "/" not in name)
