"""Data: benchmarks, the preparation of their raw recordings, and prepared data sets with their splits."""

from skelray.data.benchmark import Benchmark, Recording, Skipped, Split
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.dataset import SkeletonDataset, Splits, load_splits, open_dataset
from skelray.data.formats.florence3d import FLORENCE3D
from skelray.data.formats.kinetics import KINETICS
from skelray.data.formats.msr_action3d import MSR_ACTION3D
from skelray.data.formats.ntu import NTU60, NTU120
from skelray.data.formats.nwucla import NWUCLA
from skelray.data.formats.pku_mmd import PKU_MMD1, PKU_MMD2
from skelray.data.formats.utkinect import UTKINECT
from skelray.data.own.table import open_table
from skelray.data.preparation.prepare import prepare
from skelray.data.preprocess import Preprocessing
from skelray.data.report import PreparationReport
from skelray.data.stored import DataError
from skelray.data.synthetic.benchmark import SYNTHETIC

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
    "PreparationReport",
    "Preprocessing",
    "Recording",
    "SkeletonDataset",
    "Skipped",
    "Split",
    "Splits",
    "load_splits",
    "open_dataset",
    "open_table",
    "prepare",
]
