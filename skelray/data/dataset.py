"""Prepared data sets: a memory-mapped array of sequences, a table that describes them, and their splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skelray.checks import UserError
from skelray.data.benchmark import Key, Split
from skelray.data.stored import (
    ABOUT,
    DTYPES,
    SAMPLES,
    SEQUENCES,
    DataError,
    protocols_from,
    read_about,
    read_samples,
    read_sequences,
    skeleton_from,
)
from skelray.skeleton import Skeleton

HELD_OUT_BY: tuple[Key, ...] = ("subject", "setup")  # the first of them of which there are several


class NotPrepared(DataError):
    """No data set of this name is prepared."""


@dataclass(frozen=True, eq=False)
class SkeletonDataset:
    """Some rows of a prepared data set, in the order of ``rows``.

    sequences: (N, C=3, T, V, M) float32 or float16 of the whole prepared set, shared by every subset and never copied.
    rows: which of them belong to this data set. samples: their description, one line each.
    fingerprint: hash of the whole prepared set (arrays, labels and preprocessing). repeated: shorter recordings fill
    their array by repetition, as in HiCo's preprocessing, instead of being resized to it. path: of preprocessing, if known.
    """

    name: str
    sequences: np.ndarray
    rows: np.ndarray
    samples: pd.DataFrame
    skeleton: Skeleton
    classes: tuple[str, ...]
    fingerprint: str
    repeated: bool = False
    path: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"SkeletonDataset({self.name!r}, {len(self)} of {len(self.sequences)} sequences, {self.fingerprint[:12]})"

    @cached_property
    def labels(self) -> np.ndarray:
        """The class of each sample, (len,) int64."""
        return self.samples["label"].to_numpy(dtype=np.int64)

    def batch(self, positions: ArrayLike, frames: int | None = None) -> np.ndarray:
        """Returns a float32 copy of these sequences, (n, C, T, V, M), resized to ``frames`` frames if given."""
        x = np.asarray(self.sequences[self.rows[np.asarray(positions, dtype=np.int64)]]).astype(np.float32, copy=False)
        if frames is None or frames == x.shape[2]:
            return x
        return np.einsum("ft,nctvm->ncfvm", resizing(x.shape[2], frames), x, optimize=True)

    def lengths(self, positions: ArrayLike, frames: int | None = None) -> np.ndarray:
        """Returns (n,) int64: how many leading frames of ``batch`` were recorded."""
        positions, whole = np.asarray(positions, dtype=np.int64), self.sequences.shape[2]
        wanted = whole if frames is None else frames
        if not self.repeated:
            return np.full(len(positions), wanted)
        recorded = np.minimum(self.samples["frames"].to_numpy(dtype=np.int64)[positions], whole)
        return np.maximum(1, recorded * wanted // whole)

    def subset(self, which: ArrayLike) -> SkeletonDataset:
        """Returns the samples of a boolean mask or of a list of positions; the sequences stay shared."""
        positions = np.asarray(which)
        if positions.dtype == bool:
            if positions.shape != (len(self),):
                raise UserError(f"a mask over {len(self)} samples has the shape ({len(self)},), not {positions.shape}")
            positions = np.flatnonzero(positions)
        positions = positions.astype(np.int64)
        samples = self.samples.iloc[positions].reset_index(drop=True)
        return replace(self, rows=self.rows[positions], samples=samples)


@lru_cache(maxsize=16)
def resizing(frames: int, wanted: int) -> np.ndarray:
    """Returns (wanted, frames) float32 weights of a linear resize over time, aligned at frame centres."""
    at = np.clip((np.arange(wanted) + 0.5) * frames / wanted - 0.5, 0, frames - 1)
    low = np.floor(at).astype(int)
    weights = np.zeros((wanted, frames), dtype=np.float32)
    rows = np.arange(wanted)
    weights[rows, low] += 1 - (at - low)
    weights[rows, np.minimum(low + 1, frames - 1)] += at - low
    return weights


@dataclass(frozen=True)
class Splits:
    """The official training and test sets of a protocol; ``held_out`` is a part of ``train`` for monitoring."""

    train: SkeletonDataset
    held_out: SkeletonDataset
    test: SkeletonDataset

    @cached_property
    def reduced(self) -> SkeletonDataset:
        """The training set without the held-out part."""
        return self.train.subset(~np.isin(self.train.rows, self.held_out.rows))


def load_splits(root: Path, name: str, protocol: str) -> Splits:
    """Returns the splits of a prepared data set under a protocol. Raises DataError if either does not exist."""
    dataset, protocols = open_with_protocols(Path(root), name)
    if protocol not in protocols:
        raise DataError(f"{name} has no protocol {protocol!r}; it has {', '.join(sorted(protocols)) or 'none'}")
    return divide(dataset, protocols[protocol])


def divide(dataset: SkeletonDataset, split: Split) -> Splits:
    """Divides a data set by a protocol. Raises DataError if a part would be empty."""
    if split.classes is not None:
        dataset = dataset.subset(np.isin(dataset.labels, split.classes))
    known = dataset.samples[split.by].to_numpy() >= 0
    dataset = dataset.subset(known)
    keys = dataset.samples[split.by]
    training = keys.isin(split.train).to_numpy()
    testing = ~training if split.test is None else keys.isin(split.test).to_numpy()
    train, test = dataset.subset(training), dataset.subset(testing)
    if not len(train) or not len(test):
        nobody = "nobody trains" if not len(train) else "nobody tests"
        unknown = f"{len(known) - len(dataset)} of unknown {split.by} are in neither"
        partial = "the source it was prepared from was not whole, or the protocol does not fit it"
        raise DataError(
            f"{nobody}: {dataset.name} has {len(train)} training and {len(test)} test samples when divided by "
            f"{split.by}, and {partial if known.all() else unknown}"
        )
    return Splits(train, train.subset(held_out(train)), test)


def unknown(dataset: SkeletonDataset, split: Split) -> int:
    """Returns how many sequences of its classes a protocol leaves out because its column is unknown for them."""
    asked = True if split.classes is None else np.isin(dataset.labels, split.classes)
    return int((asked & (dataset.samples[split.by].to_numpy() < 0)).sum())


def held_out(train: SkeletonDataset) -> np.ndarray:
    """Selects every fifth training subject from the third on; with one subject, every fifth set-up; with one, sample."""
    for key in HELD_OUT_BY:
        values = train.samples[key].to_numpy()
        if len(groups := np.unique(values[values >= 0])) > 1:
            return np.isin(values, groups[2::5] if len(groups) > 2 else groups[-1:])
    return np.arange(len(train)) % 5 == min(2, len(train) - 1)


def open_dataset(root: Path, name: str) -> SkeletonDataset:
    """Opens a whole prepared data set. Raises DataError if it is missing, truncated or corrupt."""
    return open_with_protocols(Path(root), name)[0]


def open_with_protocols(root: Path, name: str) -> tuple[SkeletonDataset, dict[str, Split]]:
    """Opens a whole prepared data set with its protocols. Raises DataError as ``open_dataset`` does."""
    folder = root / name
    about = read_about(folder)
    if about is None:
        raise NotPrepared(_not_prepared(root, name))
    sequences, samples = read_sequences(folder / SEQUENCES), read_samples(folder / SAMPLES)
    try:
        skeleton, protocols, classes = skeleton_from(about), protocols_from(about), tuple(about["classes"])
        shape = (len(samples), 3, about["frames"], len(skeleton.joints), about["persons"])
        fingerprint = str(about["fingerprint"])
        path = str(about["preprocessing"]["path"])
        dtype = np.dtype(about.get("dtype", DTYPES[0]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / ABOUT} does not describe a data set ({error!r}): prepare {name} again") from error
    if (sequences.shape, sequences.dtype) != (shape, dtype):
        held, described = f"{sequences.shape} of {sequences.dtype}", f"{shape} of {dtype}"
        raise DataError(f"{folder / SEQUENCES} holds {held}, not the {described} described: prepare {name} again")
    for protocol, split in protocols.items():
        if split.by not in get_args(Key):
            keys = ", ".join(get_args(Key))
            raise DataError(f"{folder / ABOUT}: protocol {protocol!r} divides by {split.by!r}, which is none of {keys}")
    if len(wrong := samples["label"][~samples["label"].isin(range(len(classes)))]):
        raise DataError(
            f"{folder / SAMPLES} has the label {wrong.iloc[0]!r}; {ABOUT} names {len(classes)} classes, so labels are 0 to "
            f"{len(classes) - 1}"
        )
    rows = np.arange(len(samples))
    return SkeletonDataset(name, sequences, rows, samples, skeleton, classes, fingerprint, path == "rigid", path), protocols


def _not_prepared(root: Path, name: str) -> str:
    from skelray.data.benchmarks import BENCHMARKS  # they are made of what stands here

    sentence = f"{name} is not prepared in {root}"
    if name in BENCHMARKS:
        return f"{sentence}: `skelray prepare {name}{'' if name == 'synthetic' else ' PATH'}` prepares it"
    there = ", ".join(sorted(path.parent.name for path in root.glob(f"[!.]*/{ABOUT}"))) or "nothing"
    return f"{sentence}, which holds {there}; `skelray prepare` knows {', '.join(sorted(BENCHMARKS))}"
