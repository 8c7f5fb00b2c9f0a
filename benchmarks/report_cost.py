"""CPU seconds that `skelray report` takes, by the number of cells in the table; with one seed and with several.

python benchmarks/report_cost.py [cells ...]
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from datetime import UTC, datetime

import pandas as pd

from skelray.report.text import failures, text
from skelray.results import tables as results

FACTS = {
    "study": "cost",
    "benchmark": "ntu60",
    "backbone": "stgcn",
    "method": "hiclr",
    "evaluation": "linear",
    "metric": "top1",
    "published": None,
    "epochs": 300,
    "epoch": 300,
    "status": "done",
    "error": "",
    "seconds": 1.0,
    "started": datetime(2026, 1, 1, tzinfo=UTC),
    "device": "cpu",
    "version": "1",
    "commit": "c",
    "data": "d",
    "spec": "{}",
    "target": None,
    "target_protocol": None,
}


def frame(cells: int, seeds: int, each: bool) -> pd.DataFrame:
    """Arms across protocol, stream and two values of a field, each under every seed; each: or an arm for every point."""
    rows = []
    points = [(p, s, k) for p in ("xsub", "xview") for s in ("joint", "bone", "motion") for k in (1, 2)]
    points = points[: 1 if each else len(points)]
    for number in range(cells // seeds):
        protocol, stream, k = points[number % len(points)]
        for seed in range(seeds):
            place = {"arm": f"arm {number // len(points)}", "protocol": protocol, "stream": stream, "seed": seed}
            place["cell"] = json.dumps({"protocol": protocol, "stream": stream, "tau": k})
            rows.append({**FACTS, **place, "trial": f"{number}-{seed}", "value": (number * 7 + seed * 3) % 100 / 100})
    return pd.DataFrame(rows, columns=list(results.COLUMNS)).astype({"published": float})


def main() -> None:
    """A line for each number of cells, seeds and shape."""
    text(frame(24, 1, False))  # what pandas imports late is not the report's
    for cells in map(int, sys.argv[1:] or ("100", "300", "1000")):
        for seeds, each in itertools.product((1, 3), (False, True)):
            made = frame(cells, seeds, each)
            start = time.process_time()
            text(made)
            failures(made)
            took = time.process_time() - start
            sys.stdout.write(f"{cells:5d} cells, {made['arm'].nunique():4d} arms, {seeds} seeds: {took:6.2f} s of CPU\n")


if __name__ == "__main__":
    main()
