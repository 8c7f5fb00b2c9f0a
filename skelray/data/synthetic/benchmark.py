"""The synthetic benchmark: 20 actions of people who do not exist, before three Kinects that do not exist either.

Nothing is downloaded and nothing was learned from data: a figure (figure.py) performs actions written as key poses
(motions.py) before cameras with the errors of a depth sensor (kinect.py). It stands in for NTU RGB+D (Shahroudy et al.,
CVPR 2016) in demonstrations and tests; accuracies on it say nothing about people.

- Subjects differ in body and manner: stature and build, speed, amplitude joint by joint, posture, limbs that lag, and
  handedness (one in five is left-handed). No two performances of a subject are alike either: tempo, amplitude,
  posture, when the action begins, and all that moves without purpose.
- Three cameras, as in NTU RGB+D: each action is performed ``replications`` times, an odd one facing camera 2, an even
  one camera 3, so that camera 1 sees all of it at 45 degrees and the others see it from the front and from the side.
  Two people stand side-on to camera 1, and the sensor lists them in no order.
- Unlike there, each camera films a performance of its own: else each sequence of the ``xview`` test would have itself,
  seen from elsewhere, among the training sequences.
- ``xsub`` trains on odd subjects, ``xview`` on cameras 2 and 3. A training and a test subject share a setup.

The sizes of style and noise were chosen so that the nearest neighbour on raw coordinates (50 frames, centred, shoulders
aligned; cosine) is right for about six sequences in ten under both protocols, a ridge classifier for about eight, and a
small network trained with labels for more than nine.

A recording is drawn from a random generator seeded by its own name, so it can be made alone, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Split
from skelray.data.synthetic.figure import JOINTS, joint_positions, pose, proportions, rotation
from skelray.data.synthetic.kinect import SETUPS, YAW, see, sense
from skelray.data.synthetic.motions import ACTIONS, Action, perform
from skelray.skeleton import KINECT_V2

RATE = 30.0  # frames a second
DROPPED = 0.02  # share of the frames that the sensor skips

# Degrees by which a joint's angles stray, and the shares of it that are a subject's manner, the mood of a
# performance, and idle movement within it (each the sd of a normal distribution).
STRAY = pose(
    spine_base=(2, 3, 2),
    spine_mid=(3, 3, 3),
    neck=(4, 7, 3),
    shoulder=(6, 8, 4),
    elbow=8,
    wrist=(7, 7, 7),
    hip=(3, 2, 2),
    knee=3,
    ankle=2,
)
MANNER, MOOD, IDLE = 0.6, 0.9, 1.0
_LEGS = np.array([name.startswith(("hip", "knee", "ankle", "foot")) for name in KINECT_V2.joints])
GAIN = np.where(_LEGS, 0.04, 0.08)[:, None]  # (25, 1), sd of the logarithm of amplitude
SPEED = 0.12  # sd of the logarithm of a subject's speed


@dataclass(frozen=True, eq=False)
class Person:
    """Body and style: gain (25, 3) scales angles, posture (25, 3) adds degrees, lag (25,) is in seconds."""

    bones: np.ndarray
    speed: float
    gain: np.ndarray
    posture: np.ndarray
    lag: np.ndarray
    left_handed: bool


def person(rng: np.random.Generator, left_handed: bool = False) -> Person:
    """Draws a person."""
    size = rng.normal(0, 1)
    return Person(
        bones=proportions(rng),
        speed=float(np.exp(rng.normal(0, SPEED))),
        gain=np.exp(GAIN * (size + rng.standard_normal((JOINTS, 3)))),
        posture=MANNER * STRAY * rng.standard_normal((JOINTS, 3)),
        lag=rng.normal(0, 0.04, JOINTS),
        left_handed=left_handed,
    )


def act(who: Person, action: Action, fill: float, clock: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns joint positions (T, 25, 3) at moments ``clock`` (T,) of an action that starts at 0, varied at each call."""
    left = who.left_handed if action.side == "better" else action.side == "left"
    poses = perform(action.score(fill, left), clock[:, None] - who.lag, action.smooth)
    gain = who.gain * np.exp(GAIN * rng.standard_normal((JOINTS, 3)))
    posture = who.posture + MOOD * STRAY * rng.standard_normal((JOINTS, 3))
    waves = np.sin(2 * np.pi * (rng.uniform(0.1, 0.7, 8) * clock[:, None] + rng.random(8)))  # (T, 8)
    idle = IDLE * STRAY * np.tensordot(waves, rng.normal(0, 0.5, (8, JOINTS, 3)), axes=1)  # (T, 25, 3)
    return joint_positions(poses * gain + posture + idle, who.bones)


@dataclass(frozen=True)
class World:
    """All recordings of a synthetic benchmark; calling it makes them one by one."""

    subjects: int = 11
    replications: int = 2
    frames: tuple[int, int] = (45, 90)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subjects < 2 or self.replications < 1 or self.seed < 0:
            raise UserError(f"{self}: subjects must be 2 or more, replications 1 or more, the seed 0 or more")
        if not 2 <= self.frames[0] <= self.frames[1]:
            raise UserError(f"frames {self.frames} must be (fewest, most), 2 or more")

    def __call__(self, source: Path | None = None) -> Iterator[Recording]:
        for label in range(len(ACTIONS)):
            for subject in range(1, self.subjects + 1):
                for replication in range(1, self.replications + 1):
                    for camera in YAW:
                        yield self.recording(label, subject, camera, replication)

    def recording(self, label: int, subject: int, camera: int, replication: int) -> Recording:
        """Makes one recording, the same alone or with all others."""
        setup = 1 + (subject - 1) // 2 % len(SETUPS)
        rng = np.random.default_rng((self.seed, 1, label, subject, camera, replication))
        bodies = see(self.scene(label, subject, replication, rng), camera, setup, rng)
        if rng.random() < 0.5:
            bodies = bodies[:, ::-1]
        return Recording(
            name=f"S{setup:03}C{camera:03}P{subject:03}R{replication:03}A{label + 1:03}",
            bodies=sense(bodies, rng).astype(np.float32),
            label=label,
            subject=subject,
            camera=camera,
            setup=setup,
            replication=replication,
            source="synthetic",
        )

    def scene(self, label: int, subject: int, replication: int, rng: np.random.Generator) -> np.ndarray:
        """Returns the true joints (T, M, 25, 3), in world coordinates, of a performance drawn from ``rng``."""
        action, actor = ACTIONS[label], self.subject(subject)
        frames = int(rng.integers(*self.frames, endpoint=True))
        tempo = actor.speed * float(np.exp(rng.normal(0, 0.08)))
        if action.loop is None:  # a short clip hurries
            tempo = max(tempo, sum(action.seconds) / (0.9 * frames / RATE))
        clock = np.cumsum(1 + (rng.random(frames) < DROPPED)) * tempo / RATE
        fill = clock[-1] + sum(action.seconds) if action.cyclic else clock[-1] * rng.uniform(0.6, 0.95)
        clock -= (clock[-1] - action.lasts(fill)) * rng.random()
        facing = YAW[2 + (replication - 1) % 2] + rng.normal(0, 8)
        if action.partner is None:
            bodies = [(act(actor, action, fill, clock, rng), facing)]
        else:
            apart = (0, 0, action.apart / 2 * np.exp(rng.normal(0, 0.1)))
            side, late = np.sign(facing) * 45 + facing, clock - 0.1
            bodies = [
                (act(actor, action, fill, clock, rng) + apart, side),
                (act(self.subject(-subject), action.partner, fill, late, rng) + apart, side + 180),
            ]
        turned = [body @ rotation(np.array([0.0, yaw, 0.0])).T for body, yaw in bodies]
        return np.stack(turned, axis=1) + rng.normal(0, 0.15, 3) * (1, 0, 1)

    def subject(self, number: int) -> Person:
        """Returns the actor of this number. Partners have negative numbers and are no subjects."""
        return _person(self.seed, number)


@lru_cache(maxsize=1024)
def _person(seed: int, number: int) -> Person:
    return person(np.random.default_rng((seed, 0, abs(number), number < 0)), left_handed=number % 5 == 4)


def synthetic(subjects: int = 11, replications: int = 2, frames: tuple[int, int] = (45, 90), seed: int = 0) -> Benchmark:
    """Returns a benchmark of 20 x subjects x replications x 3 recordings, each of ``frames`` (fewest, most)."""
    return Benchmark(
        name="synthetic",
        skeleton=KINECT_V2,
        classes=tuple(action.name for action in ACTIONS),
        protocols={
            "xsub": Split(by="subject", train=tuple(range(1, subjects + 1, 2))),
            "xview": Split(by="camera", train=(2, 3)),
        },
        persons=2,
        recordings=World(subjects, replications, frames, seed),
        released=True,  # in the manner of NTU RGB+D
    )


SYNTHETIC = synthetic()
