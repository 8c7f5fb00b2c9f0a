"""The actions of the synthetic benchmark: each is a row of key poses and the seconds between them.

Joint angles run from key to key in straight lines, smoothed by a bell, as limbs that have mass. An action is written
for the right side. Some classes differ from another only in

- order: stand_up is sit_down backwards in time, put_down is pick_up backwards;
- speed: jog is march with other seconds between the same keys, jab is reach;
- side: wave_left mirrors wave_right, kick_left mirrors kick_right. All other actions use the person's better hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from skelray.checks import UserError
from skelray.data.synthetic.figure import mirror, pose


@dataclass(frozen=True, eq=False)
class Action:
    """Key poses and the seconds between them.

    loop: (first, last) keys that repeat until the time is filled; their poses are the same.
    smooth: half the width of the bell, in seconds.
    partner: what the second person does at the same time, ``apart`` metres in front.
    """

    name: str
    keys: tuple[np.ndarray, ...]
    seconds: tuple[float, ...]
    loop: tuple[int, int] | None = None
    side: Literal["better", "left", "right"] = "better"
    smooth: float = 0.12
    partner: Action | None = None
    apart: float = 0.0

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.keys) - 1:
            raise UserError(f"{self.name}: {len(self.keys)} keys need {len(self.keys) - 1} times between them")

    @property
    def cyclic(self) -> bool:
        """Whether the action is only its loop, without beginning or end."""
        return self.loop == (0, len(self.seconds))

    def backwards(self, name: str) -> Action:
        return replace(self, name=name, keys=self.keys[::-1], seconds=self.seconds[::-1])

    def faster(self, name: str, factor: float) -> Action:
        return replace(self, name=name, seconds=tuple(s / factor for s in self.seconds), smooth=self.smooth / factor)

    def lasts(self, seconds: float) -> float:
        """Returns the length of a score that fills ``seconds``."""
        return float(self.score(seconds)[0][-1])

    def score(self, seconds: float = 0.0, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Returns key times (K,), from 0, and poses (K, 25, 3): once through, with as many loops as fit into ``seconds``.

        A cyclic action fills them.
        """
        order, steps = list(range(len(self.keys))), list(self.seconds)
        if self.loop is not None:
            first, last = self.loop
            again = max(0.0, seconds - sum(steps)) / sum(steps[first:last])
            again = int(np.ceil(again) if self.cyclic else again)
            order[last:last] = [*range(first, last)] * again
            steps[last:last] = steps[first:last] * again
        poses = np.stack([self.keys[key] for key in order])
        return np.concatenate([[0.0], np.cumsum(steps)]), mirror(poses) if mirrored else poses


def perform(score: tuple[np.ndarray, np.ndarray], clock: np.ndarray, smooth: float) -> np.ndarray:
    """Returns poses (T, 25, 3) of a score at moments ``clock`` (T, 25), one for each joint; constant beyond its ends.

    The path is a sum of ramps, one at each key, so its smoothed form is the sum of ramps smoothed by a raised cosine.
    """
    times, poses = score
    slopes = np.diff(poses, axis=0) / np.diff(times)[:, None, None]
    bends = np.diff(slopes, axis=0, prepend=0, append=0)  # (K, 25, 3)
    since = clock.T[..., None] - times  # (25, T, K)
    near = np.clip(since, -smooth, smooth)
    ramps = (near + smooth) ** 2 / (4 * smooth) - smooth / (2 * np.pi**2) * (1 + np.cos(np.pi / smooth * near))
    ramps += np.maximum(since - smooth, 0)
    return poses[0] + (ramps @ bends.swapaxes(0, 1)).swapaxes(0, 1)


REST = pose()

# Trunk and legs.
_SINKING = pose(spine_base=35, spine_mid=12, hip=90, knee=75, ankle=15, shoulder=20, elbow=20)
_SEATED = pose(spine_base=-3, spine_mid=6, hip=86, knee=86, shoulder=22, elbow=50)
_STOOP = {"spine_base": 60.0, "spine_mid": 22.0, "spine_shoulder": 5.0, "hip": 105.0, "knee": 75.0, "ankle": 25.0}
_REACHING_DOWN = pose(**_STOOP, shoulder_right=80, elbow_right=8, shoulder_left=35, elbow_left=30, neck=-10)
_CARRYING = pose(shoulder_right=(12, 6, 8), elbow_right=99)
_CHAMBERED = pose(
    hip_right=-22, knee_right=65, spine_base=4, shoulder_left=(30, 0, 15), shoulder_right=(-20, 0, 15), elbow=40
)
_KICKED = pose(hip_right=65, knee_right=8, spine_base=-8, shoulder_left=(-15, 0, 20), shoulder_right=(30, 0, 20), elbow=35)
_STEP_RIGHT = pose(hip_right=62, knee_right=85, shoulder_left=30, shoulder_right=-20, elbow=60)
_STEP_LEFT = mirror(_STEP_RIGHT)

# One arm.
_WAVE_OUT = pose(shoulder_right=(15, -85, 70), elbow_right=45)
_WAVE_IN = pose(shoulder_right=(15, -85, 70), elbow_right=110)
_REACHED = pose(shoulder_right=(82, 0, -4), elbow_right=8, spine_mid=(6, 12, 0))
_AT_MOUTH = pose(shoulder_right=(67, 33, -2), elbow_right=130, neck=-8)
_HEAD_BACK = pose(shoulder_right=(76, 33, 4), elbow_right=128, neck=-22)
_AT_EAR = pose(shoulder_right=(92, 15, 24), elbow_right=137, neck=(6, 0, -8))
_WIND_UP = pose(
    shoulder_right=(20, -95, 85), elbow_right=95, spine_mid=(-8, -25, 0), shoulder_left=(45, 0, 0), elbow_left=20
)
_RELEASED = pose(shoulder_right=(95, 0, 0), elbow_right=15, spine_mid=(15, 25, 0), shoulder_left=(-10, 0, 10), elbow_left=30)

# Both arms.
_APART = pose(shoulder=(15, -16, 19), elbow=106)
_TOGETHER = pose(shoulder=(30, 37, 7), elbow=100)

# Two people.
_READY = pose(shoulder=(0, -7, 12), elbow=138)
_PUSHED_OUT = pose(shoulder=(75, 0, -2), elbow=25, spine_base=12, hip=10)
_THROWN_BACK = pose(spine_base=-16, hip_left=-10, hip_right=10, knee_right=28, shoulder=(45, 0, 25), elbow=35, neck=12)
_SHAKE_UP = pose(shoulder_right=(34, 14, -5), elbow_right=70)
_SHAKE_DOWN = pose(shoulder_right=(26, 14, -5), elbow_right=48)
_ARMS_WIDE = pose(shoulder=(62, 0, 45), elbow=25)
_AROUND = pose(shoulder=(60, 40, 14), elbow=78, spine_base=6, hip=6, neck=(8, 0, 12))
_HAND_HIGH = pose(shoulder_right=(112, 0, 6), elbow_right=62)
_SLAP = pose(shoulder_right=(108, 0, -3), elbow_right=30)

_SIT = Action("sit_down", (REST, _SINKING, _SEATED), (0.7, 0.6))
_PICK = Action("pick_up", (REST, _REACHING_DOWN, _REACHING_DOWN, _CARRYING), (0.8, 0.15, 0.85))
_WAVE = Action("wave_right", (REST, _WAVE_OUT, _WAVE_IN, _WAVE_OUT, REST), (0.6, 0.27, 0.27, 0.6), (1, 3), "right")
_KICK = Action("kick_right", (REST, _CHAMBERED, _KICKED, REST), (0.4, 0.28, 0.5), side="right")
_MARCH = Action("march", (REST, _STEP_RIGHT, REST, _STEP_LEFT, REST), (0.38,) * 4, (0, 4), smooth=0.3)
_REACH = Action("reach", (REST, _REACHED, _REACHED, REST), (0.8, 0.25, 0.8), smooth=0.2)
_PUSHED = Action("pushed", (REST, REST, _THROWN_BACK, REST), (0.75, 0.25, 0.7))
_SHAKE = Action("handshake", (REST, _SHAKE_UP, _SHAKE_DOWN, _SHAKE_UP, REST), (0.6, 0.2, 0.2, 0.6), (1, 3), "right")
_HUG = Action("hug", (REST, _ARMS_WIDE, _AROUND, _AROUND, REST), (0.6, 0.4, 0.6, 0.6))
_FIVE = Action("high_five", (REST, _HAND_HIGH, _SLAP, REST), (0.6, 0.22, 0.6), side="right")

ACTIONS = (
    _SIT,
    _SIT.backwards("stand_up"),
    _PICK,
    _PICK.backwards("put_down"),
    replace(_WAVE, name="wave_left", side="left"),
    _WAVE,
    replace(_KICK, name="kick_left", side="left"),
    _KICK,
    _MARCH,
    _MARCH.faster("jog", 2.3),
    _REACH,
    _REACH.faster("jab", 2.8),
    Action("drink", (REST, _AT_MOUTH, _HEAD_BACK, _AT_MOUTH, REST), (0.7, 0.3, 0.3, 0.7)),
    Action("phone_call", (REST, _AT_EAR, _AT_EAR, REST), (0.7, 0.6, 0.7)),
    Action("clap", (REST, _APART, _TOGETHER, _APART, REST), (0.5, 0.17, 0.17, 0.5), (1, 3), smooth=0.08),
    Action("throw", (REST, _WIND_UP, _RELEASED, REST), (0.6, 0.25, 0.6)),
    Action("push", (REST, _READY, _PUSHED_OUT, REST), (0.5, 0.25, 0.6), partner=_PUSHED, apart=0.75),
    replace(_SHAKE, partner=_SHAKE, apart=0.85),
    replace(_HUG, partner=_HUG, apart=0.42),
    replace(_FIVE, partner=_FIVE, apart=0.85),
)
