"""Raw recordings made up for tests: NTU text, NW-UCLA JSON, and benchmarks whose recordings are drawn on the spot."""

import json
import pickle
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


def ntu_names(count: int = 40, action: int = 60) -> list[str]:
    """Names of NTU RGB+D: 8 performers, 3 cameras, actions up to ``action``; none is in the missing list."""
    return [
        f"S{number % 2 + 20:03}C{number % 3 + 1:03}P{number % 8 + 1:03}R{number % 2 + 1:03}A{number * 7 % action + 1:03}"
        for number in range(count)
    ]


def ntu_clips(count: int = 40) -> list[np.ndarray]:
    """Bodies (T, 2, 25, 3) before a camera; every third clip has a second person."""
    clips = [walk(11 + number % 7, 25, 2, seed=number) * 0.3 + (0, 0, 3) for number in range(count)]
    for number, clip in enumerate(clips):
        if number % 3:
            clip[:, 1] = 0
    return [clip.astype(np.float32) for clip in clips]


def labels_of(names: Sequence[str]) -> list[int]:
    return [int(name[-3:]) - 1 for name in names]


def stacked(clips: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """(N, 3, frames, V, M), zero after the end of a clip."""
    array = np.zeros((len(clips), 3, frames, clips[0].shape[2], clips[0].shape[1]), np.float32)
    for row, clip in zip(array, clips, strict=True):
        row[:, : len(clip)] = clip.transpose(3, 0, 2, 1)
    return array


def halves(names: Sequence[str]) -> dict[str, list[int]]:
    """Which samples train and which test by subject: odd performers train."""
    train = [at for at, name in enumerate(names) if int(name[9:12]) % 2]
    return {"train": train, "val": [at for at in range(len(names)) if at not in train]}


def write_npy(
    folder: Path, array: np.ndarray, names: Sequence[str], kind: str, frames: Sequence[int] | None = None, protocol: int = 4
) -> Path:
    """``{train,val}_<kind>.npy`` with pickles of names and labels, and perhaps recorded lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, chosen in halves(names).items():
        np.save(folder / f"{part}_{kind}.npy", array[chosen])
        labels = [labels_of(names)[at] for at in chosen]
        with open(folder / f"{part}_label.pkl", "wb") as file:
            pickle.dump(([f"{names[at]}.skeleton" for at in chosen], labels), file, protocol)
        if frames is not None:
            np.save(folder / f"{part}_num_frame.npy", np.array(frames)[chosen])
    return folder


def write_npz(path: Path, clips: Sequence[np.ndarray], names: Sequence[str], classes: int, compressed: bool = False) -> Path:
    """CTR-GCN's file: joint 2 of the first frame at zero, absent bodies at zero, one-hot labels, no names."""
    moved = [np.where(clip.any(axis=(2, 3), keepdims=True), clip - clip[0, 0, 1], 0) for clip in clips]
    x = np.zeros((len(clips), 300, 150), np.float32)
    for row, clip in zip(x, moved, strict=True):
        row[: len(clip)] = clip.reshape(len(clip), 150)
    y = np.eye(classes, dtype=np.float32)[labels_of(names)]
    parts = halves(names)
    save = np.savez_compressed if compressed else np.savez
    train, test = parts["train"], parts["val"]
    save(path, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])
    return path


def write_pyskl(path: Path, clips: Sequence[np.ndarray], names: Sequence[str], protocol: int = 4) -> Path:
    """pyskl's file of 3-D skeletons: half precision, (M, T, V, C), and two divisions."""
    parts = halves(names)
    cameras = {"train": [name for name in names if name[5:8] != "001"], "val": [n for n in names if n[5:8] == "001"]}
    split = {f"xsub_{part}": [names[at] for at in parts[part]] for part in parts}
    split |= {f"xview_{part}": cameras[part] for part in cameras}
    annotations = []
    for name, clip, label in zip(names, clips, labels_of(names), strict=True):
        bodies = clip[:, clip.any(axis=(0, 2, 3))].swapaxes(0, 1).astype(np.float16)
        annotations.append({"frame_dir": name, "total_frames": len(clip), "label": label, "keypoint": bodies})
    with open(path, "wb") as file:
        pickle.dump({"split": split, "annotations": annotations}, file, protocol)
    return path


def write_pyskl_2d(path: Path, count: int = 24) -> Path:
    """pyskl's file of COCO points, of a data set with three overlapping divisions and classes without names."""
    rng = np.random.default_rng(0)
    names = [f"v_{number:03}" for number in range(count)]
    split = {
        f"{part}{number}": [name for at, name in enumerate(names[:-1]) if (at % 3 == number - 1) == (part == "test")]
        for number in (1, 2, 3)
        for part in ("train", "test")
    }
    split = {f"split{key[-1]}_{key[:-1]}": value for key, value in split.items()}
    annotations = [
        {
            "frame_dir": name,
            "total_frames": 12,
            "label": at % 4,
            "img_shape": (100, 200),
            "original_shape": (100, 200),
            "keypoint": rng.uniform((0, 0), (200, 100), (1 + at % 3, 12, 17, 2)).astype(np.float16),
            "keypoint_score": rng.uniform(0.1, 1, (1 + at % 3, 12, 17)).astype(np.float16),
        }
        for at, name in enumerate(names)
    ]
    annotations[0]["keypoint_score"][:, 3, 5] = 0
    with open(path, "wb") as file:
        pickle.dump({"split": split, "annotations": annotations}, file)
    return path
