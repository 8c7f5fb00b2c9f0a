"""The ledger of a search: a line for each sample in the store, so that nothing is ever lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from skelray.search.sample import Sample, is_sample, sample_from
from skelray.store.store import Store

ABOUT = "about/sweep.json"  # in the folder of a ledger: whose it is
END = "about/end.json"  # why it has no further samples for now


def is_about(content: Any) -> bool:
    """Returns whether stored JSON names the owner of a ledger: its study, and the objectives beside accuracy."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("study"), str)
        and isinstance(content.get("objectives"), list)
        and all(isinstance(name, str) for name in content["objectives"])
    )


class Follower(Protocol):
    """Something that keeps up with a ledger without reading all of it again."""

    def put(self, sample: Sample) -> None:
        """Takes in a sample as it is now."""

    def clear(self) -> None:
        """Forgets all samples."""


class Ledger:
    """Samples by number, in a folder of the store."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder
        self.samples: dict[int, Sample] = {}
        self._followers: list[Follower] = []
        self._unsaved: set[int] = set()  # numbers of samples that could not be written
        self.reload()

    def add_follower(self, follower: Follower) -> None:
        """Tells what follows the ledger of all samples, and from now on of each that is written or read."""
        self._followers.append(follower)
        for _, sample in sorted(self.samples.items()):
            follower.put(sample)

    def reload(self) -> None:
        """Reads the ledger as it is now."""
        for follower in self._followers:
            follower.clear()
        self.samples.clear()
        self._unsaved.clear()
        for number in self._numbers():
            self._read(number)

    def refresh(self) -> None:
        """Reads what another process may have changed since: new samples, and those that had not ended."""
        known = {number for number, sample in self.samples.items() if sample.status in ("done", "stopped")}
        for number in self._numbers():
            if number not in known:
                self._read(number)

    def _numbers(self) -> list[int]:
        stems = (file.removesuffix(".json") for file in self.store.names(self.folder) if file.endswith(".json"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def _read(self, number: int) -> None:
        if (sample := self._entry(f"{self.folder}/{number:06d}.json")) is not None:
            self._put(sample)

    def _put(self, sample: Sample) -> None:
        self.samples[sample.number] = sample
        for follower in self._followers:
            follower.put(sample)

    def note_end(self, why: str, samples: int) -> None:
        """Records why the search proposes no more for now, after so many samples."""
        place, content = f"{self.folder}/{END}", {"why": why, "samples": samples}
        if self.store.read_json(place) != content:
            self.store.write_json(place, content)

    def write_about(self, about: dict[str, Any]) -> None:
        """Says whose ledger it is."""
        self.store.write_json(f"{self.folder}/{ABOUT}", about)

    def _entry(self, name: str) -> Sample | None:
        """Returns a sample as a line of the ledger has it; None if there is no such line, or a damaged one."""
        number = name.rpartition("/")[2].removesuffix(".json")
        entry = self.store.read_json(name, lambda content: is_sample(content) and f"{content['number']:06d}" == number)
        return None if entry is None else sample_from(entry)

    def copy_of(self, number: int) -> Sample | None:
        """Returns the copy of a sample's line, which is read if the line is lost."""
        return self._entry(self._copy(number))

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keeps the ledger for this run alone until it ends. Raises StoreError if another run of the sweep has it."""
        with self.store.claim_at_once(self.folder):
            self.reload()
            yield

    def record(self, sample: Sample) -> None:
        """Writes a sample's line in the ledger, and a copy, which is read if the line is lost.

        Raises StoreError where it cannot be written; it is tried again with the next, and by ``flush``.
        """
        self._put(sample)
        self._unsaved.add(sample.number)
        self.flush()

    def flush(self) -> None:
        for number in sorted(self._unsaved):
            content = asdict(self.samples[number])
            self.store.write_json(f"{self.folder}/{number:06d}.json", content)
            self.store.write_json(self._copy(number), content)
            self._unsaved.discard(number)

    def _copy(self, number: int) -> str:
        return f"{self.folder}/copies/{number:06d}.json"
