"""Joints without information in a recording: at the sensor's origin, fixed in place, or identical to another."""

from __future__ import annotations

import numpy as np

from skelray.data.persons import present_bodies
from skelray.skeleton import Skeleton

WOBBLE = 0.2  # of the length of a bone: how much that of a sensor changes, one standard deviation
FEWEST = 5  # frames of a person: fewer say nothing of what stands still
ORIGIN, STILL = "at 0,0,0 of its source", "always in the same place"


def stuck(bodies: np.ndarray, skeleton: Skeleton) -> list[tuple[str, str]]:
    """Returns (joint, how it is stuck) for the stuck joints of a recording's bodies (T, M, V, 3), as recorded.

    A joint is stuck at the origin in at least half of a person's frames, fixed or identical to another in all. One joint at
    the origin, or the fixed centre alone, whose bones keep their lengths is where the source was centred; a trunk that
    stands
    still from the centre on belongs to a figure.
    """
    found: dict[tuple[str, str], None] = {}
    for person in range(bodies.shape[1]):
        body = bodies[:, person]
        body = body[present_bodies(bodies[:, [person]])[:, 0]]
        if len(body) >= FEWEST:
            found.update(dict.fromkeys((skeleton.joints[joint], how) for joint, how in _stuck(body, skeleton)))
    return list(found)


def _stuck(body: np.ndarray, skeleton: Skeleton) -> list[tuple[int, str]]:
    """Returns (joint, how) of a body (T, V, 3)."""
    never = np.zeros(body.shape[1], bool)
    origin = never if body.all() else 2 * (~body.any(axis=2)).sum(axis=0) >= len(body)  # (V,)
    same = (body[0] == body[-1]).all(axis=1)
    still = (body == body[0]).all(axis=(0, 2)) & ~origin if same.any() else never
    trunk = _still_trunk(still, skeleton)
    if len(trunk) > 1 or (trunk and _centred(body, skeleton.centre, skeleton)):
        still[trunk] = False
    if origin.sum() == 1 and _centred(body, int(origin.argmax()), skeleton):
        origin[:] = False
    found = [(joint, ORIGIN) for joint in np.flatnonzero(origin).tolist()]
    found += [(joint, STILL) for joint in np.flatnonzero(still).tolist()]
    return found + _alike(body, np.flatnonzero(~origin & ~still).tolist(), skeleton)


def _alike(body: np.ndarray, joints: list[int], skeleton: Skeleton) -> list[tuple[int, str]]:
    """Returns those of these joints that always coincide with an earlier one."""
    if len({*map(tuple, body[0, joints].tolist())}) == len(joints):  # not even in one frame
        return []
    found, seen = [], dict[bytes, int]()
    for joint in joints:
        first = seen.setdefault(body[:, joint].tobytes(), joint)
        if first != joint:
            found.append((joint, f"always where {skeleton.joints[first]} is"))
    return found


def _still_trunk(still: np.ndarray, skeleton: Skeleton) -> list[int]:
    """Returns the joints that stand still from the centre on, along bones."""
    trunk = [skeleton.centre] if still[skeleton.centre] else []
    for joint in trunk:  # grows as it is read
        beside = {other for bone in skeleton.bones if joint in bone for other in bone}
        trunk += sorted(other for other in beside - {*trunk} if still[other])
    return trunk


def _centred(body: np.ndarray, joint: int, skeleton: Skeleton) -> bool:
    """Returns whether bones of constant length, no longer than the body, join a joint to its neighbours."""
    beside = [other for bone in skeleton.bones if joint in bone for other in bone if other != joint]
    lengths = np.linalg.norm(body[:, beside] - body[:, [joint]], axis=2)  # (T, bones)
    others = np.delete(body, joint, axis=1)
    size = np.linalg.norm(others.max(axis=1) - others.min(axis=1), axis=1).mean()
    return bool((lengths.std(axis=0) <= WOBBLE * lengths.mean(axis=0)).all() and (lengths.mean(axis=0) <= size).all())
