"""MSR Action3D: text files of Kinect v1 skeletons in metres (Li et al., CVPR Workshops 2010)."""

from __future__ import annotations

from pathlib import Path

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.listing import coded, members
from skelray.data.formats.sources import Member, Recordings
from skelray.data.formats.text import parse_matrix, to_float32
from skelray.skeleton import KINECT_V1

NAME = coded(r"(a(\d{2})_s(\d{2})_e(\d{2}))_skeleton3D", r"\.txt")

# For each joint of KINECT_V1, its place in the files.
ORDER = (6, 3, 2, 19, 0, 7, 9, 11, 1, 8, 10, 12, 4, 13, 15, 17, 5, 14, 16, 18)

LEFT_OUT = frozenset(
    (
        *("a02_s03_e02", "a04_s03_e01", "a07_s04_e01", "a13_s09_e01", "a13_s09_e02"),
        *("a13_s09_e03", "a14_s03_e01", "a20_s07_e01", "a20_s07_e03", "a20_s10_e03"),
    )
)

CLASSES = (
    *("high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x"),
    *("draw tick", "draw circle", "hand clap", "two hand wave", "side boxing", "bend", "forward kick", "side kick"),
    *("jogging", "tennis swing", "tennis serve", "golf swing", "pick up and throw"),
)

ODD = (1, 3, 5, 7, 9)


def _recordings(source: Path | None) -> Recordings:
    what = "MSR Action3D skeletons in metres (such as a01_s01_e01_skeleton3D.txt)"
    return Recordings(members(source, NAME, what, str.lower), _recording)


def _recording(member: Member) -> Recording | Skipped:
    name = member.name
    if name in LEFT_OUT:
        return Skipped(name, "not among the 557 sequences that the literature uses")
    numbers = to_float32(parse_matrix(member.file.read(), 4))  # x, y, z and a confidence
    joints = numbers.reshape(-1, len(ORDER), 4)[:, ORDER, :3]
    action, subject, replication = map(int, member.match.groups()[1:])
    if not 1 <= action <= len(CLASSES):
        return Skipped(name, f"its action is none of 1 to {len(CLASSES)}")
    return Recording(name, joints[:, None], action - 1, subject, replication=replication, source=member.path)


def _actions(*numbers: int) -> Split:
    return Split("subject", ODD, classes=tuple(number - 1 for number in numbers))


MSR_ACTION3D = Benchmark(
    name="msr_action3d",
    skeleton=KINECT_V1,
    classes=CLASSES,
    protocols={
        "xsub": Split("subject", ODD),
        "as1": _actions(2, 3, 5, 6, 10, 13, 18, 20),
        "as2": _actions(1, 4, 7, 8, 9, 11, 12, 14),
        "as3": _actions(6, 14, 15, 16, 17, 18, 19, 20),
    },
    persons=1,
    recordings=_recordings,
)
