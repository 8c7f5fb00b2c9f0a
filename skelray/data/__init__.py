"""Data: benchmarks, how their raw recordings are prepared, and prepared data sets with their splits."""

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.dataset import SkeletonDataset, Splits, load, open_dataset
from skelray.data.msr_action3d import MSR_ACTION3D
from skelray.data.ntu import NTU60, NTU120
from skelray.data.nwucla import NWUCLA
from skelray.data.prepare import prepare
from skelray.data.preprocess import Preprocessing
from skelray.data.report import Report
from skelray.data.stored import DataError
from skelray.data.synthetic import SYNTHETIC

BENCHMARKS = {benchmark.name: benchmark for benchmark in (NTU60, NTU120, NWUCLA, MSR_ACTION3D, SYNTHETIC)}

__all__ = [
    "BENCHMARKS",
    "MSR_ACTION3D",
    "NTU60",
    "NTU120",
    "NWUCLA",
    "SYNTHETIC",
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
    "prepare",
]
