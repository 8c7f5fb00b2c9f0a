"""In how many lanes trials of a structure train in a run: decided once, and kept until the run has ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch

from skelray.identity.canonical import digest
from skelray.machine import describe_device
from skelray.store.store import Store

FOLDER = "packs"  # of the store


class Decisions:
    """What one run has decided on one kind of device; a run that was cut finds it in the store, and trains as before."""

    def __init__(self, store: Store, run: str, device: torch.device) -> None:
        self.store, self.run, self.device = store, run, describe_device(device)
        self._lanes: dict[str, int] = {}  # by structure

    def lanes(self, structure: str, most: int) -> int | None:
        """Returns what was decided; None where nothing was, or for more lanes than there may be now."""
        if structure not in self._lanes:
            kept: dict[str, Any] | None = None
            with suppress(OSError):
                kept = self.store.read_json(self._file(structure), _is_decision)
            if kept is None or not 1 <= kept["lanes"] <= most:
                return None
            self._lanes[structure] = kept["lanes"]
        return self._lanes[structure]

    def keep(self, structure: str, lanes: int) -> None:
        """Where it cannot be written, a run that goes on decides anew."""
        self._lanes[structure] = lanes
        with suppress(OSError):
            self.store.write_json(self._file(structure), {"lanes": lanes})

    def forget(self) -> None:
        """Forgets what was decided for this run on any device, as it has ended."""
        self._lanes.clear()
        with suppress(OSError):
            for name in self.store.names(FOLDER):
                if name.startswith(f"{self.run}."):
                    self.store.remove(f"{FOLDER}/{name}")

    def _file(self, structure: str) -> str:
        return f"{FOLDER}/{self.run}.{digest([structure, self.device])}.json"


def _is_decision(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("lanes"), int)
