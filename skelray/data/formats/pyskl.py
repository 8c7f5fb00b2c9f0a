"""The pickles of pyskl and mmaction2: a list of annotations, mostly with the divisions that they are used in.

An annotation has frame_dir (its name), label, and keypoint (M, T, V, C): Kinect v2 joints in metres (C = 3, V = 25), or
points of an image (C = 2; 17 of COCO or 18 of OpenPose) with keypoint_score (M, T, V) and img_shape (height, width). As in
Kinetics-skeleton, the points of an image become x and y from -0.5 to 0.5, y downwards, with the score as third channel.
Keypoints of NTU are kept there in half precision: steps of 2 to 4 mm at the distance of its cameras.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skelray.checks import UserError
from skelray.data.benchmark import LeftOut, Split
from skelray.data.formats.arrays import TEST, TRAIN, Arrays, Rows
from skelray.data.formats.listing import files_below
from skelray.data.formats.names import OWN, protocol_of, stem_of
from skelray.data.formats.npy import integers, texts
from skelray.data.formats.sources import BLOCK, File, LooseFile
from skelray.data.formats.stated import LISTS, StatedLabel, stated_labels
from skelray.data.formats.unpickle import unpickle
from skelray.data.report import UNSCORED
from skelray.data.stored import DataError
from skelray.skeleton import COCO, KINECT_V2, OPENPOSE, Skeleton

NAME = re.compile(r"(?!.*_label\.pkl)(.+)\.(?:pkl|pickle)", re.IGNORECASE)
PART = re.compile(r"(?:(.+)_)?(train|val|test)")  # of a division's name
SKELETONS: Mapping[tuple[int, ...], Skeleton] = {(25, 3): KINECT_V2, (17, 2): COCO, (18, 2): OPENPOSE}
SMALL, LOOKED = 1 << 24, 1 << 26  # bytes: of a pickle that is looked into as a whole, and of the part of another that is
HALF = "the last digits: keypoints were kept in half precision, steps of 2 to 4 mm at 3 to 4 m"


def holds_annotations(name: str, file: File) -> bool:
    """Returns whether a pickle holds annotations; a large one, whether it names keypoints. Raises one of UNREADABLE."""
    with file.open() as stream:
        if isinstance(file, LooseFile) and stream.seek(0, os.SEEK_END) < SMALL:
            with suppress(DataError):
                return _listed(unpickle(Path(file.path)))[0] is not None
            return False
        stream.seek(0)
        before = b""
        for block in iter(lambda: stream.read(BLOCK), b""):
            if b"keypoint" in before + block:
                return True
            if stream.tell() > LOOKED:
                break
            before = block[-10:]
    return False


def _listed(stored: object) -> tuple[list[dict[str, Any]] | None, dict[str, Any]]:
    """Returns the annotations in the content of a pickle, if any, and the dictionary around them."""
    around = stored if isinstance(stored, dict) else {}
    found = around.get("annotations") if around else stored
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        return found, around
    return None, around


def _is_one(path: Path) -> bool:
    with suppress(OSError):
        return holds_annotations(path.name, LooseFile(path))
    return False


def open_pickle(source: Path) -> Arrays:
    """Opens one such file, or a training and a test file. Raises DataError if they are none."""
    paths = [source] if source.is_file() else files_below(source, NAME)
    if len(paths) > 1:  # others may lie beside them
        paths = [path for path in paths if _is_one(path)] or paths
    lists: list[tuple[Path, list[Any]]] = []
    divisions: Mapping[str, Any] | None = None
    stated: tuple[StatedLabel, ...] = ()
    for path in paths:
        stored, around = _listed(unpickle(path))
        if around:
            if len(paths) > 1:
                raise DataError(f"{source} holds several such files: give one of {', '.join(map(str, paths))}")
            stated = next((found for key in LISTS if (found := stated_labels(around.get(key)))), ())
            divisions = around.get("split")
        if stored is None:
            raise DataError(f"{path} holds no annotations: neither a list of them nor a dictionary with such a list")
        lists.append((path, stored))
    annotations = [one for _, stored in lists for one in stored]
    skeleton = _skeleton(annotations, paths[0])
    names = _names([one.get("frame_dir", one.get("filename", "")) for one in annotations], paths[0])
    if divisions is not None:
        parts, protocols = _divided(names, divisions, paths[0])
    else:
        parts = np.concatenate([np.full(len(stored), _part(path, len(lists))) for path, stored in lists])
        protocols = {protocol_of(paths[0]): Split("part", (TRAIN,))} if len(set(parts)) > 1 else {}
    rows = Rows(
        read=partial(_bodies, annotations),
        labels=integers([one.get("label") for one in annotations], paths[0]),
        names=names,
        parts=parts,
        source=paths[0].name if len(paths) == 1 else source.name,
    )
    half = annotations[0]["keypoint"].dtype == np.float16 and skeleton is KINECT_V2
    stem = re.sub(r"_(train|val|test)$", "", stem_of(paths[0]))
    return Arrays((rows,), protocols, stem, 0, (HALF,) * half, skeleton, planar=skeleton is not KINECT_V2, stated=stated)


def _skeleton(annotations: Sequence[Mapping[str, Any]], path: Path) -> Skeleton:
    shape: tuple[int, ...] = getattr(annotations[0].get("keypoint"), "shape", ())
    if len(shape) != 4 or (skeleton := SKELETONS.get(shape[2:])) is None:
        known = ", ".join(f"{joints} joints of {channels}" for joints, channels in SKELETONS)
        raise DataError(f"{path}: keypoints of shape {shape}, not (bodies, frames, joints, coordinates) with {known}")
    return skeleton


def _part(path: Path, count: int) -> int:
    """Returns the part of a file without divisions, by its name."""
    words = re.findall(r"(?<![a-z])(train|val|test)(?![a-z])", path.stem.lower())
    if not words and count > 1:
        raise DataError(f"{path} says neither train nor val in its name, and has no divisions of its own")
    return -1 if not words else TRAIN if words[-1] == "train" else TEST


def _names(values: Any, path: Path) -> list[str]:
    """Returns texts, or numbers as texts. Raises DataError for anything else."""
    if isinstance(values, (list, tuple)):
        values = [str(name) if isinstance(name, int) else name for name in values]
    return texts(values, path)


def _divided(names: Sequence[str], divisions: Any, path: Path) -> tuple[np.ndarray, dict[str, Split]]:
    """Returns a code for each sample, one for each combination of divisions, and the protocols in these codes."""
    if not isinstance(divisions, dict) or not all(isinstance(division, str) for division in divisions):
        raise DataError(f"{path} has a `split` that is no dictionary of lists of names")
    member: dict[str, list[str]] = {}
    for division in sorted(divisions):
        for name in _names(divisions[division], path):
            member.setdefault(name, []).append(division)
    kinds = sorted({tuple(member[name]) for name in names if name in member})
    codes = np.array([kinds.index(tuple(member[name])) if name in member else -1 for name in names])
    protocols = {}
    for division in divisions:
        match = PART.fullmatch(division)
        if match is None or match[2] != "train":
            continue
        prefix = f"{match[1]}_" if match[1] else ""
        tests = {f"{prefix}val", f"{prefix}test"}
        train = tuple(code for code, kind in enumerate(kinds) if division in kind)
        test = tuple(code for code, kind in enumerate(kinds) if tests & set(kind))
        protocols[match[1] or OWN] = Split("part", train, test=test)
    return codes, protocols


def _bodies(annotations: Sequence[Mapping[str, Any]], at: int) -> np.ndarray:
    """Returns an annotation as (T, M, V, 3) float32. Raises UserError, KeyError or TypeError if it is broken."""
    one = annotations[at]
    points = np.asarray(one["keypoint"], np.float32).swapaxes(0, 1)  # (T, M, V, C)
    if points.shape[2:] == (25, 3):
        return points
    height, width = one["img_shape"]
    scores = np.asarray(one["keypoint_score"], np.float32).swapaxes(0, 1)[..., None]
    if not height > 0 or not width > 0 or scores.shape[:3] != points.shape[:3]:
        raise UserError(f"an image of {height} x {width}, scores {scores.shape} of points {points.shape}")
    if points.any() and not scores.any():
        raise LeftOut(UNSCORED)
    placed = np.concatenate([points / np.array([width, height], np.float32) - 0.5, scores], axis=-1)
    return np.where(scores > 0, placed, 0)
