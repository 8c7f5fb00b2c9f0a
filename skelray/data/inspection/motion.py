"""Motion from frame to frame: the size of bodies, the steps of joints, and sides that change place."""

from __future__ import annotations

import numpy as np

from skelray.skeleton import Skeleton

APART = 0.05  # of the body's reach: how far exchanged sides lie apart for it to count
LAGS = (1, 2, 4)  # frames between which sides are compared
BETTER = 0.35  # how much smaller the way is where the sides are exchanged back


def reach(x: np.ndarray, centre: int) -> np.ndarray:
    """Returns (n, M): the distance from the centre to the farthest joint, median over the frames with the person.

    x: (n, C, T, V, M); 0 for an absent person.
    """
    far = np.sqrt(np.square(x - x[:, :, :, [centre]]).sum(axis=1)).max(axis=2)  # (n, T, M)
    there = x.any(axis=(1, 3))  # (n, T, M)
    ordered = np.sort(np.where(there, far, np.inf), axis=1)
    middle = np.maximum(there.sum(axis=1) - 1, 0) // 2  # (n, M)
    median = np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(median), median, 0)


def joint_steps(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Returns (n, T-1, M): the longest step of a joint between two frames, in reaches; 0 where the person comes or goes."""
    way = np.sqrt(np.square(np.diff(x, axis=2)).sum(axis=1)).max(axis=2)  # (n, T-1, M)
    return np.where(_stays(x), way, 0) / np.where(size > 0, size, np.inf)[:, None]


def exchanged(x: np.ndarray, size: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Returns (n,): how often left and right change place.

    They do if exchanging the names of all paired joints makes the way between two frames far shorter. Preprocessing that
    aligns the shoulders in each frame turns an exchanged body round, so half a turn about any axis is undone as well; and a
    stretched clip blends both states, so frames further apart are compared too.
    """
    count = np.zeros(len(x), np.int64)
    if not skeleton.mirror:
        return count
    local = x - x[:, :, :, [skeleton.centre]]
    there = np.asarray(x.any(axis=(1, 3)))  # (n, T, M)
    for lag in LAGS:
        if lag < x.shape[2]:
            count = np.maximum(count, _exchanged(local, there, size, skeleton, lag))
    return count


def _exchanged(local: np.ndarray, there: np.ndarray, size: np.ndarray, skeleton: Skeleton, lag: int) -> np.ndarray:
    """Returns (n,): runs of frames that are exchanged relative to those ``lag`` before them."""
    pairs = np.array(skeleton.mirror)
    paired, back = pairs.ravel(), pairs[:, ::-1].ravel()
    before, after, other = local[:, :, :-lag, paired], local[:, :, lag:, paired], local[:, :, lag:, back]
    way = _way(before, after)  # (n, T-lag, M)
    shortest = np.min([_way(before, other * turn) for turn in _turns(local.shape[1])], axis=0)
    found = there[:, lag:] & there[:, :-lag] & (way > APART * size[:, None]) & (shortest < BETTER * way)
    any_one = np.asarray(found.any(axis=2))
    return any_one[:, 0] + (any_one[:, 1:] & ~any_one[:, :-1]).sum(axis=1)


def _turns(channels: int) -> list[np.ndarray]:
    """Returns signs (C, 1, 1, 1) of no turn and of half a turn about each axis."""
    signs = [np.ones(channels), *(np.where(np.arange(channels) == axis, 1, -1) for axis in range(channels))]
    return [np.asarray(sign, np.float32).reshape(-1, 1, 1, 1) for sign in signs]


def _way(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns the mean distance of joints (n, C, T, V, M), (n, T, M)."""
    return np.sqrt(np.square(after - before).sum(axis=1)).mean(axis=2)


def _stays(x: np.ndarray) -> np.ndarray:
    """Returns (n, T-1, M): whether a person is present in a frame and the next."""
    there = np.asarray(x.any(axis=(1, 3)))
    return there[:, 1:] & there[:, :-1]
