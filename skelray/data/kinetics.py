"""Kinetics-skeleton: OpenPose key points of YouTube clips as JSON (Yan, Xiong, Lin, AAAI 2018; Kay et al., 2017).

``kinetics_train/<id>.json`` and ``kinetics_val/<id>.json`` hold, frame by frame, people as 18 points (x, y) between 0 and
1 and their scores; the folders are the protocol. As in the released reader, x and y are moved by -0.5 and are zero where
the score is, the score is the third channel, and of the first five people of a frame the two with the highest score are
kept, the higher first.

Frames count from 1. The released reader uses the number as an index from 0, so that its first frame is empty and number
300 does not fit its array; here number 1 is the first frame, and frames that the file does not name stay empty.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.dataset import DataError
from skelray.data.sources import Member, Recordings, content, members
from skelray.data.text import listed, parsed, single
from skelray.skeleton import OPENPOSE

NAME = re.compile(r"(?!kinetics_\w+_label)([\w-]+)\.json")
LABELS = re.compile(r"(kinetics_\w+_label)\.json")
FOLDER = re.compile(r"(?:^|[/_-])(train|val|test)(?=[/_.-])")
JOINTS, PERSONS = len(OPENPOSE.joints), 2
READ = 5  # people of a frame, in the order listed
MOST_FRAMES = 10_000  # a clip has 300

CLASSES = listed("kinetics_classes.txt")


def _recordings(source: Path | None) -> Recordings:
    found = members(source, NAME, "Kinetics-skeleton clips (such as kinetics_train/-2iD_qqX8rk.json)")
    try:
        labels = members(source, LABELS, "label files")
    except DataError:
        labels = []
    known: dict[str, Any] = {}
    for member in labels:
        known.update(_labels(member))
    parse = partial(_recording, known=known, root=source.resolve().name if source else "")
    return Recordings(found, parse, json.dumps(known, sort_keys=True) if known else "")


def _labels(member: Member) -> dict[str, Any]:
    """What a label file says of each clip. Raises DataError where it is none."""
    text = content(member)
    try:
        stored = json.loads(text)
        if not isinstance(stored, dict) or not all(isinstance(one, dict) for one in stored.values()):
            raise UserError("not an object of objects")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{member.path} is no label file of Kinetics-skeleton ({error})") from error
    return stored


def _recording(member: Member, known: dict[str, Any], root: str) -> Recording | Skipped:
    name = member.match[1]
    said = known.get(name, {})
    if said.get("has_skeleton", True) is False:
        return Skipped(name, "the label file says that it has no skeleton")
    stored = parsed(member.file.read())
    label = said.get("label_index", stored["label_index"])
    if label != stored["label_index"]:
        return Skipped(name, "its label is another one in the label file")
    if not isinstance(label, int) or not 0 <= label < len(CLASSES):
        raise UserError(f"label {label}")
    if not stored["data"]:
        return Skipped(name, "no skeleton in it")
    return Recording(name, read_frames(stored["data"]), label, part=_part(f"{root}/{member.path}"), source=member.path)


def _part(path: str) -> int:
    """0 in a folder of training clips, 1 in one of validation clips, -1 elsewhere."""
    words = FOLDER.findall(path.rpartition("/")[0] + "/")
    return -1 if not words else int(words[-1] != "train")


def read_frames(data: Any) -> np.ndarray:
    """The two people of highest score in each frame, (T, 2, 18, 3) float32 of x, y and score.

    Raises UserError, TypeError or KeyError where the frames are not as they should be.
    """
    numbers = [frame["frame_index"] for frame in data]
    if not all(isinstance(number, int) and 0 <= number <= MOST_FRAMES for number in numbers):
        raise UserError(f"frame numbers {min(numbers)} to {max(numbers)}")
    first = min(1, *numbers)  # some exports count from 0
    bodies = np.zeros((max(numbers) - first + 1, PERSONS, JOINTS, 3), np.float32)
    for number, frame in zip(numbers, data, strict=True):
        people = [_person(person) for person in frame["skeleton"][:READ]]
        people.sort(key=lambda person: -person[:, 2].sum())  # stable, as listed where scores are the same
        for at, person in enumerate(people[:PERSONS]):
            bodies[number - first, at] = single(person)
    return bodies


def _person(person: Any) -> np.ndarray:
    """(18, 3) float64."""
    pose, score = np.array(person["pose"], dtype=np.float64), np.array(person["score"], dtype=np.float64)
    if pose.shape != (2 * JOINTS,) or score.shape != (JOINTS,):
        raise UserError(f"pose {pose.shape}, score {score.shape}")
    points = np.column_stack([pose.reshape(JOINTS, 2) - 0.5, score])
    points[score == 0] = 0
    return points


KINETICS = Benchmark(
    name="kinetics",
    skeleton=OPENPOSE,
    classes=CLASSES,
    protocols={"official": Split("part", (0,))},
    persons=PERSONS,
    recordings=_recordings,
    planar=True,
    released=True,
)
