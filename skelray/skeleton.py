"""The layout of a skeleton: its joints, bones, mirror pairs, centre and body parts.

Joint orders and bones are those of the sensors' public documentation and of the graphs used by the released
code of ST-GCN, SkeletonCLR, AimCLR and HiCLR (reference: NTU RGB+D, Shahroudy et al., CVPR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Skeleton:
    """A layout of joints; joint numbers are 0-based everywhere.

    joints: one name a joint; a side is a suffix (``shoulder_left``).
    bones: (child, parent) pairs that form a tree rooted at ``centre``.
    mirror: (left, right) pairs.
    centre: the root of the tree; its bone vector is zero.
    parts: (name, joints) pairs that partition the joints.

    Raises ValueError where the bones are not a tree over all joints or a number is out of range.
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
            raise ValueError(f"{self.name}: joint numbers {out} are outside 0..{count - 1}")
        if sorted(child for child, _ in self.bones) != sorted(set(range(count)) - {self.centre}):
            raise ValueError(f"{self.name}: every joint but the centre needs exactly one parent")
        for joint in range(count):
            seen = {joint}
            while joint != self.centre:
                joint = self.parents[joint]
                if joint in seen:
                    raise ValueError(f"{self.name}: the bones form a cycle through {self.joints[joint]}")
                seen.add(joint)
        if sorted(j for _, part in self.parts for j in part) != list(range(count)):
            raise ValueError(f"{self.name}: the parts must hold every joint exactly once")

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
        """The number of a joint by name. Raises ValueError naming the joints there are."""
        if joint not in self.joints:
            raise ValueError(f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
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
