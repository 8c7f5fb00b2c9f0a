"""Data: benchmarks, how their raw recordings are prepared, and prepared data sets with their splits."""

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.dataset import SkeletonDataset, Splits, load, open_dataset
from skelray.data.florence3d import FLORENCE3D
from skelray.data.kinetics import KINETICS
from skelray.data.msr_action3d import MSR_ACTION3D
from skelray.data.ntu import NTU60, NTU120
from skelray.data.nwucla import NWUCLA
from skelray.data.pku_mmd import PKU_MMD1, PKU_MMD2
from skelray.data.prepare import prepare
from skelray.data.preprocess import Preprocessing
from skelray.data.report import Report
from skelray.data.stored import DataError
from skelray.data.synthetic import SYNTHETIC
from skelray.data.table import open_table
from skelray.data.utkinect import UTKINECT

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        *(NTU60, NTU120, PKU_MMD1, PKU_MMD2, NWUCLA, MSR_ACTION3D, UTKINECT, FLORENCE3D, KINETICS),
        SYNTHETIC,
    )
}

__all__ = [
    "BENCHMARKS",
    "FLORENCE3D",
    "KINETICS",
    "MSR_ACTION3D",
    "NTU60",
    "NTU120",
    "NWUCLA",
    "PKU_MMD1",
    "PKU_MMD2",
    "SYNTHETIC",
    "UTKINECT",
    "Benchmark",
    "DataError",
    "Preprocessing",
    "Recording",
    "Report",
    "SkeletonDataset",
    "Skipped",
    "Split",
    "Splits",
    "load",
    "open_dataset",
    "open_table",
    "prepare",
]
