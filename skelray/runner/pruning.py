"""Which files of a store may go, and in which order: what a table is made of, or a running trial needs, never does.

Damaged files go first, then checkpoints of trials that have ended, then encoders of trials that nobody names, then their
scores; of each kind the oldest first.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skelray.results import tables
from skelray.store.inventory import CHECKPOINTS, DAMAGED, ENCODERS, SCORES, Entry, inventory, size_text, total_size
from skelray.store.pruning import drop_checkpoints, drop_of_encoder, ended_checkpoints
from skelray.store.store import Store

ORDER = (DAMAGED, CHECKPOINTS, ENCODERS, SCORES)
YOUNG = 86400.0  # seconds: encoders and scores that are younger may be for a table that is to come


@dataclass(frozen=True)
class Pruning:
    """What may go. kinds: of files. named: ids of trials whose encoders and scores stay. only: ids of trials to look at,
    None for all. older: seconds since a file was written. most: bytes of the store at which it is enough.
    """

    kinds: Collection[str] = ORDER
    named: Collection[str] = field(default_factory=frozenset)
    only: Collection[str] | None = None
    older: float = 0.0
    most: int = 0

    def of(self, store: Store, go: bool = True) -> list[Entry]:
        """Takes files away, and returns them; those that would go, where not ``go``."""
        entries = inventory(store)
        left, gone = total_size(entries), []
        stopped = stopped_samples(store) if any(one.kind == CHECKPOINTS for one in entries) else frozenset[str]()
        for one in self._candidates(entries):
            if left <= self.most:
                break
            if _goes(store, one, stopped, go):
                gone.append(one)
                left -= one.size
        return gone

    def _candidates(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        now = time.time()
        there = [one for one in entries if one.kind in self.kinds and (self.only is None or one.trial in self.only)]
        for one in sorted(there, key=lambda one: (ORDER.index(one.kind), one.written)):
            lasting = one.kind in (ENCODERS, SCORES) and self.only is None
            needed = one.kind in (ENCODERS, SCORES) and one.trial in self.named
            if not needed and now - one.written >= (max(self.older, YOUNG) if lasting else self.older):
                yield one


def _goes(store: Store, one: Entry, stopped: Collection[str], go: bool) -> bool:
    """Returns whether a file may go and, with ``go``, takes it away."""
    stored, file = store.trial(one.trial), one.name.rpartition("/")[2]
    if one.kind == DAMAGED:
        if go:
            store.remove(one.name)
        return True
    if one.kind == CHECKPOINTS:
        if not go:
            return not store.in_use(one.trial) and file in ended_checkpoints(stored, stopped)
        drop_checkpoints(stored, stopped)
        return file not in store.names(one.trial)
    return drop_of_encoder(stored, file) if go else not store.in_use(one.trial)


def stopped_samples(store: Store) -> frozenset[str]:
    """Returns the ids of trials that searches have stopped for good, and that no search goes on with."""
    lines = [
        store.read_json(f"sweeps/{ledger}/{file}")
        for ledger in store.folders("sweeps")
        for file in store.names(f"sweeps/{ledger}")
        if file.endswith(".json")
    ]
    by_state: dict[bool, set[str]] = {True: set(), False: set()}
    for line in lines:
        if isinstance(line, dict) and isinstance(line.get("trials"), dict):
            by_state[line.get("status") == "stopped"].update(map(str, line["trials"].values()))
    return frozenset(by_state[True] - by_state[False])


def trials_in_tables(results: Path, but: str = "") -> frozenset[str]:
    """Returns the ids in the tables of a folder. but: a study to leave out. Raises UserError if a table cannot be read."""
    return frozenset().union(*(trials_of_table(study, results) for study in tables.list_tables(results) if study != but))


def trials_of_table(study: str, results: Path) -> frozenset[str]:
    """Returns the ids in a table, with those that its ensembles are made of. Raises UserError if it cannot be read."""
    frame = tables.load(study, results)
    members = {
        part["trial"] for spec in frame["spec"].unique() if '"ensemble"' in spec for part in json.loads(spec)["ensemble"]
    }
    return frozenset({*frame["trial"], *members})


def pruned_text(gone: Iterable[Entry]) -> str:
    """Files in words: checkpoints 3 (1.2 GiB), encoders 1 (4.0 MiB)."""
    gone = list(gone)
    sizes = Counter[str]()
    for one in gone:
        sizes[one.kind] += one.size
    counts = Counter(one.kind for one in gone)
    return ", ".join(f"{kind} {counts[kind]} ({size_text(sizes[kind])})" for kind in ORDER if counts[kind])
