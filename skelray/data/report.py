"""What became of a source: what was kept, what was left out and why, as a table of counts and as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skelray.data.benchmark import Benchmark

EMPTY = "no skeleton in it"
UNSCORED = "the scores of all its points are 0"
UNREAD, UNLABELLED = "its bytes cannot be read", "its label file cannot be read"
SHORT = 10  # frames; a clip with fewer is reported


@dataclass(frozen=True)
class Report:
    """What became of a source.

    sequences, frames, bodies: what was kept, as recorded. short: names of kept sequences under ten frames.
    skipped: names by reason, the empty ones among them. already: nothing was done, the data set was there.
    lost: what this source does not say; notes: what was made of it, one sentence each.
    """

    name: str
    folder: str
    sequences: int
    frames: int
    bodies: int
    short: tuple[str, ...]
    skipped: Mapping[str, tuple[str, ...]]
    fingerprint: str
    protocols: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    already: bool = False

    @property
    def empty(self) -> tuple[str, ...]:
        """The sequences without any skeleton."""
        return self.skipped.get(EMPTY, ())

    @property
    def unread(self) -> tuple[str, ...]:
        """The sequences that the source has and that could not be read from the disk."""
        return self.skipped.get(UNREAD, ()) + self.skipped.get(UNLABELLED, ())

    def __str__(self) -> str:
        how = "already, from this source: nothing was done" if self.already else f"{self.seconds:.1f} s"
        lines = [f"{self.name} is prepared in {self.folder} ({how})"]
        lines.append(f"  {self.sequences:,} sequences, {self.frames:,} frames, {self.bodies:,} bodies")
        if self.short:
            lines.append(f"  {len(self.short):,} shorter than {SHORT} frames: {_some(self.short)}")
        for reason, names in sorted(self.skipped.items(), key=lambda item: -len(item[1])):
            lines.append(f"  {len(names):,} skipped, {reason}: {_some(names)}")
        if self.protocols:
            lines.append(f"  protocols {', '.join(self.protocols)}")
        lines += [f"  lost: {sentence}" for sentence in self.lost]
        lines += [f"  note: {sentence}" for sentence in self.notes]
        lines.append(f"  fingerprint {self.fingerprint[:12]}")
        return "\n".join(lines)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def counted(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of a journal's entries: those with a "reason" were skipped, all others kept."""
    skipped: dict[str, list[str]] = {}
    counts: dict[str, Any] = {"sequences": 0, "frames": 0, "bodies": 0, "short": [], "skipped": skipped}
    for entry in entries:
        if "reason" in entry:
            skipped.setdefault(entry["reason"], []).append(entry["name"])
            continue
        counts["sequences"] += 1
        counts["frames"] += entry["frames"]
        counts["bodies"] += entry["persons"]
        if entry["frames"] < SHORT:
            counts["short"].append(entry["name"])
    return counts


def report(target: Path, counts: Mapping[str, Any], benchmark: Benchmark, **also: Any) -> Report:
    """The report on a prepared folder of these counts."""
    told = {"protocols": tuple(benchmark.protocols), "lost": benchmark.lost, "notes": benchmark.notes}
    skipped = {reason: tuple(names) for reason, names in counts["skipped"].items()}
    return Report(
        target.name, str(target), **{**counts, **told, **also, "short": tuple(counts["short"]), "skipped": skipped}
    )
