"""What a report shows of a test set without its data: names, a few sequences, and what methods make of them.

<root>/excerpts/<set>.npz            of a set of samples: names, labels, bones, and sequences spread over its classes
                <set>-<method>.npz   the same sequences as the views that a method trains on
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skelray.store.files import Files

if TYPE_CHECKING:
    from skelray.trial import Trial

KEPT, FRAMES = 128, 24  # sequences, and frames of each
PACKED = 0.53  # share of its bytes that a packed sequence has, on generated data with one person in most
HIDDEN = -128  # a joint that is masked, or of a person who is not there
FOLDER = "excerpts"


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A set of N samples, as far as a report shows it.

    classes: names. names, labels, rows: (N,). bones: (B, 2) child and parent. left, right: joints.
    positions: (n,) which samples are kept as sequences. sequences: (n, T, V, M, 3) int8, HIDDEN where nothing is.
    """

    classes: np.ndarray
    names: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    bones: np.ndarray
    left: np.ndarray
    right: np.ndarray
    positions: np.ndarray
    sequences: np.ndarray


@dataclass(frozen=True, eq=False)
class Augmented:
    """The kept sequences of an excerpt as views. names: (views,) of branches. sequences: (views, n, T, V, M, 3) int8."""

    names: np.ndarray
    sequences: np.ndarray


def excerpt_name(fingerprint: str, rows: np.ndarray) -> str:
    """Returns the name of an excerpt: of some rows of a prepared data set."""
    return hashlib.sha256(fingerprint.encode() + np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()[:16]


def views_name(name: str, trial: Trial) -> str:
    """Returns the name of the views that a trial's method makes of an excerpt."""
    from skelray.identity.canonical import canonical, digest  # it needs torch, which who reads excerpts does without

    return f"{name}-{digest({'method': canonical(trial.method), 'frames': trial.frames})}"


def excerpt_size(samples: int, frames: int, joints: int, persons: int, views: int = 1) -> int:
    """Returns the bytes that an excerpt takes in a store, or so many views of one."""
    return int(PACKED * views * min(KEPT, samples) * min(FRAMES, frames) * joints * persons * 3)


def stratified_positions(labels: np.ndarray) -> np.ndarray:
    """Returns positions of at most KEPT samples, spread over the classes."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.unique(np.linspace(0, len(order) - 1, min(KEPT, len(order))).round().astype(int))])


def write_excerpt(store: Files, name: str, content: Excerpt | Augmented) -> None:
    """Writes an excerpt, or the views of one."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **vars(content))
    store.write(f"{FOLDER}/{name}.npz", buffer.getvalue())


def has_excerpt(store: Files, name: str) -> bool:
    """Returns whether the store has it."""
    return store.has(f"{FOLDER}/{name}.npz")


def read_excerpt(store: Files, name: str) -> Excerpt | None:
    """Returns the excerpt of this name; None where there is none that can be read."""
    arrays = _arrays(store, name)
    return None if arrays is None or set(arrays) != set(Excerpt.__dataclass_fields__) else Excerpt(**arrays)


def read_augmented(store: Files, name: str) -> Augmented | None:
    """Returns the views of this name; None where there are none that can be read."""
    arrays = _arrays(store, name)
    return None if arrays is None or set(arrays) != set(Augmented.__dataclass_fields__) else Augmented(**arrays)


def _arrays(store: Files, name: str) -> dict[str, np.ndarray] | None:
    if (content := store.read(f"{FOLDER}/{name}.npz")) is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # whatever damage makes numpy and zipfile raise
        store.set_aside(f"{FOLDER}/{name}.npz", str(error) or type(error).__name__)
        return None


def quantised(x: np.ndarray, offset: np.ndarray, scale: float) -> np.ndarray:
    """Returns (n, T, V, M, 3) int8 of sequences (n, 3, T', V, M) at FRAMES moments; HIDDEN for an absent person or a NaN."""
    at = np.linspace(0, x.shape[2] - 1, min(FRAMES, x.shape[2])).round().astype(int)
    x = np.moveaxis(x[:, :, at], 1, -1)  # (n, T, V, M, 3)
    absent = ~np.nan_to_num(x, nan=1.0).any(axis=(1, 2, 4), keepdims=True)  # (n, 1, 1, M, 1)
    hidden = np.isnan(x).any(axis=-1, keepdims=True) | absent
    whole = np.clip(np.rint((np.nan_to_num(x) - offset) / scale), HIDDEN + 1, -HIDDEN - 1)
    return np.where(hidden, HIDDEN, whole).astype(np.int8)


def ruler(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the middle (3,) of sequences (n, 3, T, V, M) and the length of a step of int8, with room for augmentations."""
    there = np.moveaxis(x, 1, -1)[(x != 0).any(axis=1)]  # (points, 3)
    if not len(there):
        return np.zeros(3), 1.0
    middle = (there.min(axis=0) + there.max(axis=0)) / 2
    return middle, max(float(np.abs(there - middle).max()) * 1.4 / -HIDDEN, 1e-9)
