"""PKU-MMD part I and II: long Kinect v2 recordings and the actions annotated in them.

Liu et al., "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action Understanding", ACM MM Workshops
2017. Skeletons and labels are text files of the same name (0002-L.txt; A01N01-L.txt in part II) in two folders.

- A sequence is one annotated action, ``<video>_<number of its line>``; it is cut out whole, where the released code of
  AimCLR stops after 300 frames. Annotations that overlap give sequences that overlap.
- Frames count from 1 and an annotation holds its last one: ``[start - 1 : end]``, as AimCLR cuts and as the range of the
  annotations wants it. MAMP cuts ``[start : end]``, one frame less at the beginning: ``pku_mmd(1, first_frame=0)``.
- The files do not name the performers of part I, so ``xsub`` needs the list cross-subject.txt (cross_subject_v2.txt in
  part II) in the source. "setup" is the number of the recording, which its three views share, so that what is held out
  shares no recording with the rest. In part II the number after N counts the thirteen subjects.
- ``xview`` tests on the left camera (camera 1) and trains on the middle and the right one (2 and 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.instances import Instance, Instances, Item
from skelray.data.formats.listing import coded, matching, members
from skelray.data.formats.sources import UNREADABLE, Member, Recordings, head, lines
from skelray.data.formats.text import decode, parse_matrix, read_list, to_float32
from skelray.data.report import UNLABELLED
from skelray.data.stored import DataError
from skelray.skeleton import KINECT_V2

# The first group names a video; then the number of the recording, the subject where it is known, and the camera.
NAMES = {
    1: coded(r"((\d{4})()-([LMR]))", r"\.(?:txt|skeleton)"),
    2: coded(r"(A(\d{2})N(\d{2})-([LMR]))", r"\.(?:txt|skeleton)"),
}
SPLIT = re.compile(r"(cross[-_](subject|view)(?:[-_]?v[12])?)\.txt", re.IGNORECASE)
CAMERAS = {"L": 1, "M": 2, "R": 3}
TRAIN_CAMERAS = (2, 3)
LABEL_FIELDS = 10  # more than a line of labels has, and fewer than one of coordinates
BODIES, JOINTS = 2, len(KINECT_V2.joints)

CLASSES = read_list("pku_mmd_classes.txt")


def _recordings(source: Path | None, part: int, first_frame: int) -> Recordings:
    skeletons, labels = _texts(source, part)
    parts = _parts(source, part)
    items: list[Item] = []
    for video in sorted({*skeletons, *labels}):
        if video not in skeletons:
            items.append((labels[video], Skipped(video, "there is no skeleton file for its labels")))
        elif video not in labels:
            items.append((skeletons[video], Skipped(video, "there is no label file for it")))
        else:
            actions = list(_annotations(labels[video], first_frame)) or [Skipped(video, "its label file names no action")]
            items += [(skeletons[video], action) for action in actions]
    return Instances(items, _bodies, partial(_recording, parts=parts), f"first frame {first_frame}, {sorted(parts.items())}")


def _texts(source: Path | None, part: int) -> tuple[dict[str, Member], dict[str, Member]]:
    """Returns the skeleton and the label file of each video. Both have the same name, but only labels have commas."""
    what = f"PKU-MMD part {part} skeletons and labels (such as {'0002-L.txt' if part == 1 else 'A01N01-L.txt'})"
    skeletons: dict[str, Member] = {}
    labels: dict[str, Member] = {}
    for member in members(source, NAMES[part], what, str.upper):
        kind = labels if _is_label(member) else skeletons
        kind.setdefault(member.name, member)  # a second copy says nothing new
    for found, missing in ((skeletons, "skeletons"), (labels, "labels")):
        if not found:
            raise DataError(
                f"{source} holds no {missing} of PKU-MMD part {part}: give a folder that has skeletons and labels"
            )
    return skeletons, labels


def _is_label(member: Member) -> bool:
    folder = member.path.rpartition("/")[0].rpartition("/")[2].lower()
    if ".skeleton" in member.match[0].lower() or "skelet" in folder:
        return False
    if "label" in folder:
        return True
    try:
        first = decode(head(member.file)).strip().partition("\n")[0]
    except (*UNREADABLE, UnicodeError):
        return False  # what cannot be read will be skipped as a skeleton
    return 0 < first.count(",") < LABEL_FIELDS


def _annotations(member: Member, first_frame: int) -> Iterator[Instance | Skipped]:
    """Yields the actions of a label file, a line ``label, start, end, confidence`` each."""
    try:
        written = lines(member)
    except DataError:
        yield Skipped(member.name, UNLABELLED)
        return
    for number, line in enumerate((line for line in written if line.strip()), start=1):
        name = f"{member.name}_{number:03}"
        try:
            label, start, end = (int(float(field)) for field in line.split(",")[:3])
        except (ValueError, OverflowError):
            yield Skipped(name, "broken line in its label file")
            continue
        if not 1 <= label <= len(CLASSES):
            yield Skipped(name, f"its label is none of 1 to {len(CLASSES)}")
        elif start < first_frame or end < start:
            yield Skipped(name, "its label ends before it starts" if end < start else "its label starts before the video")
        else:
            yield Instance(name, label - 1, start - first_frame, end)


def _bodies(member: Member) -> np.ndarray:
    """Returns a skeleton file as (T, 2, 25, 3); a second body of zeros is an absent one."""
    return to_float32(parse_matrix(member.file.read(), BODIES * JOINTS * 3)).reshape(-1, BODIES, JOINTS, 3)


def _recording(member: Member, instance: Instance, bodies: np.ndarray, parts: dict[str, int]) -> Recording:
    _, setup, subject, view = member.match.groups()
    return Recording(
        name=instance.name,
        bodies=bodies[instance.start : instance.end],
        label=instance.label,
        subject=int(subject or -1),
        camera=CAMERAS[view.upper()],
        setup=int(setup),
        part=parts.get(member.name, -1),
        source=member.path,
    )


def _parts(source: Path | None, part: int) -> dict[str, int]:
    """Returns 0 for the training and 1 for the test videos of the source's cross-subject list.

    Raises DataError if it is missing, or if the cross-view list divides the cameras unlike ``xview``.
    """
    lists: dict[str, dict[str, int]] = {"subject": {}, "view": {}}
    for member in matching(source, SPLIT) if source else ():
        lists[member.match[2].lower()].update(_listed(member, NAMES[part]))
    if not lists["subject"]:
        file = "cross-subject.txt" if part == 1 else "cross_subject_v2.txt"
        raise DataError(
            f"{source} lacks {file}, which alone says which videos of part {part} train: put it beside the skeletons"
        )
    cameras = tuple(sorted({CAMERAS[video[-1]] for video, which in lists["view"].items() if which == 0}))
    if cameras and cameras != TRAIN_CAMERAS:
        raise DataError(
            f"the cross-view list of {source} trains on cameras {cameras}, not on {TRAIN_CAMERAS} (M and R) as xview"
        )
    return lists["subject"]


def _listed(member: Member, name: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Yields (video, part) of a split file: a header, the training names, a header, the test names."""
    part = -1
    for line in lines(member):
        words = [word.strip() for word in line.split(",") if word.strip()]
        videos = [word for word in words if name.fullmatch(f"{word}.txt")]
        if videos:
            yield from ((video.upper(), part) for video in videos)
        elif words and re.search("[a-z]", line):
            part += 1
        if part > 1:
            raise DataError(f"{member.path} has more than two headers: it names what trains and what tests")


def pku_mmd(part: int, first_frame: int = 1) -> Benchmark:
    """Returns part 1 or 2; ``first_frame``: the number of the first frame in its label files. Raises UserError."""
    if part not in NAMES or first_frame not in (0, 1):
        raise UserError(f"part {part}, first frame {first_frame}: the part is 1 or 2, frames count from 0 or 1")
    recordings: Callable[[Path | None], Recordings] = partial(_recordings, part=part, first_frame=first_frame)
    return Benchmark(
        name=f"pku_mmd{part}",
        skeleton=KINECT_V2,
        classes=CLASSES,
        protocols={"xsub": Split("part", (0,)), "xview": Split("camera", TRAIN_CAMERAS)},
        persons=2,
        recordings=recordings,
        released=True,
    )


PKU_MMD1, PKU_MMD2 = pku_mmd(1), pku_mmd(2)
