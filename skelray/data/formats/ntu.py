"""NTU RGB+D 60 and 120: ``.skeleton`` text, its official protocols and the list of missing skeletons.

Shahroudy et al., "NTU RGB+D", CVPR 2016; Liu et al., "NTU RGB+D 120", TPAMI 2019.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.listing import coded, members
from skelray.data.formats.sources import Member, Recordings
from skelray.data.formats.text import plain_numbers, read_list, to_float32
from skelray.skeleton import KINECT_V2

NAME = coded(r"(S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3}))", r"\.skeleton")
JOINTS, FIELDS = len(KINECT_V2.joints), 12  # lines of a body, numbers of a line
MOST_BODIES = 32  # in one frame; the sensor tracks six
MOST_BYTES, MOST_LINES = 1 << 25, 1 << 20  # of a text; that of a recording is far smaller
MOST_PLACES = 1 << 18  # frames by the most bodies of one; the longest recording has 300 frames

SUBJECTS_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
SUBJECTS_120 = (
    *SUBJECTS_60,
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86),
    *(89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)


@cache
def missing_skeletons() -> frozenset[str]:
    """Returns the recordings that the authors list as having missing or incomplete skeletons."""
    return frozenset(read_list("ntu_missing_skeletons.txt"))


def _recordings(source: Path | None, actions: int) -> Recordings:
    what = f"NTU RGB+D skeletons of actions 1 to {actions} (such as S001C001P001R001A001.skeleton)"
    found = members(source, NAME, what, str.upper)
    return Recordings([member for member in found if int(member.match[6]) <= actions], _recording)


def _recording(member: Member) -> Recording | Skipped:
    name = member.name
    if name in missing_skeletons():
        return Skipped(name, "in the list of missing skeletons")
    setup, camera, subject, replication, action = map(int, member.match.groups()[1:])
    if action < 1:
        return Skipped(name, "no such action: they count from 1")
    bodies = read_skeleton(member.file.read())
    return Recording(name, bodies, action - 1, subject, camera, setup, replication, member.path)


def read_skeleton(text: bytes) -> np.ndarray:
    """Returns the bodies (T, M, 25, 3) of a ``.skeleton`` file, in the order listed; M is the most bodies of any frame.

    Raises ValueError or IndexError if the text is broken or ends early.
    """
    if len(text) > MOST_BYTES or text.count(b"\n") + text.count(b"\r") > MOST_LINES:
        raise UserError(f"a text of {len(text)} bytes")
    try:
        return _read(text)
    except (ValueError, IndexError):  # perhaps only an unusual way of writing it: say it again in the usual one
        lines = [b" ".join(line.split()) for line in plain_numbers(text).splitlines()]
        return _read(b"\n".join(line for line in lines if line))


def _read(text: bytes) -> np.ndarray:
    text = text if text.endswith(b"\n") else text + b"\n"
    characters = np.frombuffer(text, np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(characters == ord("\n")) + 1])  # of each line
    counts, first = _layout(text, starts.tolist())
    if not first:
        return np.zeros((len(counts), 0, JOINTS, 3), np.float32)
    last = first[-1] + JOINTS - 1
    if len(text[starts[last] : starts[last + 1]].split()) != FIELDS:
        raise UserError("the last line is not whole")
    lines = starts[(np.array(first)[:, None] + np.arange(JOINTS)).ravel()]
    coordinates = _leading_numbers(text, lines, np.flatnonzero(characters == ord(" ")))
    if len(counts) * max(counts) > MOST_PLACES:
        raise UserError(f"{len(counts)} frames with up to {max(counts)} bodies")
    present = np.arange(max(counts)) < np.array(counts)[:, None]  # (T, M)
    bodies = np.zeros((*present.shape, JOINTS, 3), np.float32)
    bodies[present] = coordinates.reshape(-1, JOINTS, 3)
    return bodies


def _layout(text: bytes, starts: list[int]) -> tuple[list[int], list[int]]:
    """Returns how many bodies each frame has, and the line of each body's first joint."""
    counts, first = [], []
    line = 1
    for _ in range(int(text[: starts[1]])):
        bodies = int(text[starts[line] : starts[line + 1]])
        if not 0 <= bodies <= MOST_BODIES:
            raise UserError(f"a frame of {bodies} bodies")
        counts.append(bodies)
        line += 1
        for _ in range(bodies):
            if int(text[starts[line + 1] : starts[line + 2]]) != JOINTS:
                raise UserError("a body has another number of joints")
            first.append(line + 2)
            line += 2 + JOINTS
    if line >= len(starts):
        raise UserError("the text ends early")
    return counts, first


def _leading_numbers(text: bytes, lines: np.ndarray, spaces: np.ndarray) -> np.ndarray:
    """Returns the first three numbers of the lines that start at the given characters, (lines, 3) float32.

    The text itself serves as Arrow's string array, in which every second string, the gap between two numbers, is null:
    nothing is copied, and Arrow's parser rounds correctly and is several times faster than ``float``.
    """
    ends = spaces[np.searchsorted(spaces, lines)[:, None] + np.arange(3)]
    offsets = np.empty((len(lines), 3, 2), np.int32)
    offsets[:, 0, 0], offsets[:, 1:, 0], offsets[:, :, 1] = lines, ends[:, :2] + 1, ends
    count = offsets.size
    buffers = [np.full(count // 8 + 1, 0b01010101, np.uint8), np.append(offsets, ends[-1:, 2]).astype(np.int32), text]
    strings = pa.Array.from_buffers(pa.string(), count, [pa.py_buffer(buffer) for buffer in buffers])
    numbers = np.frombuffer(strings.cast(pa.float64()).buffers()[1], np.float64, count)
    return to_float32(numbers.reshape(-1, 3, 2)[..., 0])


CLASSES = read_list("ntu_classes.txt")

NTU60 = Benchmark(
    name="ntu60",
    skeleton=KINECT_V2,
    classes=CLASSES[:60],
    protocols={"xsub": Split("subject", SUBJECTS_60), "xview": Split("camera", (2, 3))},
    persons=2,
    recordings=partial(_recordings, actions=60),
    released=True,
)

NTU120 = Benchmark(
    name="ntu120",
    skeleton=KINECT_V2,
    classes=CLASSES,
    protocols={"xsub": Split("subject", SUBJECTS_120), "xset": Split("setup", tuple(range(2, 33, 2)))},
    persons=2,
    recordings=partial(_recordings, actions=120),
    released=True,
)


def likely_benchmark(found: Sequence[re.Match[str]]) -> Benchmark:
    """Returns NTU 60 if no name has an action beyond it, else NTU 120."""
    return NTU60 if all(int(match[6]) <= 60 for match in found) else NTU120
