"""Kinetics-skeleton: OpenPose key points of YouTube clips as JSON (Yan, Xiong, Lin, AAAI 2018; Kay et al., 2017).

``kinetics_train/<id>.json`` and ``kinetics_val/<id>.json`` hold, frame by frame, people as 18 points (x, y) between 0 and
1 and their scores; the folders are the protocol. As in the released reader, x and y are moved by -0.5 and are zero where
the score is, the score is the third channel, and of the first five people of a frame the two with the highest score are
kept, the higher first.

Frames count from 1. The released reader uses the number as an index from 0, so that its first frame is empty and number
300 does not fit its array; here number 1 is the first frame, and frames that the file does not name stay empty.

A clip has the number of its class and its name. Data of one's own in this form have classes of their own: ``benchmark_of``
takes the names of the files where they contradict those of Kinetics.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.listing import matching, members
from skelray.data.formats.names import stem_of
from skelray.data.formats.sources import UNREADABLE, File, Member, Recordings, content, head
from skelray.data.formats.stated import StatedLabel, class_names, is_same_name, named_classes, stated_label
from skelray.data.formats.text import decode, parse_json, read_list, to_float32
from skelray.data.report import EMPTY, UNSCORED, shortened
from skelray.data.stored import DataError
from skelray.skeleton import OPENPOSE

NAME = re.compile(r"(?!\.|kinetics_\w+_label)(.+)\.json(?:\.txt)?", re.IGNORECASE)
LABELS = re.compile(r"(kinetics_\w+_label)\.json", re.IGNORECASE)
FOLDER = re.compile(r"(?:^|[/_-])(train|val|test)(?=[/_.-])")
JOINTS, PERSONS = len(OPENPOSE.joints), 2
READ = 5  # people of a frame, in the order listed
MOST_FRAMES = 10_000  # a clip has 300
FEW, ENDS = 64, 2000  # clips whose labels are looked at first, and the bytes at both ends of a clip that are
HEAD = 4000  # bytes of a file that tell whether it is a clip, by all parts of any of these
CLIP = tuple(
    tuple(map(re.compile, parts))
    for parts in (
        (r'"frame_index"\s*:\s*\d', r'"skeleton"\s*:\s*\['),
        (r'"skeleton"\s*:\s*\[', r'"pose"\s*:\s*\['),
        (r'"data"\s*:\s*\[', r'"label_index"\s*:\s*\d'),
    )
)
LABEL = re.compile(r'"(label|label_index)"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')
UNNAMED = "the clips do not name their classes: by their numbers, they are called as those of Kinetics"

CLASSES = read_list("kinetics_classes.txt")


def holds_clip(name: str, file: File) -> bool:
    """Returns whether a JSON file is a clip, by its first bytes. Raises one of UNREADABLE."""
    start = decode(head(file, HEAD), "ignore")
    return any(all(part.search(start) for part in parts) for parts in CLIP)


def benchmark_of(source: Path) -> Benchmark:
    """Returns Kinetics, or a benchmark of its own if the clips of a source name other classes. Raises DataError."""
    found, known = matching(source, NAME), _known(source)
    own = _own(found, known)
    if own is None:
        named = any(one.text for one, _ in _heard(found, known)[0])
        return KINETICS if named else replace(KINETICS, notes=(UNNAMED,))
    names = named_classes(own)
    kept = sum(is_same_name(name, kept) for name, kept in zip(own, CLASSES, strict=False))
    but = f", but for {kept} of {len(names)}" if kept else ""
    stem = stem_of(source)
    return replace(
        KINETICS,
        name=f"{stem}_own" if stem.startswith("kinetics") else stem,
        classes=own,
        recordings=partial(_recordings, classes=own),
        notes=(f"the classes are those that the files name ({shortened(names)}); they are not those of Kinetics{but}",),
    )


def _recordings(source: Path | None, classes: tuple[str, ...] = CLASSES) -> Recordings:
    found = members(source, NAME, "Kinetics-skeleton clips (such as kinetics_train/-2iD_qqX8rk.json)")
    known = _known(source)
    if classes is CLASSES and (own := _own(found, known)) is not None:
        raise DataError(
            f"the clips of {source} name classes of their own ({shortened(named_classes(own))}), which are not those of "
            "Kinetics: "
            f"to take theirs, leave the benchmark's name out: skelray prepare {source}"
        )
    parse = partial(_recording, known=known, root=source.resolve().name if source else "", classes=classes)
    return Recordings(found, parse, json.dumps(known, sort_keys=True) if known else "")


def _known(source: Path | None) -> dict[str, Any]:
    """Returns each clip's entry in the label files of a source. Raises DataError for an invalid one."""
    known: dict[str, Any] = {}
    for member in matching(source, LABELS) if source else ():
        known.update(_labels(member))
    return known


def _labels(member: Member) -> dict[str, Any]:
    """Returns each clip's entry in a label file. Raises DataError if it is none."""
    text = content(member)
    try:
        stored = json.loads(text)
        if not isinstance(stored, dict) or not all(isinstance(one, dict) for one in stored.values()):
            raise UserError("not an object of objects")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{member.path} is no label file of Kinetics-skeleton ({error})") from error
    return stored


def _own(found: Sequence[Member], known: dict[str, Any]) -> tuple[str, ...] | None:
    """Returns the classes that clips name themselves; None if they are those of Kinetics or have no names.

    Clips that no label file names are looked into: some of them, and all if these do not name Kinetics classes. The others
    are checked when they are read.
    """
    stated, silent = _heard(found, known)
    own = class_names(stated, CLASSES)
    return own if own is None or len(silent) <= FEW else class_names([*stated, *_spoken(silent)], CLASSES)


def _heard(found: Sequence[Member], known: dict[str, Any]) -> tuple[list[tuple[StatedLabel, str]], list[Member]]:
    """Returns the labels in label files and in a few clips that they do not name, and all these clips."""
    silent = [
        member for member in found if (said_there := stated_label(known.get(member.name, {}))) is None or not said_there.text
    ]
    few = [silent[at] for at in sorted({len(silent) * part // FEW for part in range(FEW)})] if silent else []
    stated = [(one, name) for name, entry in known.items() if (one := stated_label(entry))]
    return [*stated, *_spoken(few)], silent


def _spoken(found: Sequence[Member]) -> Iterator[tuple[StatedLabel, str]]:
    """Yields the label that a clip states at its beginning or end, and where."""
    for member in found:
        with suppress(*UNREADABLE, ValueError), member.file.open() as stream:
            text = decode(stream.read(ENDS), "ignore")
            if stream.seek(0, 2) > ENDS:
                stream.seek(max(ENDS, stream.tell() - ENDS))
                text += decode(stream.read(ENDS), "ignore")
            written = {key: json.loads(value) for key, value in LABEL.findall(text)}
            if one := stated_label(written):
                yield one, member.path


def _recording(member: Member, known: dict[str, Any], root: str, classes: tuple[str, ...]) -> Recording | Skipped:
    name, entry = member.name, known.get(member.name, {})
    if entry.get("has_skeleton", True) is False:
        return Skipped(name, "the label file says that it has no skeleton")
    stored = parse_json(member.file.read())
    if not isinstance(stored, dict):
        raise UserError("no object")
    stated = [one for one in (stated_label(stored), stated_label(entry)) if one]
    labels = {one.class_number(classes) for one in stated}
    if len(labels) != 1:
        return Skipped(name, "its label is another one in the label file" if labels else "it has no label")
    (label,) = labels
    if not 0 <= label < len(classes):
        return Skipped(name, f"its label is none of 0 to {len(classes) - 1}")
    if any(one.text and not is_same_name(one.text, classes[label]) for one in stated):
        return Skipped(name, "its label is not called as its class is")
    if not stored["data"]:
        return Skipped(name, EMPTY)
    bodies = read_frames(stored["data"])
    if not bodies.any() and any(frame["skeleton"] for frame in stored["data"]):
        return Skipped(name, UNSCORED)
    return Recording(name, bodies, label, part=_part(f"{root}/{member.path}"), source=member.path)


def _part(path: str) -> int:
    """Returns 0 for a folder of training clips, 1 for one of validation clips, -1 otherwise."""
    words = FOLDER.findall(path.rpartition("/")[0] + "/")
    return -1 if not words else int(words[-1] != "train")


def read_frames(data: Any) -> np.ndarray:
    """Returns the two people of highest score in each frame, (T, 2, 18, 3) float32 of x, y and score.

    Raises UserError, TypeError or KeyError for malformed frames.
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
            bodies[number - first, at] = to_float32(person)
    return bodies


def _person(person: Any) -> np.ndarray:
    """Returns a person as (18, 3) float64."""
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
