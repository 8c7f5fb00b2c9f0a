"""A store that lies in memory, for searches that are made up."""

from __future__ import annotations

from skelray.store.store import Store


class MemoryStore(Store):
    """Files by name, ``kept``. It holds what a ledger asks of a store, and is gone with the process."""

    def __init__(self) -> None:
        super().__init__(".")
        self.local = False
        self.kept: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, content: bytes) -> None:
        self.kept[name] = content

    def remove(self, name: str) -> None:
        self.kept.pop(name, None)

    def names(self, folder: str) -> list[str]:
        inside = (name.removeprefix(f"{folder}/") for name in self.kept if name.startswith(f"{folder}/"))
        return sorted(name for name in inside if "/" not in name)
