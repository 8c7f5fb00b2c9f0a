"""Raw recordings made up for tests: NTU text, NW-UCLA JSON, and benchmarks whose recordings are drawn on the spot."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skelray.data import Benchmark, Recording, Skipped, Split
from skelray.skeleton import KINECT_V1


def skeleton_text(frames: Sequence[np.ndarray], newline: str = "\n", gap: str = " ") -> bytes:
    """NTU text of frames, each (bodies, 25, 3)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for number, body in enumerate(bodies):
            lines.append(gap.join(["7205759403793110" + str(number), *"00111100", "2"]))
            lines.append(str(len(body)))
            lines += [gap.join([*map(str, joint.tolist()), *["211.5"] * 4, *["-0.25"] * 4, "2"]) for joint in body]
    return (newline.join(lines) + newline).encode()


def walk(frames: int, joints: int = 20, bodies: int = 1, seed: int = 0) -> np.ndarray:
    """A body that drifts: (frames, bodies, joints, 3)."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, bodies, joints, 3)) + rng.normal(0, 0.1, (frames, bodies, joints, 3))).astype(np.float32)


def write_nwucla(folder: Path, count: int = 40) -> Path:
    """A folder of NW-UCLA files: 4 subjects, 3 cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        action, subject, camera = number % 10 + 1, number // 3 % 4 + 1, number % 3 + 1
        name = f"a{action:02}_s{subject:02}_e{number // 12:02}_v{camera:02}"
        joints = walk(12 + number % 7, seed=number)[:, 0].tolist()
        text = json.dumps({"file_name": name, "skeletons": joints, "label": action})
        (folder / f"{name}.json").write_text(text)
    return folder


class Drawn(list[Recording | Skipped]):
    """Recordings of 6 subjects and 2 cameras in a list, whatever the source."""

    def __init__(self, count: int) -> None:
        super().__init__(self.one(number) for number in range(count))

    def one(self, number: int) -> Recording | Skipped:
        name = f"r{number:04}"
        if number % 11 == 5:
            return Skipped(name, "said so")
        bodies = walk(5 + number % 20, seed=number)
        if number % 13 == 7:
            bodies[:] = 0
        if number % 17 == 8:
            bodies[0, 0, 0, 0] = np.nan
        return Recording(name, bodies, number % 3, subject=number % 6 + 1, camera=number % 2 + 1, source="drawn")


def drawn_benchmark(count: int) -> Benchmark:
    return Benchmark(
        name="drawn",
        skeleton=KINECT_V1,
        classes=("a", "b", "c"),
        protocols={"xsub": Split("subject", (1, 2, 3, 4)), "few": Split("subject", (1, 2, 3), classes=(0, 2))},
        persons=2,
        recordings=lambda source: Drawn(count),
    )
