"""The layout of a skeleton: its joints, bones, mirror pairs, centre and body parts.

Joint orders and bones are those of the sensors' public documentation and of the graphs used by the released
code of ST-GCN, SkeletonCLR, AimCLR and HiCLR (reference: NTU RGB+D, Shahroudy et al., CVPR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import UserError

Pair = tuple[int, int]


@dataclass(frozen=True)
class Skeleton:
    """A layout of joints; joint numbers are 0-based everywhere.

    joints: one name a joint; a side is a suffix (``shoulder_left``).
    bones: (child, parent) pairs that form a tree rooted at ``centre``.
    mirror: (left, right) pairs.
    centre: the root of the tree; its bone vector is zero.
    parts: (name, joints) pairs that partition the joints.

    Raises UserError if the bones are not a tree over all joints or a number is out of range.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[Pair, ...]
    mirror: tuple[Pair, ...]
    centre: int
    parts: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        count = len(self.joints)
        numbers = {self.centre, *(j for pair in self.bones + self.mirror for j in pair)}
        if out := sorted(j for j in numbers if not 0 <= j < count):
            raise UserError(f"{self.name}: joint numbers {out} are outside 0..{count - 1}")
        if sorted(child for child, _ in self.bones) != sorted(set(range(count)) - {self.centre}):
            raise UserError(f"{self.name}: every joint but the centre needs exactly one parent")
        for joint in range(count):
            seen = {joint}
            while joint != self.centre:
                joint = self.parents[joint]
                if joint in seen:
                    raise UserError(f"{self.name}: the bones form a cycle through {self.joints[joint]}")
                seen.add(joint)
        if sorted(j for _, part in self.parts for j in part) != list(range(count)):
            raise UserError(f"{self.name}: the parts must hold every joint exactly once")

    @property
    def parents(self) -> tuple[int, ...]:
        """The parent of each joint; the centre is its own parent."""
        parent = dict(self.bones)
        return tuple(parent.get(joint, self.centre) for joint in range(len(self.joints)))

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The permutation of joints that exchanges left and right."""
        swap = {a: b for pair in self.mirror for a, b in (pair, pair[::-1])}
        return tuple(swap.get(joint, joint) for joint in range(len(self.joints)))

    def index(self, joint: str) -> int:
        """Returns a joint's number by name. Raises UserError listing the joints if there is none of this name."""
        if joint not in self.joints:
            raise UserError(f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)


# Kinect v2 (NTU RGB+D, PKU-MMD). Hand tips hang on thumbs, as in the released graphs (methods.md, section 2).
KINECT_V2 = Skeleton(
    name="kinect_v2",
    joints=(
        *("spine_base", "spine_mid", "neck", "head"),
        *("shoulder_left", "elbow_left", "wrist_left", "hand_left"),
        *("shoulder_right", "elbow_right", "wrist_right", "hand_right"),
        *("hip_left", "knee_left", "ankle_left", "foot_left"),
        *("hip_right", "knee_right", "ankle_right", "foot_right"),
        *("spine_shoulder", "hand_tip_left", "thumb_left", "hand_tip_right", "thumb_right"),
    ),
    bones=(
        *((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8), (10, 9), (11, 10)),
        *((12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18)),
        *((21, 22), (22, 7), (23, 24), (24, 11)),
    ),
    mirror=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
    centre=20,
    parts=(
        ("trunk", (0, 1, 2, 3, 20)),
        ("arm_left", (4, 5, 6, 7, 21, 22)),
        ("arm_right", (8, 9, 10, 11, 23, 24)),
        ("leg_left", (12, 13, 14, 15)),
        ("leg_right", (16, 17, 18, 19)),
    ),
)

# Kinect v1 (NW-UCLA, UTKinect): hip centre first, rooted at the shoulder centre like Kinect v2.
KINECT_V1 = Skeleton(
    name="kinect_v1",
    joints=(
        *("spine_base", "spine_mid", "spine_shoulder", "head"),
        *("shoulder_left", "elbow_left", "wrist_left", "hand_left"),
        *("shoulder_right", "elbow_right", "wrist_right", "hand_right"),
        *("hip_left", "knee_left", "ankle_left", "foot_left"),
        *("hip_right", "knee_right", "ankle_right", "foot_right"),
    ),
    bones=(
        *((0, 1), (1, 2), (3, 2), (4, 2), (5, 4), (6, 5), (7, 6), (8, 2), (9, 8), (10, 9), (11, 10)),
        *((12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18)),
    ),
    mirror=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19)),
    centre=2,
    parts=(
        ("trunk", (0, 1, 2, 3)),
        ("arm_left", (4, 5, 6, 7)),
        ("arm_right", (8, 9, 10, 11)),
        ("leg_left", (12, 13, 14, 15)),
        ("leg_right", (16, 17, 18, 19)),
    ),
)

# Florence 3D: Kinect v1 seen by another tracker; no hands, feet or hip centre.
FLORENCE = Skeleton(
    name="florence",
    joints=(
        *("head", "neck", "spine", "shoulder_left", "elbow_left", "wrist_left"),
        *("shoulder_right", "elbow_right", "wrist_right"),
        *("hip_left", "knee_left", "ankle_left", "hip_right", "knee_right", "ankle_right"),
    ),
    bones=(
        *((0, 1), (2, 1), (3, 1), (4, 3), (5, 4), (6, 1), (7, 6), (8, 7)),
        *((9, 2), (10, 9), (11, 10), (12, 2), (13, 12), (14, 13)),
    ),
    mirror=((3, 6), (4, 7), (5, 8), (9, 12), (10, 13), (11, 14)),
    centre=1,
    parts=(
        ("trunk", (0, 1, 2)),
        ("arm_left", (3, 4, 5)),
        ("arm_right", (6, 7, 8)),
        ("leg_left", (9, 10, 11)),
        ("leg_right", (12, 13, 14)),
    ),
)

# COCO key points in the plane of an image. It has no neck: the nose is the root, as in mmaction2's graph.
COCO = Skeleton(
    name="coco",
    joints=(
        *("nose", "eye_left", "eye_right", "ear_left", "ear_right", "shoulder_left", "shoulder_right"),
        *("elbow_left", "elbow_right", "wrist_left", "wrist_right", "hip_left", "hip_right"),
        *("knee_left", "knee_right", "ankle_left", "ankle_right"),
    ),
    bones=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7), (7, 5), (10, 8), (8, 6)),
        *((5, 0), (6, 0), (1, 0), (3, 1), (2, 0), (4, 2)),
    ),
    mirror=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    centre=0,
    parts=(
        ("head", (0, 1, 2, 3, 4)),
        ("arm_left", (5, 7, 9)),
        ("arm_right", (6, 8, 10)),
        ("leg_left", (11, 13, 15)),
        ("leg_right", (12, 14, 16)),
    ),
)

# OpenPose key points in the plane of an image (Kinetics-skeleton), rooted at the neck; mmaction2's graph.
OPENPOSE = Skeleton(
    name="openpose",
    joints=(
        *("nose", "neck", "shoulder_right", "elbow_right", "wrist_right", "shoulder_left", "elbow_left", "wrist_left"),
        *("hip_right", "knee_right", "ankle_right", "hip_left", "knee_left", "ankle_left"),
        *("eye_right", "eye_left", "ear_right", "ear_left"),
    ),
    bones=(
        *((4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2), (5, 1), (2, 1), (0, 1)),
        *((15, 0), (14, 0), (17, 15), (16, 14)),
    ),
    mirror=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14), (17, 16)),
    centre=1,
    parts=(
        ("head", (0, 1, 14, 15, 16, 17)),
        ("arm_left", (5, 6, 7)),
        ("arm_right", (2, 3, 4)),
        ("leg_left", (11, 12, 13)),
        ("leg_right", (8, 9, 10)),
    ),
)
