"""Florence 3D Actions: 215 short clips of 15 joints (Seidenari et al., CVPR Workshops 2013), as text or as .mat.

The authors' ``Florence_dataset_WorldCoordinates.txt`` has ``video actor category f1 ... f45`` a line, in millimetres with
y up. The .mat that is passed around holds a cell of structs whose ``original_skeletal_data`` (3, 15, T) is in metres with
y and z exchanged; they are exchanged back. Where a source has both, the text is read.

``xsub`` trains on actors 1 to 5, ``loao1`` to ``loao10`` leave one actor out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.formats.listing import members
from skelray.data.formats.mat import names_fields, structs
from skelray.data.formats.sources import UNREADABLE, File, Member, content
from skelray.data.formats.text import parse_matrix, to_float32
from skelray.data.stored import DataError
from skelray.skeleton import FLORENCE

TEXT = re.compile(r"(Florence.*World_?Coordinates)\.txt", re.IGNORECASE)
NAME = re.compile(r"(Florence.*World_?Coordinates(?=\.txt)|.+(?=\.mat))\.(?:txt|mat)", re.IGNORECASE)
WHAT = "Florence 3D clips (Florence_dataset_WorldCoordinates.txt, or a .mat of them)"
JOINTS, ACTORS = len(FLORENCE.joints), tuple(range(1, 11))
FIELDS = ("original_skeletal_data", "subject", "action")

CLASSES = (
    *("wave", "drink from a bottle", "answer phone", "clap", "tie lace", "sit down", "stand up", "read watch", "bow"),
)


def _recordings(source: Path | None) -> list[Recording | Skipped]:
    """Returns all clips, which together are smaller than one file of NTU RGB+D."""
    found = members(source, NAME, WHAT)
    if texts := [member for member in found if TEXT.fullmatch(member.match[0])]:
        return [*_from_text(texts[0])]
    return [*_from_mat([member for member in found if _may_hold_clips(member)] or found[:1])]


def holds_clips(name: str, file: File) -> bool:
    """Returns whether a file is the text, by its name, or a .mat with such clips, by its head. Raises one of UNREADABLE."""
    if TEXT.fullmatch(name):
        return True
    with file.open() as stream:
        return names_fields(stream, FIELDS)


def _may_hold_clips(member: Member) -> bool:
    try:
        return holds_clips(member.match[0], member.file)
    except UNREADABLE:
        return True  # reading it says why not


def _from_text(member: Member) -> Iterator[Recording | Skipped]:
    text = content(member)
    try:
        rows = parse_matrix(text, 3 + 3 * JOINTS)
    except ValueError as error:
        raise DataError(f"{member.path} does not hold lines of 3 numbers and {3 * JOINTS} coordinates ({error})") from error
    if not np.isfinite(rows[:, :3]).all():
        raise DataError(f"{member.path} has lines whose video, actor or category is no number")
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    for clip in np.split(rows, np.flatnonzero(np.diff(rows[:, 0])) + 1):
        if len(np.unique(clip[:, 1:3], axis=0)) > 1:
            yield Skipped(f"video{clip[0, 0]:03.0f}", "its lines name several actors or categories")
            continue
        bodies = clip[:, 3:].reshape(len(clip), 1, JOINTS, 3) / 1000  # millimetres
        yield _recording(clip[0, 0], bodies, clip[0, 1], clip[0, 2], member.path)


def _recording(video: float, bodies: np.ndarray, actor: Any, category: Any, source: str) -> Recording | Skipped:
    name = f"video{video:03.0f}"
    if category not in range(1, len(CLASSES) + 1) or actor not in ACTORS:
        return Skipped(name, f"its actor is none of 1 to {ACTORS[-1]} or its category none of 1 to {len(CLASSES)}")
    return Recording(name, to_float32(bodies), int(category) - 1, int(actor), source=source)


def _from_mat(found: list[Member]) -> Iterator[Recording | Skipped]:
    clips = [(member, clip) for member in found for clip in _clips(member)]
    if not clips:
        raise DataError(f"{found[0].path} holds no cell of structs with {', '.join(FIELDS)}")
    for number, (member, clip) in enumerate(clips, start=1):
        try:
            joints = clip["original_skeletal_data"]  # (3, 15, T), z up
            if joints.ndim == 2:  # of one frame
                joints = joints[..., None]
            bodies = joints[[0, 2, 1]].transpose(2, 1, 0)[:, None]
            actor, category = (clip[key].item() for key in ("subject", "action"))
            if bodies.shape[1:] != (1, JOINTS, 3):
                raise UserError(f"joints {joints.shape}")
        except (ValueError, TypeError, IndexError):
            yield Skipped(f"video{number:03}", "broken or truncated clip")
            continue
        yield _recording(number, bodies, actor, category, member.path)


def _clips(member: Member) -> list[dict[str, np.ndarray]]:
    """Reads the clips of a .mat file. Raises DataError if it is none, or if SciPy is not installed."""
    packed = content(member)
    try:
        return structs(packed, FIELDS)
    except ModuleNotFoundError as error:
        raise DataError(f"SciPy reads {member.path}: `pip install scipy`, or give the authors' text file") from error
    except ValueError as error:
        raise DataError(f"{member.path} is no .mat file of version 7.2 or before ({error})") from error


FLORENCE3D = Benchmark(
    name="florence3d",
    skeleton=FLORENCE,
    classes=CLASSES,
    protocols={
        "xsub": Split("subject", ACTORS[:5]),
        **{f"loao{left}": Split("subject", tuple(actor for actor in ACTORS if actor != left)) for left in ACTORS},
    },
    persons=1,
    recordings=_recordings,
)
