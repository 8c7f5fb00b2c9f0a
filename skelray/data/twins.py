"""Sequences that are in a data set twice, the same to the bit or nearly: found by sketches, confirmed on the array."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skelray.data.dataset import SkeletonDataset

NEAR = 0.01  # root mean square of the difference, of that of the sequence
MOMENTS, NUMBERS = 8, 16  # of a sketch: moments that are looked at, numbers that are kept
MOST_PAIRS = 10_000


def sketch(x: np.ndarray) -> np.ndarray:
    """(n, NUMBERS) float32 projections of sequences (n, C, T, V, M), the size of the sequences last.

    What differs by little has sketches that differ by little: each direction has length 1.
    """
    moments = np.linspace(0, x.shape[2] - 1, min(MOMENTS, x.shape[2])).round().astype(int)
    flat = x[:, :, moments].reshape(len(x), -1)
    directions = np.random.default_rng(0).standard_normal((flat.shape[1], NUMBERS - 1)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    return np.column_stack([flat @ directions, np.linalg.norm(flat, axis=1)])


def twins(dataset: SkeletonDataset, sketches: np.ndarray) -> Iterator[tuple[int, int, bool]]:
    """(one, another, whether they are the same to the bit) of every pair within NEAR; at most MOST_PAIRS.

    Two near sequences have near first numbers, so that only neighbours in their order are compared.
    """
    order = np.argsort(sketches[:, 0], kind="stable")
    ordered = sketches[order].astype(np.float64)
    allowed = NEAR * ordered[:, -1] + 1e-6  # a projection moves no more than the sequence does
    last = np.searchsorted(ordered[:, 0], ordered[:, 0] + 2 * allowed, side="right")
    found = 0
    for at, end in enumerate(last):
        near = (np.abs(ordered[at + 1 : end] - ordered[at]) <= 2 * allowed[at]).all(axis=1)
        for other in np.flatnonzero(near) + at + 1:
            pair = sorted((int(order[at]), int(order[other])))
            if (same := _alike(dataset.sequences, *pair)) is not None:
                found += 1
                yield pair[0], pair[1], same
                if found == MOST_PAIRS:
                    return


def _alike(sequences: np.ndarray, one: int, other: int) -> bool | None:
    """True where they are the same, False where they are near, None otherwise."""
    a, b = (np.nan_to_num(sequences[at].astype(np.float64), posinf=0, neginf=0) for at in (one, other))
    size, difference = np.sqrt(np.square(a).mean()), np.sqrt(np.square(a - b).mean())
    if difference == 0:
        return True
    return False if difference <= NEAR * size else None
