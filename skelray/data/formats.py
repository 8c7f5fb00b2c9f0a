"""Which format a source is in, told by the names of its files, and by a look into one where names do not decide.

A new format is one entry of FORMATS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skelray.data import florence3d, kinetics, msr_action3d, npy, npz, ntu, nwucla, pku_mmd, pyskl, utkinect
from skelray.data.arrays import Arrays, benchmark
from skelray.data.benchmark import Benchmark
from skelray.data.sources import LooseFile, PackedFile, head, listing
from skelray.data.stored import DataError

File = LooseFile | PackedFile


@dataclass(frozen=True)
class Format:
    """One way in which recordings lie on disk.

    name: what ``--format`` calls it. example: the name of a file. pattern: of the names of its files.
    benchmarks: those it may hold. choose: one of them, from the names found.
    opener: of arrays, which hold whatever they say. looks: whether a file that has such a name is one, where it may not be.
    """

    name: str
    example: str
    pattern: re.Pattern[str]
    benchmarks: tuple[Benchmark, ...] = ()
    choose: Callable[[Sequence[re.Match[str]]], Benchmark] | None = None
    opener: Callable[[Path], Arrays] | None = None
    looks: Callable[[File], bool] | None = None

    def open(self, source: Path, found: Sequence[re.Match[str]], wanted: Benchmark | None) -> Benchmark:
        """The benchmark that a source in this format holds. Raises DataError where it is not what is wanted."""
        if self.opener is not None:
            return replace(benchmark(self.opener(source), wanted, (ntu.NTU60, ntu.NTU120)), arrays=self.name)
        if wanted is None:
            return self.choose(found) if self.choose is not None else self.benchmarks[0]
        if wanted not in self.benchmarks:
            held = " or ".join(one.name for one in self.benchmarks)
            raise DataError(f"{source} is in the format {self.name}, which holds {held} and not {wanted.name}")
        return wanted


FLORENCE = re.compile(f"{florence3d.TEXT.pattern}|{florence3d.MAT.pattern}", re.IGNORECASE)

FORMATS = (
    Format("ntu", "S001C001P001R001A001.skeleton", ntu.NAME, (ntu.NTU60, ntu.NTU120), ntu.likely),
    Format("pku_mmd1", "0002-L.txt", pku_mmd.NAMES[1], (pku_mmd.PKU_MMD1,)),
    Format("pku_mmd2", "A01N01-L.txt", pku_mmd.NAMES[2], (pku_mmd.PKU_MMD2,)),
    Format("nwucla", "a01_s01_e00_v01.json", nwucla.NAME, (nwucla.NWUCLA,)),
    Format("msr_action3d", "a01_s01_e01_skeleton3D.txt", msr_action3d.NAME, (msr_action3d.MSR_ACTION3D,)),
    Format("utkinect", "joints_s01_e01.txt", utkinect.NAME, (utkinect.UTKINECT,)),
    Format("florence3d", "Florence_dataset_WorldCoordinates.txt", FLORENCE, (florence3d.FLORENCE3D,)),
    Format(
        *("kinetics", "kinetics_train/-2iD_qqX8rk.json", kinetics.NAME, (kinetics.KINETICS,)),
        looks=lambda file: b'"frame_index"' in head(file) or b'"data"' in head(file),
    ),
    Format("position", "train_position.npy", npy.POSITION, opener=npy.open_position),
    Format("data", "train_data.npy", npy.DATA, opener=npy.open_data),
    Format("data_joint", "train_data_joint.npy", npy.DATA_JOINT, opener=npy.open_data_joint),
    Format(
        *("npz", "NTU60_CS.npz", npz.NAME),
        opener=npz.open_npz,
        looks=lambda file: isinstance(file, PackedFile) or npz.holds_them(Path(file.path)),
    ),
    Format("pyskl", "ntu60_3danno.pkl", pyskl.NAME, opener=pyskl.open_pickle),
)


def detect(source: Path, wanted: Benchmark | None = None, name: str | None = None) -> Benchmark:
    """The benchmark that a source holds.

    wanted, name: the benchmark and the format, where the user says which. Raises DataError where nothing or more than
    one thing fits.
    """
    if not source.exists():
        raise DataError(f"there is no {source}: name the folder or file that holds the recordings")
    candidates = [one for one in FORMATS if name in (None, one.name) and _may_hold(one, wanted)]
    found = _found(source, candidates, told=name is not None)
    if not found:
        if wanted is not None and name is None:
            wanted.recordings(source)  # says what it misses
        known = ", ".join(f"{one.name} ({one.example})" for one in candidates or FORMATS)
        raise DataError(f"{source} holds no files of a known format: known are {known}")
    if len(found) > 1:
        fits = ", ".join(f"{one.name} ({len(matches)} files)" for one, matches, _ in found)
        raise DataError(f"{source} holds files of several formats, {fits}: choose one by --format, or give a narrower path")
    ((one, matches, packed),) = found
    if packed and one.opener is not None:
        raise DataError(f"{source} holds {one.example} or the like in a zip; arrays are mapped from disk: unpack it first")
    return one.open(source, matches, wanted)


def _may_hold(one: Format, wanted: Benchmark | None) -> bool:
    return wanted is None or one.opener is not None or wanted in one.benchmarks


def _found(source: Path, candidates: Sequence[Format], told: bool) -> list[tuple[Format, list[re.Match[str]], bool]]:
    """The formats that fit, with the names that match and whether the first of their files lies in a zip.

    Where names do not decide, all files are looked into until one fits, but for those whose names say what else they are.
    told: the user says which format it is, and nothing is looked into.
    """
    matches: list[list[re.Match[str]]] = [[] for _ in candidates]
    files: list[list[File]] = [[] for _ in candidates]
    for path, file in listing(source):
        name = path.rsplit("/", 1)[-1]
        fits = {number: match for number, one in enumerate(candidates) if (match := one.pattern.fullmatch(name))}
        certain = {number for number in fits if candidates[number].looks is None}
        for number in certain or fits:
            matches[number].append(fits[number])
            files[number].append(file)
    found = []
    for one, names, held in zip(candidates, matches, files, strict=True):
        first = next((file for file in held if told or one.looks is None or one.looks(file)), None)
        if first is not None:
            found.append((one, names, isinstance(first, PackedFile)))
    return found
