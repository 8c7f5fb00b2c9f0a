"""CPU seconds that planning takes, for each study file given, on data of the shape that the study asks for.

The sequences are generated; their number does not matter to a plan. One thread, no store, nothing kept from before.

    python benchmarks/plan_cost.py studies/*.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.evaluation import Transfer
from skelray.methods import HiCo
from skelray.runner.context import Settings
from skelray.runner.kinds import trials_of
from skelray.runner.plan import make_plan
from skelray.runner.run import Run
from skelray.runner.study_file import load_study

_GENERATED = synthetic(subjects=2, replications=1)
SMALL = replace(_GENERATED, protocols={**_GENERATED.protocols, "xset": _GENERATED.protocols["xsub"]})  # as NTU120 has it


def main() -> None:
    """A line for each study."""
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, sys.argv[1:]):
            name, study, _ = load_study(path)
            trials = trials_of(study)
            long = isinstance(trials[0].method, HiCo)
            data = Path(folder, "rigid" if long else "centred")
            named = {trial.benchmark for trial in trials}
            named |= {e.benchmark for trial in trials for e in trial.evaluations if isinstance(e, Transfer)}
            for benchmark in named:
                shape = Preprocessing("rigid", 300) if long else Preprocessing("centred", 50)
                prepare(replace(SMALL, name=benchmark), None, data, shape)
            run = Run(name, study, None, Settings(data, str(Path(folder, "store")), Path(folder, "results"), "cpu"))
            start = time.process_time()
            made = make_plan(run)
            took = time.process_time() - start
            sys.stdout.write(f"{name:24s} {len(made.rows):4d} trials  {took:6.2f} s of CPU\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
