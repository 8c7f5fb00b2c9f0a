"""What a cell costs by how many there are: CPU seconds of each, and the memory of the process, inline or on Ray.

    python benchmarks/many_cells.py --cells 1000
    python benchmarks/many_cells.py --cells 200 --ray

Cells of a tiny encoder that is not trained, evaluated by its nearest neighbours: what is left is the run's own work. Printed
are, for each tenth of the cells, CPU seconds of the driver a cell and its resident memory; on Ray also the memory of its
workers, each of which is used for one trial after another.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from argparse import ArgumentParser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from small_study import TINY

from skelray import papers
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.evaluation import KNN
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.job import Job, Listener
from skelray.runner.run import Run
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.scale import Scale


class Tenths(Listener):
    """Says after each tenth of the cells what one of it took, and how large the processes are."""

    def __init__(self, cells: int) -> None:
        self.each, self.ended_cells, self.failed, self.since = max(1, cells // 10), 0, 0, time.process_time()

    def ended(self, job: Job, status: str) -> None:
        self.ended_cells += 1
        self.failed += status != "done"
        if self.ended_cells % self.each:
            return
        now = time.process_time()
        each = (now - self.since) / self.each
        line = f"{self.ended_cells:5} cells  {each:.3f} CPU s a cell  driver {mib(os.getpid()):.0f} MiB"
        line += "".join(f"  worker {process} {mib(process):.0f} MiB" for process in workers())
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        self.since = time.process_time()


def mib(process: int) -> float:
    """The resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def workers() -> list[int]:
    """Ray's actors that run trials, on this machine."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if place.read_bytes().startswith(b"ray::ImplicitFunc") or b"ray::StudyTrainable" in place.read_bytes():
                found.append(int(place.parent.name))
    return sorted(found)


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--ray", action="store_true", help="On a cluster of its own, with two slots.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
        base = replace(papers.HICLR, epochs=0, evaluations=(KNN(),))
        arms = [Arm(f"arm {n}", {"lambda_h": 0.1 + 0.01 * n}) for n in range(max(1, options.cells // 10))]
        scale = Scale(benchmark="synthetic", protocols=("xview",), changes=TINY)
        settings = Settings(root / "data", str(root / "store"), root / "results", "cpu")
        run = Run("many", Ablation(base, arms, seeds=range(10)), scale, settings)
        heard = Tenths(options.cells)
        if options.ray:
            from skelray.runner.cluster import Cluster
            from skelray.runner.on_ray import run_on_ray

            run_on_ray(run, None, heard, Cluster(cpus=2))
        else:
            run_inline(run, heard)
        sys.stdout.write(f"{heard.ended_cells} cells, {heard.failed} failed\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
