"""Raw files of PKU-MMD, UTKinect, Florence 3D and Kinetics-skeleton made up for tests, with the traps of the real ones."""

import json
from pathlib import Path

import numpy as np
from raw_files import walk

from skelray.data.formats.kinetics import CLASSES


def rows(numbers: np.ndarray) -> str:
    return "\n".join(" ".join(f"{number:.6f}" for number in row) for row in numbers) + "\n"


# Of one PKU-MMD video: (label, first frame, last frame, confidence), frames from 1.
ACTIONS = ((3, 2, 6, 1), (51, 5, 9, 2), (12, 10, 10, 1))


def pku_video(frames: int = 12, seed: int = 0) -> np.ndarray:
    """(frames, 2, 25, 3); x of the first joint is the number of the frame, the second body comes in frame 10."""
    bodies = walk(frames, 25, 2, seed)
    bodies[:, 0, 0, 0] = np.arange(1, frames + 1)
    bodies[:9, 1] = 0
    return bodies


def write_pku(folder: Path, part: int = 1, skeletons: str = "PKU_Skeleton_Renew", labels: str = "Train_Label_PKU_final"):
    """Two recordings of three views each; the first trains, the second tests. The last label file has a single line."""
    for inside in (skeletons, labels):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    names = ("0002", "0363") if part == 1 else ("A01N01", "A01N13")
    for recording, name in enumerate(names):
        for number, view in enumerate("LMR"):
            video = pku_video(seed=3 * recording + number)
            (folder / skeletons / f"{name}-{view}.txt").write_text(rows(video.reshape(len(video), 150)))
            actions = ACTIONS[:1] if (recording, view) == (1, "R") else ACTIONS
            text = "\n".join(",".join(map(str, action)) for action in actions)
            (folder / labels / f"{name}-{view}.txt").write_text(text if len(actions) == 1 else text + "\n")
    train, test = (", ".join(f"{name}-{view}" for view in "LMR") for name in names)
    file = "cross-subject.txt" if part == 1 else "cross_subject_v2.txt"
    (folder / file).write_text(f"Training videos: \n{train}, \nTesting videos: \n{test}\n")
    views = [", ".join(f"{name}-{view}" for name in names for view in side) for side in ("MR", "L")]
    file = "cross-view.txt" if part == 1 else "cross_view_v2.txt"
    (folder / file).write_text(f"Training videos: \n{views[0]}\nTesting videos: \n{views[1]}, ")
    return folder


UTKINECT = ("walk", "sitDown", "standUp", "pickUp", "carry", "throw", "push", "pull", "waveHands", "clapHands")


def write_utkinect(folder: Path, subjects: int = 10) -> Path:
    """Frame numbers step by two, one repeats in every action, and one action has a gap; s10_e02 carry is NaN.

    Only the label file that is put right knows where the walk of s01_e01 ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wrong, right = [], []
    for subject in range(1, subjects + 1):
        for episode in (1, 2):
            name, lines, number = f"s{subject:02}_e{episode:02}", [], 100
            wrong.append(name)
            right.append(name + "  ")
            for label, action in enumerate(UTKINECT):
                numbers = number + 2 * np.arange(12)
                numbers[5] = numbers[4]
                numbers[8:] += 40 if label == 3 else 0
                joints = walk(12, 20, seed=20 * subject + 10 * episode + label).reshape(12, 60)
                joints[:, 0] = numbers / 100
                joints[5, 0] = 99  # the second line of a number does not count
                lines.append(np.column_stack([numbers, joints]))
                start, end = (number, numbers[-1]) if (name, action) != ("s10_e02", "carry") else ("NaN", "NaN")
                right.append(f"{action}: {start} {end}")
                wrong.append(f"{action}: {start} {number - 10 if (name, action) == ('s01_e01', 'walk') else end}")
                number = numbers[-1] + 20
            (folder / f"joints_{name}.txt").write_text(rows(np.concatenate(lines)))
    (folder / "actionLabel.txt").write_text("\n".join(wrong))
    (folder / "actionLabel_modified.txt").write_text("\n".join(right) + "\n")
    return folder


def florence_clips(count: int = 20) -> list[tuple[int, int, np.ndarray]]:
    """(actor, category, joints (T, 15, 3) in metres, y up) of each clip."""
    return [(number % 10 + 1, number % 9 + 1, walk(6 + number % 5, 15, seed=number)[:, 0]) for number in range(count)]


def write_florence(folder: Path, count: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        np.concatenate([[number, actor, category], 1000 * frame.ravel()])
        for number, (actor, category, joints) in enumerate(florence_clips(count), start=1)
        for frame in joints
    ]
    (folder / "Florence_dataset_WorldCoordinates.txt").write_text(rows(np.array(lines)))
    return folder


def write_florence_mat(folder: Path, count: int = 20) -> Path:
    """The cell of structs: y and z are exchanged, z is up."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    cell = np.empty(count, object)
    for number, (actor, category, joints) in enumerate(florence_clips(count)):
        raised = joints[..., [0, 2, 1]].transpose(2, 1, 0).astype(np.float64)  # (3, 15, T)
        cell[number] = {
            "original_skeletal_data": raised,
            "joint_locations": raised / 2,
            "time_stamps": np.arange(len(joints)),
            "subject": actor,
            "action": category,
        }
    savemat(folder / "florence3d.mat", {"skeletal_data": cell})
    return folder


def kinetics_person(seed: int, score: float) -> dict:
    rng = np.random.default_rng(seed)
    scores = np.full(18, score).round(3)
    scores[3] = 0
    return {"pose": rng.random(36).round(3).tolist(), "score": scores.tolist()}


def kinetics_clip(label: int, frames: int = 8, seed: int = 0) -> dict:
    """Frames from 1, one of them without anyone, and three people of whom the second listed is the least sure."""
    data = []
    for frame in range(1, frames + 1):
        people = [kinetics_person(seed + 10 * frame + at, score) for at, score in enumerate((0.4, 0.2, 0.6))]
        data.append({"frame_index": frame, "skeleton": [] if frame == 3 else people})
    return {"data": data, "label": CLASSES[label], "label_index": label}


def write_kinetics(folder: Path, count: int = 6) -> Path:
    for part in ("train", "val"):
        inside = folder / f"kinetics_{part}"
        inside.mkdir(parents=True, exist_ok=True)
        labels = {}
        for number in range(count):
            name = f"-{part}_{number:05}"
            clip = kinetics_clip(number % 3, 6 + number, seed=1000 * number + len(part))
            labels[name] = {"has_skeleton": number != 4, "label": CLASSES[number % 3], "label_index": number % 3}
            (inside / f"{name}.json").write_text(json.dumps(clip))
        (folder / f"kinetics_{part}_label.json").write_text(json.dumps(labels))
    return folder
