"""Faults of a prepared data set: NaN, empty frames, jumps, exchanged sides, duplicates, overlapping splits.

Stuck joints and left-out recordings are recorded during preparation; they cannot be seen afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelray.data.benchmark import Split
from skelray.data.dataset import SkeletonDataset, divide, open_with_protocols, unknown
from skelray.data.inspection.describe import blocks
from skelray.data.inspection.motion import exchanged, joint_steps, reach
from skelray.data.inspection.twins import Twins, digests, sketch, twins
from skelray.data.report import AMOUNTS, CUT, LEFT_OUT
from skelray.data.stored import DataError, read_history

JUMP = 2.0  # of a body's reach: what no joint does from one frame to the next
WORST = 5  # offenders that are named


@dataclass(frozen=True)
class Finding:
    """One kind of fault. offenders: (name, how bad, in words), the worst first; empty if there is none.

    warns: worth knowing, but possibly as it should be.
    """

    kind: str
    rule: str
    offenders: tuple[tuple[str, str], ...]
    warns: bool = False

    def __str__(self) -> str:
        if not self.offenders:
            return f"  ok     {self.kind}"
        lines = [f"  {'WARNS' if self.warns else 'WRONG'}  {self.kind}: {len(self.offenders):,} ({self.rule})"]
        lines += [f"           {name}: {how}" for name, how in self.offenders[:WORST]]
        if (more := len(self.offenders) - WORST) > 0:
            lines.append(f"           and {more:,} more")
        return "\n".join(lines)


@dataclass(frozen=True)
class DatasetCheck:
    """The findings on a data set."""

    name: str
    sequences: int
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        """Whether there is a fault; warnings do not count."""
        return any(finding.offenders and not finding.warns for finding in self.findings)

    def __str__(self) -> str:
        kinds = sum(bool(finding.offenders) and not finding.warns for finding in self.findings)
        warnings = sum(bool(finding.offenders) and finding.warns for finding in self.findings)
        end = f"{kinds} kinds of fault" if kinds > 1 else "1 kind of fault" if kinds else "nothing is wrong"
        if warnings:
            end += f", {warnings} warning{'s' if warnings > 1 else ''}"
        return "\n".join([f"{self.name}, {self.sequences:,} sequences: {end}", *map(str, self.findings)])


def check_dataset(root: Path, name: str) -> DatasetCheck:
    """Reads the array once in blocks, and possible twins again; keeps a few numbers of each sequence.

    Raises DataError.
    """
    dataset, protocols = open_with_protocols(Path(root), name)
    measured = _Measured.of(dataset)
    names = dataset.samples["name"].to_numpy()
    twice = twins(dataset, measured.digests, measured.sketches)
    frames = dataset.sequences.shape[2]
    findings = [
        _worst("NaN or infinite", "coordinates that are not finite", names, measured.broken, "{:,.0f} numbers"),
        _worst("zero frames", "frames in which no one is", names, measured.zero, "{:,.0f} of " + f"{frames} frames"),
        _worst(
            "jumps",
            f"a joint moves {JUMP:g} times the body's reach or more in one frame",
            names,
            np.where(measured.jump >= JUMP, measured.jump, 0),
            "{:.1f} times",
        ),
        _worst("exchanged sides", "left and right change place between frames", names, measured.exchanged, "{:,.0f}×"),
        Finding("duplicate names", "sequences of one name", tuple(_repeated(names))),
        Finding(
            "duplicate sequences" if twice.whole else "duplicate sequences (of many: the search ended early)",
            "the same, or within 1 % of their size",
            tuple(_twins(names, twice)),
        ),
    ]
    findings += _left_out((read_history(Path(root) / name) or {}).get("counts", {}))
    findings += _protocol_findings(dataset, protocols, names, twice)
    return DatasetCheck(name, len(dataset), tuple(findings))


def _protocol_findings(
    dataset: SkeletonDataset, protocols: Mapping[str, Split], names: np.ndarray, twice: Twins
) -> list[Finding]:
    """Returns what each protocol leaves out, and what its training and test set have in common."""
    findings = []
    for protocol, split in protocols.items():
        if count := unknown(dataset, split):
            offender = (protocol, f"{count:,} sequences are in neither part")
            findings.append(
                Finding(f"{protocol}: unknown {split.by}", f"the {split.by} divides it", (offender,), warns=True)
            )
        try:
            splits = divide(dataset, split)
        except DataError as error:
            findings.append(Finding(f"protocol {protocol}", "it cannot be divided", ((protocol, str(error)),)))
            continue
        findings.append(_overlap(protocol, splits.train.rows, splits.test.rows, names, twice))
    return findings


@dataclass(frozen=True, eq=False)
class _Measured:
    """The measurements of each sequence.

    They are its non-finite numbers, its frames without anyone, its longest step in body reaches, how often its sides change
    place, and a hash and a sketch to find duplicates.
    """

    broken: np.ndarray
    zero: np.ndarray
    jump: np.ndarray
    exchanged: np.ndarray
    digests: np.ndarray
    sketches: np.ndarray

    @classmethod
    def of(cls, dataset: SkeletonDataset) -> _Measured:
        parts: list[tuple[np.ndarray, ...]] = []
        for _, x in blocks(dataset):
            finite = np.isfinite(x)
            broken = (~finite).sum(axis=(1, 2, 3, 4))
            x[~finite] = 0
            zero = (~x.any(axis=(1, 3, 4))).sum(axis=1)
            size = reach(x, dataset.skeleton.centre)
            jump = joint_steps(x, size).max(axis=(1, 2), initial=0)
            parts.append((broken, zero, jump, exchanged(x, size, dataset.skeleton), digests(x), sketch(x)))
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _left_out(counts: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields the findings that preparation recorded about what it did not keep."""
    if not {"stuck", *AMOUNTS} <= set(counts):
        offender = ("this data set", "was prepared before that was counted: prepare it again to know")
        yield Finding("what was left out, stuck joints", "not known", (offender,), warns=True)
        return
    stuck = sorted(
        ((count, joint, how, first) for joint, ways in counts["stuck"].items() for how, (count, first) in ways.items()),
        key=lambda one: -one[0],
    )
    of = f"of {counts['sequences']:,} sequences"
    offenders = tuple((joint, f"{how} in {count:,} {of}, {first} the first") for count, joint, how, first in stuck)
    yield Finding("stuck joints", "a joint says nothing, as recorded", offenders)
    for key, kind, words in (("cut", CUT, "{:,} frames"), ("left_out", LEFT_OUT, "{:,}")):
        worst = sorted(counts[key].items(), key=lambda item: -item[1])
        told = tuple((name, words.format(amount)) for name, amount in worst)
        yield Finding(kind, f"{sum(counts[key].values()):,} in all", told, warns=True)


def _worst(kind: str, rule: str, names: np.ndarray, amounts: np.ndarray, words: str) -> Finding:
    order = np.argsort(-amounts, kind="stable")
    order = order[amounts[order] > 0]
    return Finding(kind, rule, tuple((str(names[at]), words.format(amounts[at])) for at in order))


def _repeated(names: np.ndarray) -> Iterator[tuple[str, str]]:
    found, counts = np.unique(names.astype(str), return_counts=True)
    for at in np.flatnonzero(counts > 1):
        yield str(found[at]), f"{counts[at]} times"


def _twins(names: np.ndarray, twice: Twins) -> Iterator[tuple[str, str]]:
    for a, b, same in sorted(twice.pairs(), key=lambda pair: (not pair[2], names[pair[0]])):
        yield str(names[a]), f"{'the same as' if same else 'nearly'} {names[b]}"


def _overlap(protocol: str, train: np.ndarray, test: np.ndarray, names: np.ndarray, twice: Twins) -> Finding:
    offenders = [
        (str(names[a]), "tests, and trains" + (f" as {names[b]}" if a != b else " itself"))
        for a, b in twice.between_splits(train.tolist(), test.tolist())
    ]
    return Finding(f"{protocol}: test among training", "a test sequence is a training sequence too", tuple(offenders))
