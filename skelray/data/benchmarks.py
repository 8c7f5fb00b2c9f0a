"""All benchmarks that can be prepared by name."""

from __future__ import annotations

from skelray.data.formats.florence3d import FLORENCE3D
from skelray.data.formats.kinetics import KINETICS
from skelray.data.formats.msr_action3d import MSR_ACTION3D
from skelray.data.formats.ntu import NTU60, NTU120
from skelray.data.formats.nwucla import NWUCLA
from skelray.data.formats.pku_mmd import PKU_MMD1, PKU_MMD2
from skelray.data.formats.utkinect import UTKINECT
from skelray.data.synthetic.benchmark import SYNTHETIC

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        *(NTU60, NTU120, PKU_MMD1, PKU_MMD2, NWUCLA, MSR_ACTION3D, UTKINECT, FLORENCE3D, KINETICS),
        SYNTHETIC,
    )
}
