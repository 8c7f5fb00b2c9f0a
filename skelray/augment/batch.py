"""A batch of a data set as a fresh view."""

from __future__ import annotations

import numpy as np
import torch

from skelray.augment.view import Draws, View
from skelray.data.dataset import SkeletonDataset


def view_of(data: SkeletonDataset, positions: np.ndarray, draws: Draws, frames: int | None = None) -> View:
    """Returns the sequences at these positions on the draws' device, resized to ``frames`` frames if given."""
    x = torch.from_numpy(data.batch(positions, frames)).to(draws.device)  # (N, C, T, V, M)
    lengths = torch.from_numpy(data.lengths(positions, frames)).to(draws.device)  # (N,)
    return View.of(x, data.skeleton, draws, lengths)
