"""UTKinect-Action3D: twenty long Kinect v1 recordings of ten actions each (Xia et al., CVPR Workshops 2012).

``joints_s01_e01.txt`` has a frame number and 20 joints in metres a line; ``actionLabel.txt`` says between which frame
numbers an action lies. Its six wrong rows are put right in ``actionLabel_modified.txt``, which is read where the source
has it; without it, rows that end before they start are skipped. The carry of s10_e02 has no frames (NaN): 199 clips.

Frame numbers step by about two, repeat and leave gaps: of a repeated number the first line counts, and a gap is no frame.
``xsub`` trains on odd subjects. Leaving one recording out, as in the authors' paper, is no protocol here: a split is by
one column, and a recording is a subject and an episode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.instances import Instance, Instances, Item
from skelray.data.sources import Member, Recordings, lines, members
from skelray.data.text import matrix, single
from skelray.skeleton import KINECT_V1

NAME = re.compile(r"joints_(s(\d{2})_e(\d{2}))\.txt")
LABELS = re.compile(r"(actionLabel(_modified)?)\.txt", re.IGNORECASE)
VIDEO = re.compile(r"s\d{2}_e\d{2}")
ACTION = re.compile(r"(\w+)\s*:\s*(\S+)\s+(\S+)")

# As the label file writes them, and as we do.
ACTIONS = {
    "walk": "walk",
    "sitDown": "sit down",
    "standUp": "stand up",
    "pickUp": "pick up",
    "carry": "carry",
    "throw": "throw",
    "push": "push",
    "pull": "pull",
    "waveHands": "wave hands",
    "clapHands": "clap hands",
}
LABEL = {written.lower(): label for label, written in enumerate(ACTIONS)}


def _recordings(source: Path | None) -> Recordings:
    videos = {member.match[1]: member for member in members(source, NAME, "UTKinect skeletons (such as joints_s01_e01.txt)")}
    found = members(source, LABELS, "actionLabel.txt or actionLabel_modified.txt, which says where the actions are")
    corrected = [member for member in found if member.match[2]] or found
    items: list[Item] = []
    annotations = list(_annotations(corrected[0]))
    for name, member in videos.items():
        actions = [item for video, item in annotations if video == name]
        items += [(member, action) for action in actions or [Skipped(name, "the label file does not name it")]]
    absent = sorted({video for video, _ in annotations} - set(videos))
    items += [(corrected[0], Skipped(video, "there is no skeleton file for its labels")) for video in absent]
    return Instances(items, _frames, _recording)


def _annotations(member: Member) -> Iterator[tuple[str, Instance | Skipped]]:
    """(video, action) of a label file: a video's name, then lines ``action: start end`` that belong to it.

    Raises DataError where it cannot be read.
    """
    video = ""
    for line in map(str.strip, lines(member)):
        if VIDEO.fullmatch(line):
            video = line
        elif video and line:
            yield video, _annotation(video, line)


def _annotation(video: str, line: str) -> Instance | Skipped:
    match = ACTION.fullmatch(line)
    if match is None or match[1].lower() not in LABEL:
        return Skipped(f"{video}_{line[:20]}", "broken line in the label file")
    action, start, end = match.groups()
    name = f"{video}_{action}"
    try:
        first, last = int(start), int(end)
    except ValueError:
        return Skipped(name, "the label file gives no frames of it")  # NaN NaN
    if last < first:
        return Skipped(name, "its label ends before it starts")
    return Instance(name, LABEL[action.lower()], first, last + 1)


def _frames(member: Member) -> tuple[np.ndarray, np.ndarray]:
    """The frame numbers (T,), each once, and joints (T, 20, 3) of a file."""
    rows = matrix(member.file.read(), 1 + 3 * len(KINECT_V1.joints))
    _, first = np.unique(rows[:, 0], return_index=True)
    rows = rows[np.sort(first)]
    return rows[:, 0], single(rows[:, 1:]).reshape(len(rows), -1, 3)


def _recording(member: Member, instance: Instance, content: Any) -> Recording:
    numbers, joints = content
    bodies = joints[(numbers >= instance.start) & (numbers < instance.end), None]  # (T, 1, 20, 3)
    _, subject, episode = member.match.groups()
    return Recording(instance.name, bodies, instance.label, int(subject), replication=int(episode), source=member.path)


UTKINECT = Benchmark(
    name="utkinect",
    skeleton=KINECT_V1,
    classes=tuple(ACTIONS.values()),
    protocols={"xsub": Split("subject", (1, 3, 5, 7, 9))},
    persons=1,
    recordings=_recordings,
)
