"""A prepared data set in numbers: classes, people, cameras, lengths, empty places, and protocols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skelray.data.benchmark import Split
from skelray.data.dataset import SkeletonDataset, divide, open_with_protocols, unknown
from skelray.data.stored import DataError, read_history

BLOCK = 1 << 24  # bytes of sequences in memory at once
QUANTILES = (0, 5, 25, 50, 75, 95, 100)
KEYS = ("subject", "camera", "setup", "replication", "part")
HELD_OUT = (
    "held out are training subjects only, every fifth from the third on (of one subject, its set-ups; of one set-up, its "
    "sequences)"
)


@dataclass(frozen=True)
class Division:
    """The sizes of a protocol's parts, or the reason why there are none."""

    name: str
    split: Split
    train: int = 0
    held_out: int = 0
    test: int = 0
    groups: tuple[int, ...] = ()
    error: str = ""
    unknown: int = 0

    @property
    def trouble(self) -> str:
        """A sentence on what is odd about it, empty if nothing is."""
        if self.error or not self.unknown:
            return self.error
        return f"{self.unknown:,} sequences of unknown {self.split.by} are in neither part"

    def __str__(self) -> str:
        if self.error:
            return f"  {self.name}: {self.error}"
        by = f"{self.split.by} {_ranges(self.split.train)} trains"
        some = f", {len(self.split.classes)} classes" if self.split.classes else ""
        held = f"{self.held_out:,} of them held out" + (f" (subjects {_ranges(self.groups)})" if self.groups else "")
        return f"  {self.name}: {self.train:,} train, {held}, {self.test:,} test; {by}{some}" + (
            f"; {self.trouble}" if self.unknown else ""
        )


@dataclass(frozen=True)
class Description:
    """A prepared data set in numbers.

    classes: sequences of each. groups: sequences of each value, for each column that the source gives.
    lengths: recorded frames at QUANTILES. persons: sequences by their number of people.
    empty_persons: sequences with an unused place for a person. empty_joints: sequences of a present person with a joint that
    is always zero.
    """

    title: tuple[str, ...]
    classes: dict[str, int]
    groups: dict[str, dict[int, int]]
    unsaid: tuple[str, ...]
    lengths: tuple[int, ...]
    persons: dict[int, int]
    empty_persons: tuple[int, ...]
    empty_joints: dict[str, int]
    protocols: tuple[Division, ...]

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yields (heading, lines) of each part."""
        counts = list(self.classes.values())
        yield (
            f"{len(counts)} classes, {min(counts):,} to {max(counts):,} sequences each",
            _columns([f"{at:>3} {name}  {count:,}" for at, (name, count) in enumerate(self.classes.items())]),
        )
        lines = [f"{key}s: {len(values)} ({_ranges(values)}), {_each(values)}" for key, values in self.groups.items()]
        if self.unsaid:
            lines.append(f"the source does not say: {', '.join(self.unsaid)}")
        yield "people and places", lines
        quantiles = ", ".join(f"{_quantile(at)} {value}" for at, value in zip(QUANTILES, self.lengths, strict=True))
        yield "frames as recorded", [quantiles]
        lines = ["persons: " + ", ".join(f"{count:,} sequences of {number}" for number, count in self.persons.items())]
        lines += [f"place {at} is empty in {n:,} sequences" for at, n in enumerate(self.empty_persons, start=1) if n]
        lines += [f"{joint} is zero throughout in {n:,} sequences" for joint, n in self.empty_joints.items()]
        yield "what is there", lines if len(lines) > 1 else [*lines, "no place and no joint is empty"]
        yield "protocols", [str(division).strip() for division in self.protocols] + [HELD_OUT]

    def __str__(self) -> str:
        parts = [f"{heading}\n" + "\n".join(f"  {line}" for line in lines) for heading, lines in self.sections()]
        return "\n\n".join(["\n".join(self.title), *parts])


def describe(root: Path, name: str) -> Description:
    """Reads the whole array once in blocks. Raises DataError if there is no such data set."""
    dataset, protocols = open_with_protocols(Path(root), name)
    samples, about = dataset.samples, read_history(Path(root) / name) or {}
    said = {key: _counted(samples[key]) for key in KEYS}
    empty_persons, empty_joints = _empty(dataset)
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    return Description(
        title=_title(dataset, about),
        classes=dict(zip(dataset.classes, counts.tolist(), strict=True)),
        groups={key: counted for key, counted in said.items() if set(counted) != {-1}},
        unsaid=tuple(key for key, counted in said.items() if set(counted) == {-1}),
        lengths=tuple(int(at) for at in np.percentile(samples["frames"], QUANTILES, method="nearest")),
        persons=_counted(samples["persons"]),
        empty_persons=empty_persons,
        empty_joints=empty_joints,
        protocols=tuple(division(dataset, protocol, split) for protocol, split in protocols.items()),
    )


def blocks(dataset: SkeletonDataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first sequence, float32 copy of sequences (n, C, T, V, M)) from beginning to end."""
    size = max(1, BLOCK // max(1, 4 * int(np.prod(dataset.sequences.shape[1:]))))
    for start in range(0, len(dataset.sequences), size):
        yield start, np.array(dataset.sequences[start : start + size], dtype=np.float32)


def _counted(values: ArrayLike) -> dict[int, int]:
    found, counts = np.unique(np.asarray(values, dtype=np.int64), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _empty(dataset: SkeletonDataset) -> tuple[tuple[int, ...], dict[str, int]]:
    joints, persons = dataset.sequences.shape[3:]
    without, zero = np.zeros(persons, np.int64), np.zeros(joints, np.int64)
    for _, x in blocks(dataset):
        used = (x != 0).any(axis=(1, 2))  # (n, V, M)
        there = used.any(axis=1)  # (n, M)
        without += (~there).sum(axis=0)
        zero += (~used & there[:, None]).any(axis=2).sum(axis=0)
    origins = [at for at, name in enumerate(dataset.skeleton.joints) if at == dataset.skeleton.centre or name == "spine_mid"]
    for joint in origins:
        if zero[joint] == len(dataset.sequences):
            zero[joint] = 0  # preprocessing put it there
    return tuple(without.tolist()), {dataset.skeleton.joints[at]: int(zero[at]) for at in np.flatnonzero(zero)}


def _title(dataset: SkeletonDataset, about: Mapping[str, Any]) -> tuple[str, ...]:
    _, _, frames, joints, persons = dataset.sequences.shape
    preprocessing = ", ".join(f"{key} {value}" for key, value in about["preprocessing"].items())
    skipped = {reason: len(names) for reason, names in about["counts"]["skipped"].items()}
    lines = [
        f"{dataset.name}: {len(dataset):,} sequences of {frames} frames, {joints} joints, {persons} persons",
        f"  skeleton {dataset.skeleton.name}; preprocessing: {preprocessing}",
        f"  {dataset.sequences.nbytes / 1e6:,.1f} MB of {dataset.sequences.dtype}; fingerprint {dataset.fingerprint[:12]}",
        f"  from {about['source']['path'] or 'its generator'}",
    ]
    return (*lines, *(f"  left out: {count:,}, {reason}" for reason, count in skipped.items()))


def division(dataset: SkeletonDataset, name: str, split: Split) -> Division:
    """Divides a data set by a protocol and counts."""
    try:
        splits = divide(dataset, split)
    except DataError as error:
        return Division(name, split, error=str(error), unknown=unknown(dataset, split))
    subjects = np.unique(splits.held_out.samples["subject"])
    alone = not set(subjects) & set(splits.reduced.samples["subject"])
    groups = tuple(subjects.tolist()) if alone else ()
    return Division(
        *(name, split, len(splits.train), len(splits.held_out), len(splits.test), groups),
        unknown=unknown(dataset, split),
    )


def _ranges(numbers: Iterable[int]) -> str:
    """Formats 1, 2, 3, 7 as "1-3, 7"."""
    ordered = sorted(numbers)
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1)
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}{', ' if len(run) == 2 else '-'}{run[-1]}" for run in runs)


def _each(values: dict[int, int]) -> str:
    if len(values) <= 4:
        return ", ".join(f"{key}: {count:,}" for key, count in values.items())
    return f"{min(values.values()):,} to {max(values.values()):,} sequences each"


def _quantile(at: int) -> str:
    return {0: "least", 50: "median", 100: "most"}.get(at, f"{at} %")


def _columns(cells: list[str], width: int = 100) -> list[str]:
    """Arranges cells in as many columns as fit."""
    wide = max(map(len, cells)) + 3
    rows = -(-len(cells) // max(1, width // wide))
    return ["".join(cell.ljust(wide) for cell in cells[row::rows]).rstrip() for row in range(rows)]
