"""A human figure: bones of human proportions, and the joint positions that given joint angles lead to.

A pose is an array (25, 3) of degrees, zero for a person who stands with hanging arms. Its three angles turn all that
hangs on a joint: *bend* (arms, thighs and trunk forward, knees backward, toes up), *twist* (a limb inward, the trunk to
its left) and *spread* (a limb outward, the trunk to its left). Left and right share one sign.

Axes are those of Kinect's camera space for a person who faces the camera: x to the person's right, y up, z backward.

Sources of the figures: lengths of limb segments as shares of stature, Winter, "Biomechanics and Motor Control of Human
Movement". Kinect v2 places the joints of a limb closer together than an anatomist does: limbs are 7/8 of Winter's, and
the bones of trunk, hands and feet are those seen in samples of NTU RGB+D (Shahroudy et al., CVPR 2016).
"""

from __future__ import annotations

import numpy as np

from skelray.checks import UserError
from skelray.skeleton import KINECT_V2

JOINTS = len(KINECT_V2.joints)
STATURE = (1.69, 0.09)  # mean and sd, metres

# The tree that moves the body, root first: (joint, parent). It differs from the graph of the backbones, whose root is
# the upper spine and whose hand tips hang on the thumbs.
TREE = (
    *((1, 0), (20, 1), (2, 20), (3, 2)),
    *((4, 20), (5, 4), (6, 5), (7, 6), (21, 7), (22, 7)),
    *((8, 20), (9, 8), (10, 9), (11, 10), (23, 11), (24, 11)),
    *((12, 0), (13, 12), (14, 13), (15, 14)),
    *((16, 0), (17, 16), (18, 17), (19, 18)),
)


def _levels() -> list[tuple[list[int], list[int]]]:
    """Returns the tree by depth, (joints, their parents), so that each depth moves at once."""
    depth = {0: 0}
    for joint, parent in TREE:
        depth[joint] = depth[parent] + 1
    pairs = [[pair for pair in TREE if depth[pair[0]] == level] for level in range(1, max(depth.values()) + 1)]
    return [([j for j, _ in level], [p for _, p in level]) for level in pairs]


_LEVELS = _levels()
_KINECT = 7 / 8
# Each bone at rest as a share of stature; a limb's is that of the right side.
_BONES = {
    "spine_mid": (0, 0.160, 0),
    "spine_shoulder": (0, 0.118, 0),
    "neck": (0, 0.038, 0),
    "head": (0, 0.067, -0.012),
    "shoulder": (0.087, -0.020, 0),
    "elbow": (0, -0.186 * _KINECT, 0),
    "wrist": (0, -0.146 * _KINECT, 0),
    "hand": (0, -0.045, 0),
    "hand_tip": (0, -0.030, 0),
    "thumb": (0, -0.015, -0.022),
    "hip": (0.040, -0.014, 0),
    "knee": (0, -0.245 * _KINECT, 0),
    "ankle": (0, -0.246 * _KINECT, 0),
    "foot": (0, -0.022, -0.055),
}
_SIDES = np.array([{"left": -1, "right": 1}.get(name.rpartition("_")[2], 0) for name in KINECT_V2.joints])
# What a positive angle means about each axis, as a sign of the rotation about x, y and z.
_BENDS = np.array([-1 if name.startswith(("spine", "neck", "head", "knee")) else 1 for name in KINECT_V2.joints])
_SIGNS = np.stack([_BENDS, np.where(_SIDES < 0, -1, 1), np.where(_SIDES < 0, -1, 1)], axis=-1)  # (25, 3)
_ANKLES, _FEET = (14, 18), (14, 15, 18, 19)


def _kind(joint: str) -> str:
    return joint.removesuffix("_left").removesuffix("_right")


def proportions(rng: np.random.Generator) -> np.ndarray:
    """Draws a person's bones (25, 3) at rest, in metres, each from its parent; the root's is zero."""
    stature = rng.normal(*STATURE)
    build = dict(zip(_BONES, np.exp(0.04 * rng.standard_normal(len(_BONES))), strict=True))
    bones = np.zeros((JOINTS, 3))
    for joint, _ in TREE:
        kind = _kind(KINECT_V2.joints[joint])
        bones[joint] = stature * build[kind] * np.array(_BONES[kind])
    bones[_SIDES < 0, 0] *= -1
    return bones


def pose(**angles: float | tuple[float, float, float]) -> np.ndarray:
    """Returns a pose (25, 3) from joint names: ``elbow_right=90`` bends one, ``elbow=90`` both.

    A triple is (bend, twist, spread).
    """
    out = np.zeros((JOINTS, 3))
    for name, value in angles.items():
        chosen = [j for j, joint in enumerate(KINECT_V2.joints) if name in (joint, _kind(joint))]
        if not chosen:
            raise UserError(f"no joint is called {name!r}; joints are {', '.join(KINECT_V2.joints)}")
        out[chosen] = value if isinstance(value, tuple) else (value, 0, 0)
    return out


def mirror(poses: np.ndarray) -> np.ndarray:
    """Exchanges left and right of poses (..., 25, 3)."""
    trunk = np.where(_SIDES[:, None] == 0, (1, -1, -1), 1)
    return poses[..., KINECT_V2.mirrored, :] * trunk


def rotation(degrees: np.ndarray) -> np.ndarray:
    """Returns rotations (..., 3, 3) about x, z and y, the last applied first, by angles (..., 3) about x, y and z."""
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(f(np.radians(degrees)), -1, 0) for f in (np.cos, np.sin))
    out = np.empty((*degrees.shape, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cz * cy, -sz, cz * sy
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = cx * sz * cy + sx * sy, cx * cz, cx * sz * sy - sx * cy
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = sx * sz * cy - cx * sy, sx * cz, sx * sz * sy + cx * cy
    return out


def joint_positions(poses: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Returns joint positions (T, 25, 3) of poses (T, 25, 3), standing on the floor y = 0 with the feet about the origin."""
    turn = rotation(poses * _SIGNS)  # (T, 25, 3, 3)
    out = np.zeros_like(poses)
    for joints, parents in _LEVELS:
        above = turn[:, parents]  # (T, J, 3, 3)
        out[:, joints] = out[:, parents] + (above @ bones[joints, :, None])[..., 0]
        turn[:, joints] = above @ turn[:, joints]
    ankles = out[:, _ANKLES]  # (T, 2, 3)
    weight = np.exp(-(ankles[..., 1] - ankles[..., 1].min(1, keepdims=True)) / 0.03)  # the standing foot stays put
    ground = np.stack(
        [
            ankles[..., 0].mean(1),
            out[:, _FEET, 1].min(1),
            (ankles[..., 2] * weight).sum(1) / weight.sum(1),
        ],
        axis=-1,
    )
    return out - ground[:, None]
