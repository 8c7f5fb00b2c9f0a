"""What a run does for each trial that ends, beside training it: rows, ledger and tables, in milliseconds.

    python benchmarks/bookkeeping.py --cells 1000 --epochs 10

Cells of a tiny study whose trials are made up: each leaves its encoder's history and the figures of two evaluations in the
store, as a worker does. Measured is the time that the driver spends between the moments at which trials end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from small_study import SCALE, TINY

from skelray import papers
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.evaluation import KNN, Linear
from skelray.identity.canonical import canonical
from skelray.runner.context import Settings
from skelray.runner.run import Run
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm

FACTS = {"files": [], "seconds": 1.0, "started": "2026-01-02T03:04:05+00:00", "device": "cpu", "version": "v", "commit": "c"}


def finish(job, epochs: int) -> None:
    """What a worker leaves in the store, without its weights."""
    history = [[epoch, {"loss": 1.0, "info_nce": 1.0}, 0.1] for epoch in range(1, epochs + 1)]
    job.stored.store.write_json(f"{job.stored.id}/encoder-{job.trial.epochs}.json", history)
    for evaluation in job.trial.evaluations:
        result = {"evaluation": evaluation.name, "metrics": {"top1": 0.5, "top5": 0.9}, **FACTS}
        job.stored.save_scores(job.trial.epochs, canonical(evaluation), {}, result)


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
        base = replace(papers.HICLR, evaluations=(KNN(), Linear(epochs=5)))
        arms = [Arm(f"arm {n}", {"lambda_h": 0.1 + 0.01 * n}) for n in range(max(1, options.cells // 10))]
        study = Ablation(base, arms, seeds=range(10))
        scale = replace(SCALE, seeds=None, epochs=options.epochs, changes=TINY)
        run = Run("bookkeeping", study, scale, Settings(root / "data", str(root / "store"), root / "results", "cpu"))
        clock = time.perf_counter()
        jobs = run.work.jobs
        sys.stdout.write(f"{len(jobs)} cells expanded in {time.perf_counter() - clock:.1f} s\n")
        spent, done, clock = 0.0, 0, time.perf_counter()
        with run.session():
            sys.stdout.write(f"tables read at the start in {time.perf_counter() - clock:.1f} s\n")
            given = run.jobs()
            while True:
                clock = time.perf_counter()
                job = next(given, None)
                spent += time.perf_counter() - clock
                if job is None:
                    break
                finish(job, options.epochs)
                clock = time.perf_counter()
                run.ended(job, "done")
                spent, done = spent + time.perf_counter() - clock, done + 1
            clock = time.perf_counter()
            run.book.write()
            last = time.perf_counter() - clock
        sys.stdout.write(f"{1000 * spent / done:.1f} ms a trial of {done}; the tables at the end {last:.1f} s\n")


if __name__ == "__main__":
    main()
