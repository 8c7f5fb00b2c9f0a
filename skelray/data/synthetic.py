"""The synthetic benchmark: 20 actions of people who do not exist, before three Kinects that do not exist either.

Nothing is downloaded and nothing was learned from data: a figure (figure.py) performs actions written as key poses
(motions.py) before cameras with a depth sensor's errors (kinect.py). It stands in for NTU RGB+D (Shahroudy et al., CVPR 2016)
in demonstrations and tests; accuracies on it say nothing about people.

- Subjects differ in body (stature, build) and style: speed, amplitude joint by joint, posture, which limbs lag, handedness
  (one in five is left-handed). No two performances are alike: size, timing, and everything that moves without purpose.
- Each action is performed ``replications`` times: an odd one faces camera 2, an even one camera 3, so that camera 1 sees all of it
  at 45 degrees and the others see it from the front and from the side, as in NTU RGB+D. Two people stand side-on to camera 1.
- The three cameras see one performance at a time, but each cuts its clip for itself and has its own errors.
- ``xsub`` trains on odd subjects, ``xview`` on cameras 2 and 3. Pairs of a training and a test subject share a setup.

Every recording is drawn from random generators seeded by its own name, so it can be made alone, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from skelray.data.benchmark import Benchmark, Recording, Split
from skelray.data.figure import JOINTS, pose, positions, proportions, rotation
from skelray.data.kinect import SETUPS, YAW, see, sense
from skelray.data.motions import ACTIONS, Action, perform
from skelray.skeleton import KINECT_V2

RATE = 30.0  # frames a second
DROPPED = 0.02  # share of the frames that the sensor skips

CUT = 0.15  # how much the cameras' clips of a performance differ in length
IDLE = 0.8
# Degrees, sd: how people differ in posture, and what moves without purpose.
FIDGET = pose(
    spine_base=(2, 4, 2), spine_mid=(3, 4, 3), neck=(5, 8, 4), hip=(3, 2, 2), knee=(4, 0, 0),
    shoulder=(7, 9, 5), elbow=(10, 0, 0), wrist=(8, 8, 8), ankle=(2, 0, 0),
)
_LEGS = np.array([name.startswith(("hip", "knee", "ankle", "foot")) for name in KINECT_V2.joints])
GAIN = np.where(_LEGS, 0.05, 0.10)[:, None]  # (25, 1), sd: how people differ in amplitude


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
    size = rng.normal(0, 1)
    return Person(
        bones=proportions(rng),
        speed=float(np.exp(rng.normal(0, 0.12))),
        gain=np.exp(GAIN * (size + rng.standard_normal((JOINTS, 3)))),
        posture=FIDGET * rng.standard_normal((JOINTS, 3)),
        lag=rng.normal(0, 0.04, JOINTS),
        left_handed=left_handed,
    )


def act(who: Person, action: Action, fill: float, clock: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Joint positions (T, 25, 3) at the moments ``clock`` (T,) of a performance, which starts at 0; ``rng`` draws it."""
    left = who.left_handed if action.side == "better" else action.side == "left"
    poses = perform(action.score(fill, left), clock[:, None] - who.lag, action.smooth)
    gain = who.gain * np.exp(GAIN * rng.standard_normal((JOINTS, 3)))
    waves = np.sin(2 * np.pi * (rng.uniform(0.1, 0.7, 8) * clock[:, None] + rng.random(8)))  # (T, 8)
    idle = FIDGET * np.tensordot(waves, rng.normal(0, IDLE / 2, (8, JOINTS, 3)), axes=1)  # (T, 25, 3)
    posture = who.posture + 0.5 * FIDGET * rng.standard_normal((JOINTS, 3))
    return positions(poses * gain + posture + idle, who.bones)


@dataclass(frozen=True)
class World:
    """All recordings of a synthetic benchmark; calling it makes them one by one."""

    subjects: int = 11
    replications: int = 2
    frames: tuple[int, int] = (45, 90)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subjects < 2 or self.replications < 1 or self.seed < 0:
            raise ValueError(f"{self}: subjects must be 2 or more, replications 1 or more, the seed 0 or more")
        if not 2 <= self.frames[0] <= self.frames[1]:
            raise ValueError(f"frames {self.frames} must be (fewest, most), 2 or more")

    def __call__(self, source: Path | None = None) -> Iterator[Recording]:
        for label in range(len(ACTIONS)):
            for subject in range(1, self.subjects + 1):
                for replication in range(1, self.replications + 1):
                    for camera in YAW:
                        yield self.recording(label, subject, camera, replication)

    def recording(self, label: int, subject: int, camera: int, replication: int) -> Recording:
        """One recording, the same whether made alone or with all others."""
        setup = 1 + (subject - 1) // 2 % len(SETUPS)
        performance = (label, subject, replication)
        rng = self._rng(2, *performance, camera)
        bodies = see(self.scene(*performance, rng), camera, setup, rng)
        if bodies.shape[1] == 2 and rng.random() < 0.5:  # the sensor lists people in no order
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

    def scene(self, label: int, subject: int, replication: int, cut: np.random.Generator) -> np.ndarray:
        """The true joints (T, M, 25, 3) in the world, of a clip that ``cut`` draws from the performance."""
        action, rng = ACTIONS[label], self._rng(1, label, subject, replication)
        people = [self.subject(subject)] if action.partner is None else [self.subject(subject), self.subject(-subject)]
        length = int(rng.integers(self.frames[0], self.frames[1], endpoint=True))
        kept = int(np.clip(length * np.exp(cut.normal(0, CUT)), *self.frames))
        tempo = people[0].speed * float(np.exp(rng.normal(0, 0.08)))
        if action.loop is None:  # a short clip hurries
            tempo = max(tempo, sum(action.seconds) / (0.9 * length / RATE))
        fill = length / RATE * tempo * rng.uniform(0.6, 0.95) if not action.cyclic else 10.0
        lasts, start = action.score(fill)[0][-1], cut.random()
        clock = np.cumsum(1 + (cut.random(kept) < DROPPED)) / RATE * tempo
        clock += (lasts - clock[-1]) * start
        facing = YAW[2 + (replication - 1) % 2] * (1 if action.partner is None else 2) + rng.normal(0, 8)
        apart = action.apart * np.exp(rng.normal(0, 0.1))
        out = []
        for number, who in enumerate(people):
            body = act(who, action if number == 0 else action.partner, fill, clock - 0.1 * number, rng)
            turn = rotation(np.array([0.0, facing + 180 * number, 0.0]))
            out.append((body + (0, 0, apart / 2)) @ turn.T)
        return np.stack(out, axis=1) + np.array([1, 0, 1]) * rng.normal(0, 0.15, 3)

    def subject(self, number: int) -> Person:
        """The actor of this number. Who stands opposite has a negative number, and is nobody's subject."""
        return _person(self.seed, number)

    def _rng(self, *name: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *name))


@lru_cache(maxsize=1024)
def _person(seed: int, number: int) -> Person:
    return person(np.random.default_rng((seed, 0, abs(number), number < 0)), left_handed=number % 5 == 4)


def synthetic(
    subjects: int = 11, replications: int = 2, frames: tuple[int, int] = (45, 90), seed: int = 0
) -> Benchmark:
    """A synthetic benchmark of 20 x subjects x replications x 3 recordings, each of ``frames`` (fewest, most)."""
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
    )


SYNTHETIC = synthetic()
