"""Both published preprocessings: centred on each person (CrosSCLR, AimCLR, HiCLR), and one rigid motion a clip (HiCo).

SkeletonCLR and CrosSCLR: Li et al., CVPR 2021. AimCLR: Guo et al., AAAI 2022. HiCLR: Zhang et al., AAAI 2023. HiCo:
Dong et al., AAAI 2023. Inside this module a clip is (T, M, V, 3); what leaves it is (C, T, V, M).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from skelray.checks import UserError
from skelray.data.persons import join_bodies, present_bodies
from skelray.skeleton import Skeleton

LISTED = 4  # bodies that are candidates for the most active ones


PathName = Literal["centred", "unturned", "rigid", "plain"]


@dataclass(frozen=True, eq=False)
class Kept:
    """A clip (3, frames, V, persons) float32, and what it lacks of its recording.

    frames: with someone, but not kept. persons: not kept at all. joined: bodies taken for the continuation of another.
    """

    clip: np.ndarray
    frames: int = 0
    persons: int = 0
    joined: int = 0


@dataclass(frozen=True)
class Preprocessing:
    """How a recording becomes an array of ``frames`` frames.

    path: "centred" keeps the bodies listed first, subtracts from each its own centre in every frame, resizes the clip
        to ``frames`` and turns every frame until the shoulders are parallel to x (published: 50 frames).
        "unturned" is the same without turning: for skeletons without shoulders, and for planar ones.
        "rigid" keeps the most active bodies, repeats the clip until it fills ``frames``, centres both persons on the
        first one and turns the whole clip until its first spine is parallel to z and its first shoulders to x
        (published: 300 frames; a longer clip keeps its middle).
        "plain" keeps the bodies listed first, where they were recorded, and resizes the clip to ``frames``.
    """

    path: PathName = "centred"
    frames: int = 50

    def __post_init__(self) -> None:
        if self.path not in get_args(PathName):
            raise UserError(f"path is {self.path!r}; it is 'unturned', 'centred', 'rigid' or 'plain'")
        if self.frames < 1:
            raise UserError(f"frames is {self.frames}; a clip has at least one")

    @property
    def joints(self) -> tuple[str, ...]:
        """Returns the names of the joints that it needs."""
        shoulders = ("shoulder_left", "shoulder_right")
        return {"centred": shoulders, "rigid": ("spine_base", "spine_mid", *shoulders)}.get(self.path, ())

    def __call__(self, bodies: np.ndarray, skeleton: Skeleton, persons: int) -> np.ndarray:
        """Preprocesses a recording's bodies (T, M, V, 3) to (3, frames, V, persons) float32."""
        return self.preprocess(bodies, skeleton, persons).clip

    def preprocess(
        self, bodies: np.ndarray, skeleton: Skeleton, persons: int, released: bool = False, planar: bool = False
    ) -> Kept:
        """Preprocesses bodies (T, M, V, 3), keeping the frames with anyone and each person in one place.

        released: frames and persons as the released code keeps them. planar: the third channel is no coordinate.
        """
        released = released and self.path != "unturned"
        listed, joins = (bodies, 0) if released else join_bodies(bodies, persons)
        if self.path == "rigid":
            start = max(0, (len(listed) - self.frames) // 2)
            frames = np.isin(np.arange(len(listed)), np.arange(start, start + self.frames))
            people = most_active(listed[frames], persons)
            clip = rigid(people, skeleton, self.frames)
        else:
            people = first_listed(listed, persons)
            frames = _as_released(people, self.path) if released else np.asarray(present_bodies(people).any(axis=1))
            people = people[frames]
            clip = self._resized(people, skeleton, released, planar)
        seen, kept = present_bodies(listed), present_bodies(people)
        frames[frames] = kept.any(axis=1)
        return Kept(
            clip=channels_first(clip),
            frames=int((seen.any(axis=1) & ~frames).sum()),
            persons=int(seen.any(axis=0).sum() - kept.any(axis=0).sum()),
            joined=joins,
        )

    def _resized(self, people: np.ndarray, skeleton: Skeleton, released: bool, planar: bool) -> np.ndarray:
        """Processes people (T, M, V, 3) by the paths that resize."""
        if not people.any():
            return np.zeros((self.frames, *people.shape[1:]), np.float32)
        local = people if self.path == "plain" else _local(people, skeleton.centre, planar)
        clip = resample(local, self.frames, None if released else present_bodies(people))
        return face_x(clip, skeleton) if self.path == "centred" else clip


def channels_first(clip: np.ndarray) -> np.ndarray:
    """Turns (T, M, V, 3) into (3, T, V, M), contiguous float32."""
    return np.ascontiguousarray(clip.transpose(3, 0, 2, 1), dtype=np.float32)


def first_listed(bodies: np.ndarray, persons: int) -> np.ndarray:
    """Returns the bodies listed first, frame by frame: (T, persons, V, 3), zeros if there are fewer."""
    frames, listed, *rest = bodies.shape
    kept = np.zeros((frames, persons, *rest), np.float32)
    kept[:, :listed] = bodies[:, :persons]
    return kept


def most_active(bodies: np.ndarray, persons: int) -> np.ndarray:
    """Returns the bodies whose coordinates spread most (of the first four listed), the most active first."""
    bodies = bodies[:, :LISTED]
    if bodies.shape[1] < 2:  # of one body there is nothing to choose
        return first_listed(bodies, persons)
    energy = [_spread(bodies[:, body]) for body in range(bodies.shape[1])]
    return first_listed(bodies[:, np.argsort(-np.array(energy), kind="stable")], persons)


def _spread(body: np.ndarray) -> float:
    """Sums the standard deviations of x, y and z over joints (T, V, 3) and the frames with a body."""
    seen = body[body.reshape(len(body), -1).any(axis=1)].reshape(-1, 3).astype(np.float64)
    if not len(seen):
        return 0.0
    seen -= seen.mean(axis=0)
    return float(np.sqrt(np.einsum("ij,ij->j", seen, seen) / len(seen)).sum())


def centred(clip: np.ndarray, skeleton: Skeleton, frames: int) -> np.ndarray:
    """Prepares a clip as released: each person centred, resized to ``frames``, turned frame by frame; zeros if empty."""
    kept = clip[_as_released(clip, "centred")]
    return Preprocessing("centred", frames)._resized(kept, skeleton, released=True, planar=False)


def _as_released(clip: np.ndarray, path: PathName) -> np.ndarray:
    """Returns (T,) bool: the frames of a clip (T, M, V, 3) that the released code resizes.

    On the centred path they are the leading ones, as many as have a first person by the first joint, so that gaps cut the
    end
    of a clip; if those are empty, the frames with anyone are kept instead of an all-zero clip. On the plain path they are
    all
    up to the last frame with anyone.
    """
    anyone = np.asarray(present_bodies(clip).any(axis=1))
    if path == "plain":
        return np.arange(len(clip)) <= max(np.flatnonzero(anyone), default=-1)
    leading = np.arange(len(clip)) < np.count_nonzero(clip[:, 0, 0].any(axis=-1))
    return leading if (leading & anyone).any() else anyone


def _local(clip: np.ndarray, centre: int, planar: bool) -> np.ndarray:
    """Subtracts each person's own centre from a clip (T, M, V, 3); in the plane, unseen joints stay at zero."""
    if not planar:
        return clip - clip[:, :, centre, None]
    return clip - clip[:, :, centre, None] * np.array((1, 1, 0), np.float32) * clip.any(axis=-1, keepdims=True)


def resample(clip: np.ndarray, frames: int, here: np.ndarray | None = None) -> np.ndarray:
    """Resizes time linearly, aligned at frame centres (no filter when frames are dropped).

    here: (T, M), who is present in a clip (T, M, V, 3): absent bodies are not blended, and whoever is present in the nearest
    frame is present.
    """
    length = len(clip)
    at = np.clip((np.arange(frames) + 0.5) * length / frames - 0.5, 0, length - 1)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, length - 1)
    weight = (at - low).astype(np.float32).reshape(-1, *[1] * (clip.ndim - 1))
    if here is None or here.all():
        return clip[low] * (1 - weight) + clip[high] * weight
    later = weight[:, :, 0, 0] >= 0.5  # (frames, 1)
    weight = np.where(here[low] & here[high], weight[:, :, 0, 0], later).astype(np.float32)[..., None, None]
    seen = here[np.where(later[:, 0], high, low)]  # (frames, M)
    return np.where(seen[..., None, None], clip[low] * (1 - weight) + clip[high] * weight, np.float32(0))


def face_x(clip: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Turns each person in each frame about y until the shoulders are parallel to x.

    The direction of turning is one for a person's whole clip, as released: frames that lean the other way turn wrongly.
    """
    left, right = skeleton.index("shoulder_left"), skeleton.index("shoulder_right")
    line = (clip[:, :, right] - clip[:, :, left]).astype(np.float64)  # (T, M, 3)
    width = np.hypot(line[..., 0], line[..., 2])
    angle = np.arccos(line[..., 0] / (width + 1e-4))
    angle = np.where(line[..., 2].sum(axis=0) >= 0, -angle, angle)[..., None]  # (T, M, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = np.moveaxis(clip, -1, 0)
    result = np.empty((3, len(clip), clip.shape[2], clip.shape[1]), np.float32)  # as it leaves this module
    for channel, turned in zip(result, (cos * x - sin * z, y, sin * x + cos * z), strict=True):
        channel[:] = turned.swapaxes(1, 2)
    return result.transpose(1, 3, 2, 0)


def rigid(clip: np.ndarray, skeleton: Skeleton, frames: int) -> np.ndarray:
    """Repeats to ``frames``, centres on the first person, and turns the first spine to z and first shoulders to x.

    The repeated part is moved once: only persons present at other times than the first one are moved frame by frame.
    """
    base, spine = skeleton.index("spine_base"), skeleton.index("spine_mid")
    left, right = skeleton.index("shoulder_left"), skeleton.index("shoulder_right")
    bodies = [period(clip[:, person])[:frames] for person in range(clip.shape[1])]
    main = bodies[0] if len(bodies[0]) else np.zeros((1, *clip.shape[2:]), np.float32)
    first = _moved(main[:1], main[:1, spine])[0]
    upright = _rotation(first[spine] - first[base], 2)
    turn = (_rotation(upright @ (first[right] - first[left]), 0) @ upright).T.astype(np.float32)
    result = np.zeros((3, frames, clip.shape[2], clip.shape[1]), np.float32)  # as it leaves this module
    for person, body in enumerate(bodies):
        if not len(body):
            continue
        centre = main[:, spine]
        if len(body) != len(main):
            body, centre = _repeated(body, frames), _repeated(centre, frames)
        turned = np.ascontiguousarray((_moved(body, centre).reshape(-1, 3) @ turn).T).reshape(3, *body.shape[:2])
        for start in range(0, frames, len(body)):
            part = result[:, start : start + len(body), :, person]
            part[:] = turned[:, : part.shape[1]]
    return result.transpose(1, 3, 2, 0)


def _moved(body: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Subtracts a centre (T, 3) from a body (T, V, 3); joints at zero stay there."""
    return (body - centre[:, None]) * ((body[..., 0] != 0) | (body[..., 1] != 0) | (body[..., 2] != 0))[..., None]


def period(body: np.ndarray) -> np.ndarray:
    """Returns the part of a body (T, V, 3) that repeats: all until it leaves for good; none of an absent one.

    If the first frame is empty, every empty frame is removed, as released.
    """
    present = np.flatnonzero(body.reshape(len(body), -1).any(axis=1))
    if not len(present):
        return body[:0]
    return body[present] if present[0] > 0 else body[: present[-1] + 1]


def fill(body: np.ndarray, frames: int) -> np.ndarray:
    """Extends a body (T, V, 3) to ``frames`` frames, repeated from its start once it has left; an absent one stays zero."""
    repeats = period(body)
    return _repeated(repeats, frames) if len(repeats) else np.zeros((frames, *body.shape[1:]), np.float32)


def _repeated(values: np.ndarray, frames: int) -> np.ndarray:
    return values[np.arange(frames) % len(values)]


def _rotation(vector: np.ndarray, onto: int) -> np.ndarray:
    """Returns the shortest rotation (3, 3) of a vector onto a coordinate axis, the identity if it is parallel already."""
    x, y, z = (float(value) for value in vector)
    length = float(np.sqrt(x * x + y * y + z * z))
    angle = float(np.arccos(np.clip((x, y, z)[onto] / length, -1, 1))) if length else 0.0
    axis = np.array([(0.0, z, -y), (-z, 0.0, x), (y, -x, 0.0)][onto])  # the cross product with the coordinate axis
    if np.abs(axis).sum() < 1e-6 or angle < 1e-6:
        return np.eye(3)
    x, y, z = axis / np.sqrt(axis @ axis)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * across @ across
