"""UTKinect-Action3D: twenty long Kinect v1 recordings of ten actions each (Xia et al., CVPR Workshops 2012).

``joints_s01_e01.txt`` has a frame number and 20 joints in metres a line; ``actionLabel.txt`` says between which frame
numbers an action lies. Seven of its rows are wrong: they begin or end inside another action. ``actionLabel_modified.txt``,
which is passed around with the code of Vemulapalli et al. (CVPR 2014), has them right and is read where the source has it;
without it, these rows are put right as they are there. The carry of s10_e02 has no frames (NaN): 199 clips.

Frame numbers step by about two, repeat and leave gaps: of a repeated number the first line counts, and a gap is no frame.
``xsub`` trains on odd subjects. Leaving one recording out, as in the authors' paper, is no protocol here: a split is by
one column, and a recording is a subject and an episode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.instances import Instance, Instances, Item
from skelray.data.formats.listing import coded, members
from skelray.data.formats.sources import Member, Recordings, lines
from skelray.data.formats.text import parse_matrix, to_float32
from skelray.skeleton import KINECT_V1

NAME = coded(r"joints_(s(\d{2})_e(\d{2}))", r"\.txt")
LABELS = coded(r"(actionLabel(_modified)?)", r"\.txt")
# Rows of actionLabel.txt that are wrong, and as actionLabel_modified.txt has them: (first frame, last frame).
WRONG = {
    "s01_e02_walk": ((154, 192), (154, 270)),
    "s03_e01_push": ((2556, 3622), (3556, 3622)),
    "s07_e01_pull": ((3350, 3522), (3432, 3522)),
    "s07_e02_pull": ((2496, 2618), (2530, 2618)),
    "s09_e01_push": ((3266, 3390), (3266, 3300)),
    "s10_e01_carry": ((1394, 1846), (1394, 1676)),
    "s10_e02_pull": ((1982, 2062), (1994, 2062)),
}
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
    what = "UTKinect skeletons (such as joints_s01_e01.txt)"
    videos: dict[str, Member] = {}
    for member in members(source, NAME, what, str.lower):
        videos.setdefault(member.name, member)  # a second copy says nothing new
    found = members(source, LABELS, "actionLabel.txt or actionLabel_modified.txt, which says where the actions are")
    corrected = [member for member in found if member.match[2]] or found
    items: list[Item] = []
    written = list(_annotations(corrected[0]))
    annotations = [(video, _righted(action)) for video, action in written]
    for name, member in videos.items():
        actions = [item for video, item in annotations if video == name]
        items += [(member, action) for action in actions or [Skipped(name, "the label file does not name it")]]
    absent = sorted({video for video, _ in annotations} - set(videos))
    items += [(corrected[0], Skipped(video, "there is no skeleton file for its labels")) for video in absent]
    recordings = Instances(items, _frames, _recording)
    if righted := [now.name for (_, now), (_, before) in zip(annotations, written, strict=True) if now != before]:
        recordings.notes = (f"wrong frames in {corrected[0].path}, put right as they are known: {', '.join(righted)}",)
    return recordings


def _righted(action: Instance | Skipped) -> Instance | Skipped:
    """Returns the action, with its frames corrected if it is a row known to be wrong."""
    wrong, right = WRONG.get(action.name, (None, None))
    if right is None or not isinstance(action, Instance) or (action.start, action.end - 1) != wrong:
        return action
    return replace(action, start=right[0], end=right[1] + 1)


def _annotations(member: Member) -> Iterator[tuple[str, Instance | Skipped]]:
    """Yields (video, action) of a label file: a video's name, then its lines ``action: start end``.

    Raises DataError if it cannot be read.
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
    """Returns the frame numbers (T,), without repeats, and joints (T, 20, 3) of a file."""
    rows = parse_matrix(member.file.read(), 1 + 3 * len(KINECT_V1.joints))
    _, first = np.unique(rows[:, 0], return_index=True)
    rows = rows[np.sort(first)]
    return rows[:, 0], to_float32(rows[:, 1:]).reshape(len(rows), -1, 3)


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
