"""A data set that lies on its device, so that a batch is an index into it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from skelray.augment import CannotCapture, Draws, View
from skelray.data.dataset import SkeletonDataset

PART = 4096  # sequences that are sent, or resized, at a time
SHARE = 0.6  # of a device's free memory that sequences may take


class Resident:
    """The sequences of a data set on a device, resized once; those of one file are shared by all that read them there.

    sequences: (all N, C, T, V, M), in the prepared dtype or, resized, in float32. rows: (len,) int64, which are the data
    set's. lengths: (len,) int64, how many leading frames were recorded.
    """

    def __init__(self, data: SkeletonDataset, frames: int | None, device: torch.device) -> None:
        self.skeleton = data.skeleton
        self.sequences = _shared(_Key(data), frames, device)
        self.rows = torch.from_numpy(np.asarray(data.rows, dtype=np.int64)).to(device)
        self.lengths = torch.from_numpy(data.lengths(np.arange(len(data)), frames)).to(device)

    def view(self, positions: Tensor, draws: Draws) -> View:
        """Returns the sequences at these positions of the data set, (n,) int64 on the device."""
        x = self.sequences.index_select(0, self.rows.index_select(0, positions)).float()
        return View.of(x, self.skeleton, draws, self.lengths.index_select(0, positions))


class _Key:
    """A data set under the name of what its sequences are: a file and its fingerprint, or the array itself."""

    def __init__(self, data: SkeletonDataset) -> None:
        self.data = data
        where = getattr(data.sequences, "filename", None)
        self._key = (str(where), data.fingerprint) if where else (id(data.sequences), data.fingerprint)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._key == other._key


@lru_cache(maxsize=2)
def _shared(key: _Key, frames: int | None, device: torch.device) -> Tensor:
    """Returns all sequences of the prepared set. Raises CannotCapture if the device has no room for them."""
    data, sequences = key.data, key.data.sequences
    resized = frames is not None and frames != sequences.shape[2]
    shape = (*sequences.shape[:2], frames if resized else sequences.shape[2], *sequences.shape[3:])
    dtype = torch.float32 if resized else torch.from_numpy(np.empty(0, sequences.dtype)).dtype
    _check_room(int(np.prod(shape)) * dtype.itemsize, device)
    whole = torch.empty(shape, dtype=dtype, device=device)
    everything = np.arange(len(sequences))
    for start in range(0, len(sequences), PART):
        some = everything[start : start + PART]
        part = resized_part(data, some, frames) if resized else np.ascontiguousarray(sequences[some])
        whole[start : start + PART].copy_(torch.from_numpy(part))
    return whole


def resized_part(data: SkeletonDataset, rows: np.ndarray, frames: int | None) -> np.ndarray:
    """Returns the sequences of these rows of the prepared set, as the data set's own ``batch`` does."""
    return replace(data, rows=rows).batch(np.arange(len(rows)), frames)


def _check_room(needed: int, device: torch.device) -> None:
    if device.type != "cuda":
        return
    free = torch.cuda.mem_get_info(device)[0]
    if needed > SHARE * free:
        raise CannotCapture(f"its sequences take {needed / 2**30:.1f} GiB of the {free / 2**30:.1f} GiB free on {device}")
