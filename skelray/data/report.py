"""The report on a preparation: what was kept, what was left out and why, as counts and as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skelray.data.benchmark import Benchmark

EMPTY = "no skeleton in it"
UNSCORED = "the scores of all its points are 0"
UNREAD, UNLABELLED = "its bytes cannot be read", "its label file cannot be read"
SHORT = 10  # frames; a clip with fewer is reported
CUT, LEFT_OUT = "frames left out with someone in them", "persons left out"
JOINED = "persons whose number changes, joined"
VACANT = "frames without anyone"
AMOUNTS = ("cut", "left_out", "joined")  # of each sequence; data sets prepared before do not say them


@dataclass(frozen=True)
class PreparationReport:
    """The outcome of a preparation.

    sequences, frames, bodies: kept, as recorded. short: names of kept sequences under ten frames.
    skipped: names by reason, the empty ones among them. already: the data set was there, nothing was done.
    By name, where not 0: cut: frames with someone that were not kept; left_out: persons not kept; joined: bodies taken for
    the continuation of another; vacant: recorded frames without anyone.
    missing_information: what this source does not state; notes: what was read otherwise than it is written; undivided: what
    is in no part of a protocol; one sentence each.
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
    missing_information: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()
    cut: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    vacant: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    already: bool = False

    @property
    def empty(self) -> tuple[str, ...]:
        """The sequences without any skeleton."""
        return self.skipped.get(EMPTY, ())

    @property
    def unread(self) -> tuple[str, ...]:
        """The sequences of the source that could not be read from disk."""
        return self.skipped.get(UNREAD, ()) + self.skipped.get(UNLABELLED, ())

    def __str__(self) -> str:
        how = "already, from this source: nothing was done" if self.already else f"{self.seconds:.1f} s"
        lines = [f"{self.name} is prepared in {self.folder} ({how})"]
        lines.append(f"  {self.sequences:,} sequences, {self.frames:,} frames, {self.bodies:,} bodies")
        if self.short:
            lines.append(f"  {len(self.short):,} shorter than {SHORT} frames: {shortened(self.short)}")
        for reason, names in sorted(self.skipped.items(), key=lambda item: -len(item[1])):
            lines.append(f"  {len(names):,} skipped, {reason}: {shortened(names)}")
        told = ((self.cut, CUT), (self.left_out, LEFT_OUT), (self.joined, JOINED), (self.vacant, VACANT))
        for amounts, what in told:
            if amounts:
                worst = sorted(amounts, key=lambda name: -amounts[name])
                lines.append(f"  {what}: {sum(amounts.values()):,}, in {len(amounts):,} sequences: {shortened(worst)}")
        if self.protocols:
            lines.append(f"  protocols {', '.join(self.protocols)}")
        lines += [f"  {sentence}" for sentence in self.undivided]
        lines += [f"  lost: {sentence}" for sentence in self.missing_information]
        lines += [f"  note: {sentence}" for sentence in self.notes]
        lines.append(f"  fingerprint {self.fingerprint[:12]}")
        return "\n".join(lines)


def shortened(names: Sequence[str]) -> str:
    """Returns the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def counted(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the counts of a journal's entries: those with a "reason" were skipped, all others kept.

    stuck: for each joint and each way of being stuck, the number of sequences and the first one's name.
    """
    skipped: dict[str, list[str]] = {}
    stuck: dict[str, dict[str, list[Any]]] = {}
    counts: dict[str, Any] = {"sequences": 0, "frames": 0, "bodies": 0, "short": [], "skipped": skipped}
    counts.update({key: {} for key in (*AMOUNTS, "vacant")}, stuck=stuck)
    for entry in entries:
        if "reason" in entry:
            skipped.setdefault(entry["reason"], []).append(entry["name"])
            continue
        counts["sequences"] += 1
        counts["frames"] += entry["frames"]
        counts["bodies"] += entry["persons"]
        if entry["frames"] < SHORT:
            counts["short"].append(entry["name"])
        for key in (*AMOUNTS, "vacant"):
            if key in entry:
                counts[key][entry["name"]] = entry[key]
        for joint, how in entry.get("stuck", ()):
            told = stuck.setdefault(joint, {}).setdefault(how, [0, entry["name"]])
            told[0] += 1
    return counts


def preparation_report(target: Path, counts: Mapping[str, Any], benchmark: Benchmark, **also: Any) -> PreparationReport:
    """Builds the report on a prepared folder from its counts."""
    told = {
        "protocols": tuple(benchmark.protocols),
        "missing_information": benchmark.missing_information,
        "notes": benchmark.notes,
    }
    counts = {key: value for key, value in counts.items() if key != "stuck"}
    skipped = {reason: tuple(names) for reason, names in counts["skipped"].items()}
    return PreparationReport(
        target.name, str(target), **{**counts, **told, **also, "short": tuple(counts["short"]), "skipped": skipped}
    )
