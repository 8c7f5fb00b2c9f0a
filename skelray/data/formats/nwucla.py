"""Northwestern-UCLA Multiview Action 3D: JSON files of Kinect v1 skeletons (Wang et al., CVPR 2014)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, LeftOut, Recording, Split
from skelray.data.formats.listing import coded, members
from skelray.data.formats.sources import Member, Recordings
from skelray.data.formats.text import parse_json, to_float32
from skelray.skeleton import KINECT_V1

NAME = coded(r"(a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2}))", r"\.json")

CLASSES = (
    *("pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down", "stand up"),
    *("donning", "doffing", "throw", "carry"),
)


def _recordings(source: Path | None) -> Recordings:
    what = "NW-UCLA skeletons (such as a01_s01_e00_v01.json)"
    return Recordings(members(source, NAME, what, str.lower), _recording)


def _recording(member: Member) -> Recording:
    stored = parse_json(member.file.read())
    joints = to_float32(np.array(stored["skeletons"], dtype=np.float64))
    label = int(stored["label"]) - 1
    if joints.ndim != 3 or joints.shape[1:] != (len(KINECT_V1.joints), 3):
        raise UserError(f"joints {joints.shape}")
    if not 0 <= label < len(CLASSES):
        raise LeftOut(f"its label is none of 1 to {len(CLASSES)}")
    _, subject, replication, camera = map(int, member.match.groups()[1:])
    return Recording(member.name, joints[:, None], label, subject, camera, replication=replication, source=member.path)


NWUCLA = Benchmark(
    name="nwucla",
    skeleton=KINECT_V1,
    classes=CLASSES,
    protocols={"xview": Split("camera", (1, 2)), "xsub": Split("subject", (1, 3, 5, 7, 9))},
    persons=1,
    recordings=_recordings,
    released=True,  # two clips lose their last frame by it; the numbers under results/ rest on this
)
