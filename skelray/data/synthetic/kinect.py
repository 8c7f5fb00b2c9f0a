"""What three Kinects make of people: cameras placed as those of NTU RGB+D, and the errors of a depth sensor.

Cameras. Camera 1 looks straight ahead, cameras 2 and 3 stand 45 degrees to its sides, all at the height and distance of
their setup (from NTU RGB+D, Shahroudy et al., CVPR 2016), and are pitched towards the actor.

Errors, in the order they arise. The sizes of jitter and the share of occluded joints are those measured on samples of
NTU RGB+D. The bias is that of Wang, Kurillo, Ofli and Bajcsy, "Evaluation of Pose Tracking Accuracy in the First and
Second Generations of Microsoft Kinect" (2015): 5 to 10 cm against motion capture.

- a bias of every joint, constant in a clip, which adds up from the trunk to hands (7 cm) and feet (11 cm);
- occlusion in bursts of a limb's outer joints, mostly on the side that faces away or behind the other person: an
  occluded joint is held about where it was seen last, relative to the trunk, and drifts;
- jitter, an AR(1) process, larger for hands, along the line of sight and with the square of the distance;
- rare jumps of single joints; rare runs of frames without any body; rare ghosts: a short, wide second body.
"""

from __future__ import annotations

import numpy as np

from skelray.data.synthetic.figure import JOINTS, TREE, rotation
from skelray.skeleton import KINECT_V2

YAW = {1: 0.0, 2: -45.0, 3: 45.0}  # degrees, by camera
SETUPS = (  # height and distance in metres; setups are numbered from 1
    *((1.7, 3.5), (1.7, 2.5), (1.4, 2.5), (1.2, 3.0), (1.2, 3.0), (0.8, 3.5), (0.5, 4.5), (1.4, 3.5), (0.8, 2.0)),
    *((1.8, 3.0), (1.9, 3.0), (2.0, 3.0), (2.1, 3.0), (2.2, 3.0), (2.3, 3.5), (2.7, 3.5), (2.5, 3.0)),
)
AIM = 0.9  # the height that the cameras are pitched to, metres

_JITTER = {  # sd in metres at 2.5 m, by kind of joint
    "spine_base": 0.001,
    "spine_mid": 0.001,
    "spine_shoulder": 0.001,
    "neck": 0.001,
    "head": 0.0015,
    "shoulder": 0.002,
    "elbow": 0.004,
    "wrist": 0.006,
    "hand": 0.008,
    "hand_tip": 0.010,
    "thumb": 0.010,
    "hip": 0.0015,
    "knee": 0.003,
    "ankle": 0.005,
    "foot": 0.006,
}
_KINDS = tuple(name.removesuffix("_left").removesuffix("_right") for name in KINECT_V2.joints)
_NOISE = np.array([_JITTER[kind] for kind in _KINDS])
# The joints of each limb, and how much of the time they are hidden when their side faces straight away.
_LIMBS = tuple((part, 0.65 if name.startswith("arm") else 0.4) for name, part in KINECT_V2.parts if name != "trunk")

BIAS = 0.12  # constant error of a bone, share of its length and sd an axis
MEMORY = 0.7  # of the jitter, from frame to frame
BURST = 12.0  # mean frames of an occlusion
HELD = 0.75  # weight of the last position seen
DRIFT = 0.006  # metres a frame
OUTLIERS, GHOSTS, LOST = 5e-4, 0.03, 0.03  # a joint and frame; a clip; a clip


def see(points: np.ndarray, camera: int, setup: int, rng: np.random.Generator) -> np.ndarray:
    """Returns world points (..., 3) (floor at y = 0, camera 1 looks along +z) as a roughly aimed camera sees them."""
    height, distance = SETUPS[(setup - 1) % len(SETUPS)]
    turn = rotation(np.array([0.0, YAW[camera], 0.0]))
    place = turn @ np.array([0.0, height, -distance])
    pitch = np.degrees(np.arctan2(height - AIM, distance))
    miss = rng.normal(0, 1.5, 3)
    axes = turn @ rotation(np.array([pitch, 0.0, 0.0]) + miss)  # columns: the camera's axes in the world
    return (points - place) @ axes


def sense(bodies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a sensor's report of bodies (T, M, 25, 3) in its camera space; a single body may get a ghost."""
    seen = bodies + _bias(bodies, rng)
    hidden = np.stack([_hidden(bodies, person, rng) for person in range(bodies.shape[1])], axis=1)  # (T, M, 25)
    seen = _hold(seen, hidden, rng) + _jitter(bodies, rng)
    seen += np.where(rng.random(hidden.shape) < OUTLIERS, 1, 0)[..., None] * rng.normal(0, 0.15, seen.shape)
    if seen.shape[1] == 1 and rng.random() < GHOSTS:
        seen = np.concatenate([seen, _ghost(seen, rng)], axis=1)
    if rng.random() < LOST:
        start, length = rng.integers(1, len(seen)), rng.integers(1, 6)
        seen[start : start + length] = 0
    return seen


def _bias(bodies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws constant errors (1, M, 25, 3), each bone's added to its parent's."""
    joints, parents = map(list, zip(*TREE, strict=True))
    scale = np.full((bodies.shape[1], JOINTS, 1), 0.015)
    scale[:, joints] = BIAS * np.linalg.norm(bodies[0, :, joints] - bodies[0, :, parents], axis=-1).T[..., None]
    out = scale * rng.standard_normal(bodies.shape[1:])
    for joint, parent in TREE:
        out[:, joint] += out[:, parent]
    return out[None]


def _hidden(bodies: np.ndarray, person: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the occluded joints (T, 25) of a person: each limb's outer ones, by a two-state Markov chain."""
    body = bodies[:, person]
    behind = np.zeros(len(body), dtype=bool)
    for other in (bodies[:, m, 20] for m in range(bodies.shape[1]) if m != person):
        behind |= (np.abs(other[:, 0] - body[:, 20, 0]) < 0.25) & (other[:, 2] < body[:, 20, 2])
    share = np.empty((len(body), len(_LIMBS)))
    for limb, (joints, most) in enumerate(_LIMBS):
        across = body[:, joints[0]] - (body[:, 4] + body[:, 8]) / 2
        away = np.clip(across[:, 2] / np.linalg.norm(body[:, 8] - body[:, 4], axis=-1), 0, 0.5) * 2
        share[:, limb] = np.maximum(0.03 + most * away**2, 0.5 * behind)
    draw, leave = rng.random(share.shape), 1 / BURST
    enter = (leave * share / (1 - share)).T.tolist()
    hidden = draw < share
    for limb, numbers in enumerate(draw.T.tolist()):  # plain numbers: a chain has no shape to vectorise
        state = bool(hidden[0, limb])
        for t in range(1, len(body)):
            hidden[t, limb] = state = numbers[t] > leave if state else numbers[t] < enter[limb][t]
    reach = np.zeros((len(_LIMBS), body.shape[1]), dtype=bool)
    for limb, first in enumerate(rng.integers(0, 3, len(_LIMBS))):
        reach[limb, list(_LIMBS[limb][0][first:])] = True
    return hidden @ reach  # (T, 25)


def _hold(seen: np.ndarray, hidden: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keeps ``hidden`` joints (T, M, 25) about where they were last seen, relative to the trunk, and lets them drift."""
    frame = np.arange(len(seen))[:, None, None]
    last = np.maximum.accumulate(np.where(hidden, 0, frame), axis=0)[..., None]  # (T, M, 25, 1)
    trunk = seen[:, :, KINECT_V2.centre, None]
    walk = np.cumsum(rng.normal(0, DRIFT, seen.shape), axis=0)
    held = trunk + walk + np.take_along_axis(seen - trunk - walk, np.broadcast_to(last, seen.shape), axis=0)
    return np.where(hidden[..., None], HELD * held + (1 - HELD) * seen, seen)


def _jitter(bodies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws AR(1) noise of every joint and axis, (T, M, 25, 3)."""
    gap = np.subtract.outer(np.arange(len(bodies)), np.arange(len(bodies)))
    memory = np.where(gap >= 0, MEMORY ** np.maximum(gap, 0), 0) * np.sqrt(1 - MEMORY**2)  # (T, T)
    noise = np.einsum("st,tmvc->smvc", memory, rng.standard_normal(bodies.shape), optimize=True)
    far = (bodies[..., 2:].mean((0, 2), keepdims=True) / 2.5) ** 2
    return noise * _NOISE[:, None] * np.array([1, 1, 1.5]) * far


def _ghost(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a second body (T, 1, 25, 3) that is furniture: wider than high, still but for jitter, and soon gone."""
    out = np.zeros_like(seen)
    start, length = rng.integers(0, len(seen)), rng.integers(5, 20)
    place = seen[0, 0, 0] + rng.normal(0, 0.6, 3)
    shape = rng.uniform(-0.5, 0.5, (JOINTS, 3)) * np.array([1.2, 0.7, 0.3])
    frames = out[start : start + length]
    frames[:] = place + shape + rng.normal(0, 0.01, frames.shape)
    return out
