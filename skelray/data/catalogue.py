"""The formats that can be read: the file names that identify them, and how each is opened.

A new format is one entry of FORMATS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skelray.data.benchmark import Benchmark
from skelray.data.formats import florence3d, kinetics, msr_action3d, npy, npz, ntu, nwucla, pku_mmd, pyskl, utkinect
from skelray.data.formats.arrays import Arrays, benchmark
from skelray.data.formats.sources import File
from skelray.data.stored import DataError


@dataclass(frozen=True)
class Format:
    """One way in which recordings lie on disk.

    name: of ``--format``. example: the name of a file. pattern: of the names of its files.
    benchmarks: those it may hold. choose: picks one of them, from the names found or from the source.
    opener: of arrays, which may hold any of them. looks: whether a file of such a name is in the format, if that may fail.
    near: pattern of names that may be misspelt ones. counts: reading reports which of its files are of another kind.
    """

    name: str
    example: str
    pattern: re.Pattern[str]
    benchmarks: tuple[Benchmark, ...] = ()
    choose: Callable[[Path, Sequence[re.Match[str]]], Benchmark] | None = None
    opener: Callable[[Path], Arrays] | None = None
    looks: Callable[[str, File], bool] | None = None
    near: re.Pattern[str] | None = None
    counts: bool = False

    def open(self, source: Path, found: Sequence[re.Match[str]], wanted: Benchmark | None) -> Benchmark:
        """Returns the benchmark that a source in this format holds. Raises DataError unless it is ``wanted``."""
        if self.opener is not None:
            return replace(benchmark(self.opener(source), wanted, (ntu.NTU60, ntu.NTU120)), arrays=self.name)
        if wanted is None:
            return self.choose(source, found) if self.choose is not None else self.benchmarks[0]
        if wanted not in self.benchmarks:
            held = " or ".join(one.name for one in self.benchmarks)
            raise DataError(f"{source} is in the format {self.name}, which holds {held} and not {wanted.name}")
        return wanted


def near(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern of names, ignoring case."""
    return re.compile(pattern, re.IGNORECASE)


FORMATS = (
    Format(
        *("ntu", "S001C001P001R001A001.skeleton", ntu.NAME, (ntu.NTU60, ntu.NTU120)),
        choose=lambda source, found: ntu.likely_benchmark(found),
        near=near(r".*\.skeleton.*|.*S\d+C\d+P\d+R\d+A\d+[^.]*(\.(txt|csv|json|skel.*))?"),
    ),
    Format("pku_mmd1", "0002-L.txt", pku_mmd.NAMES[1], (pku_mmd.PKU_MMD1,)),
    Format("pku_mmd2", "A01N01-L.txt", pku_mmd.NAMES[2], (pku_mmd.PKU_MMD2,), near=near(r"A\d+N\d+.*\.txt.*")),
    Format(
        *("nwucla", "a01_s01_e00_v01.json", nwucla.NAME, (nwucla.NWUCLA,)),
        near=near(r".*a\d+_?s\d+_?e\d+_?v\d+.*\.(json|txt).*"),
    ),
    Format(
        *("msr_action3d", "a01_s01_e01_skeleton3D.txt", msr_action3d.NAME, (msr_action3d.MSR_ACTION3D,)),
        near=near(r".*a\d+_?s\d+_?e\d+(_skeleton.*|_?real.*)?\.txt.*"),
    ),
    Format(
        *("utkinect", "joints_s01_e01.txt", utkinect.NAME, (utkinect.UTKINECT,)),
        near=near(r"joints?[_-]?s\d+_?e\d+.*"),
    ),
    Format(
        *("florence3d", "Florence_dataset_WorldCoordinates.txt", florence3d.NAME, (florence3d.FLORENCE3D,)),
        looks=florence3d.holds_clips,
        near=near(r".*florence.*\.(txt|csv)"),
    ),
    Format(
        *("kinetics", "kinetics_train/-2iD_qqX8rk.json", kinetics.NAME, (kinetics.KINETICS,)),
        choose=lambda source, found: kinetics.benchmark_of(source),
        looks=kinetics.holds_clip,
        counts=True,
    ),
    Format("position", "train_position.npy", npy.POSITION, opener=npy.open_position, looks=npy.holds_sequences),
    Format("data", "train_data.npy", npy.DATA, opener=npy.open_data, looks=npy.holds_sequences),
    Format("data_joint", "train_data_joint.npy", npy.DATA_JOINT, opener=npy.open_data_joint, looks=npy.holds_sequences),
    Format("npz", "NTU60_CS.npz", npz.NAME, opener=npz.open_npz, looks=npz.holds_them),
    Format("pyskl", "ntu60_3danno.pkl", pyskl.NAME, opener=pyskl.open_pickle, looks=pyskl.holds_annotations),
)
ARCHIVE = near(r".*\.(tar|tgz|tbz2?|txz|(tar\.)?(gz|bz2|xz|zst|lz4?)|7z|rar|zip|zipx|tar\.\w+)")
