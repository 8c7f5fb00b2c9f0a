"""Sequences that are in a data set twice: bit-equal ones found by a hash, near ones by sketches and then confirmed.

A sketch projects a sequence on a few random directions. Two sketches lie about as far apart as their sequences do
(Johnson and Lindenstrauss, 1984), so that all pairs of a large data set can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skelray.data.dataset import SkeletonDataset

NEAR = 0.01  # root mean square of the difference, of that of the sequence
NUMBERS = 32  # of a sketch
# How much farther apart than their sequences two sketches may lie: the square is chi-squared of 32 degrees over 32, which
# is above 1.64**2 once in a million; along one direction it is 5 standard deviations.
APART, ALONG = 1.64, 5 / np.sqrt(NUMBERS)
ROWS, COLUMNS = 512, 4096  # of the distances in memory at once
MOST_PAIRS, MOST_LOOKED = 10_000, 200_000  # near pairs that are told, and sequences that are compared for it


@dataclass(frozen=True, eq=False)
class Twins:
    """The sequences that are in a data set twice.

    first: (N,) the first sequence bit-equal to each. near: (one, another) of such first ones within NEAR of each other, one
    <
    another. whole: whether all were found, which is not so if there are very many.
    """

    first: np.ndarray
    near: tuple[tuple[int, int], ...]
    whole: bool

    def pairs(self) -> Iterator[tuple[int, int, bool]]:
        """Yields (one, another, whether they are equal), pairing each duplicate with the first of its kind."""
        for at in np.flatnonzero(self.first != np.arange(len(self.first))):
            yield int(self.first[at]), int(at), True
        yield from ((one, other, False) for one, other in self.near)

    def between_splits(self, train: Iterable[int], test: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Yields (test, train) of every test sequence that is in training too or has a twin there."""
        trains: dict[int, int] = {}
        listed = {int(at) for at in train}
        for at in sorted(listed):
            trains.setdefault(int(self.first[at]), at)
        kin: dict[int, list[int]] = {}
        for one, other in self.near:
            kin.setdefault(one, []).append(other)
            kin.setdefault(other, []).append(one)
        for at in test:
            own = int(self.first[at])
            twin = (
                at if at in listed else next((trains[group] for group in (own, *kin.get(own, ())) if group in trains), None)
            )
            if twin is not None:
                yield int(at), twin


def digests(x: np.ndarray) -> np.ndarray:
    """Returns a hash of each sequence (n, C, T, V, M) float32, (n,) text."""
    x = np.ascontiguousarray(x) + 0  # -0.0 is 0.0
    return np.array([hashlib.blake2b(sequence.data, digest_size=16).hexdigest() for sequence in x])


def sketch(x: np.ndarray) -> np.ndarray:
    """Projects sequences (n, C, T, V, M) to (n, NUMBERS + 1) float32, the sequence's norm last."""
    flat = x.reshape(len(x), -1)
    return np.column_stack([flat @ _directions(flat.shape[1]), np.linalg.norm(flat, axis=1)])


@lru_cache(maxsize=1)
def _directions(size: int) -> np.ndarray:
    directions = np.random.default_rng(0).standard_normal((size, NUMBERS), np.float32)
    return directions / np.float32(np.sqrt(NUMBERS))


def twins(dataset: SkeletonDataset, digests: np.ndarray, sketches: np.ndarray) -> Twins:
    """Finds the twins of a data set from hashes and sketches of its sequences."""
    _, place, group = np.unique(digests, return_index=True, return_inverse=True)
    first = place[group]
    once = np.flatnonzero(first == np.arange(len(first)))
    near: list[tuple[int, int]] = []
    for looked, (a, b) in enumerate(_candidates(sketches[once].astype(np.float64))):
        if len(near) == MOST_PAIRS or looked == MOST_LOOKED:
            return Twins(first, tuple(near), whole=False)
        one, other = sorted((int(once[a]), int(once[b])))
        if _near(dataset.sequences, one, other):
            near.append((one, other))
    return Twins(first, tuple(near), whole=True)


def _candidates(sketches: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields pairs with near sketches; only neighbours along the best direction are compared."""
    near = NEAR * (1 + NEAR) * sketches[:, -1]  # the other of a pair may be larger by as much
    numbers = sketches[:, :-1] - sketches[:, :-1].mean(axis=0) if len(sketches) else sketches[:, :-1]
    order, last = min((_window(column, ALONG * near) for column in numbers.T), key=lambda window: window[1].sum())
    numbers, limits = numbers[order], np.square(APART * near[order])
    squares = np.square(numbers).sum(axis=1)
    for start in range(0, len(numbers), ROWS):
        rows = slice(start, start + ROWS)
        end = int(last[rows].max())
        for left in range(start, end, COLUMNS):
            columns = slice(left, min(left + COLUMNS, end))
            apart = squares[rows, None] + squares[columns] - 2 * numbers[rows] @ numbers[columns].T
            found = np.triu(apart <= limits[rows, None], k=1 + start - left)  # each pair once
            yield from ((int(order[start + a]), int(order[left + b])) for a, b in np.argwhere(found))


def _window(column: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the order along a direction and, for each in it, the end of those close enough behind it."""
    order = np.argsort(column, kind="stable")
    return order, np.searchsorted(column[order], column[order] + allowed[order], side="right")


def _near(sequences: np.ndarray, one: int, other: int) -> bool:
    a, b = (np.nan_to_num(sequences[at].astype(np.float64), posinf=0, neginf=0) for at in (one, other))
    return bool(np.linalg.norm(a - b) <= NEAR * np.linalg.norm(a))
