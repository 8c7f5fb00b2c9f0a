"""CPU seconds that `skelray report` takes, by the number of cells in the table; with one seed and with several.

python benchmarks/report_cost.py [cells ...]           # the tables as text
python benchmarks/report_cost.py --html [trials ...]   # the page: curves of 300 epochs, scores of 5000 samples of 60 classes
python benchmarks/report_cost.py --sweep [samples ...] # the page of a search, with its figures and then without
"""

from __future__ import annotations

import io
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.distributions import FloatDistribution, distribution_to_json

from skelray.names import HELD_OUT, SEARCH
from skelray.report.text import failures_text, report_text
from skelray.results import tables as results
from skelray.results.schema import COLUMNS
from skelray.skeleton import KINECT_V2
from skelray.store import excerpts
from skelray.store.excerpts import Augmented, Excerpt
from skelray.store.files import Files

CODE = "from skelray.cli.main import main; main()"
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
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"published": float})


def stored_page(trials: int, folder: Path) -> tuple[float, float, int]:
    """CPU seconds of a process that writes the page of so many trials, those that Python's imports take, and its bytes."""
    made = frame(trials, min(5, trials), False).assign(evaluation="knn")
    made["trial"] = [f"{number:016x}" for number in range(len(made))]
    epochs = range(5, 301, 5)
    curves = [
        {"trial": trial, "epoch": epoch, "metric": "loss", "value": 1 / epoch + number, "seconds": 9.0}
        for number, trial in enumerate(made["trial"])
        for epoch in epochs
    ]
    results.write_table("cost", made.to_dict("records"), curves, folder / "results")
    store, rng = Files(folder / "store"), np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 60, 5000))
    for row in made.to_dict("records"):
        scores = rng.normal(size=(5000, 60)).astype(np.float32)
        content = io.BytesIO()
        np.savez(content, scores=scores, labels=labels, rows=np.arange(5000))
        store.write(f"{row['trial']}/300-{0:016x}.npz", content.getvalue())
        told = {"evaluation": "knn", "metrics": {"top1": row["value"]}, "excerpt": "set", "views": f"set-{row['arm']}"}
        store.write_json(f"{row['trial']}/300-{0:016x}.json", told)
    positions = excerpts.stratified_positions(labels)
    moves = rng.integers(-127, 127, (len(positions), 24, 25, 2, 3)).astype(np.int8)
    bones = np.array(KINECT_V2.bones)
    names = np.array([f"class {number}" for number in range(60)]), np.arange(5000).astype(str)
    sides = (np.array([pair[at] for pair in KINECT_V2.mirror]) for at in (0, 1))
    excerpts.write_excerpt(store, "set", Excerpt(*names, labels, np.arange(5000), bones, *sides, positions, moves))
    for arm in dict.fromkeys(made["arm"]):
        excerpts.write_excerpt(
            store, f"set-{arm}", Augmented(np.array(["key", "query 1", "query 2"]), np.stack([moves] * 3))
        )
    command = ["report", "cost", "--html", "--results", str(folder / "results"), "--store", str(folder / "store")]
    took = [_seconds([sys.executable, "-c", CODE, *words]) for words in (command, ["report", "--help"])]
    return took[0], took[1], (folder / "results" / "cost.html").stat().st_size


def sweep_pages(samples: int, folder: Path) -> tuple[float, float, int]:
    """CPU seconds of the first page of a search of so many samples, and of another, and its bytes. Half stop at a rung."""
    rng, space = np.random.default_rng(0), {"lambda_h": (0.05, 5.0), "tau": (0.03, 0.3), "lr": (0.01, 1.0), "m": (0.9, 1.0)}
    told = {name: distribution_to_json(FloatDistribution(*ends, log=name != "m")) for name, ends in space.items()}
    spec, rows, curves = json.dumps({SEARCH: {"distributions": told, "figures": {}}}), [], []
    for number in range(samples):
        params = {name: float(rng.uniform(*ends)) for name, ends in space.items()}
        place = {"trial": f"{number:016x}", "arm": f"sample {number}", "seed": 0, "cell": json.dumps(params), "spec": spec}
        place |= {"study": "sweep", "protocol": "xsub", "stream": "joint", "evaluation": "knn", "metric": HELD_OUT}
        rungs = (25, 75, 300)[: 1 + min(2, int(rng.geometric(0.5)) - 1)]
        for epoch in rungs:
            status = "done" if epoch == 300 or epoch < rungs[-1] else "stopped"
            rows.append({**FACTS, **place, "epoch": epoch, "status": status, "value": float(rng.uniform(0.3, 0.7))})
        for epoch in range(5, rungs[-1] + 1, 5):
            read = {"trial": place["trial"], "epoch": epoch, "seconds": 9.0}
            curves += [{**read, "metric": name, "value": float(rng.random())} for name in ("loss", HELD_OUT)]
    results.write_table("sweep", rows, curves, folder)
    command = [sys.executable, "-c", CODE, "report", "sweep", "--html", "--results", str(folder)]
    return _seconds(command), _seconds(command), (folder / "sweep.html").stat().st_size


def _seconds(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pages(counts: list[int]) -> None:
    for trials in counts:
        with tempfile.TemporaryDirectory() as folder:
            took, start, size = stored_page(trials, Path(folder))
        told = f"{took:.2f} s of CPU ({start:.2f} of them Python's start), {size / 1e6:.1f} MB"
        sys.stdout.write(f"page of {trials} trials: {told}\n")


def searches(counts: list[int]) -> None:
    """A line for each number of samples."""
    for samples in counts:
        with tempfile.TemporaryDirectory() as folder:
            first, again, size = sweep_pages(samples, Path(folder))
        told = f"{first:.2f} s of CPU, {again:.2f} once its figures are there, {size / 1e6:.1f} MB"
        sys.stdout.write(f"page of a search of {samples} samples: {told}\n")


def main() -> None:
    """A line for each number of cells, seeds and shape."""
    counts = [int(word) for word in sys.argv[1:] if not word.startswith("--")]
    if "--sweep" in sys.argv:
        searches(counts or [100, 1000])
        return
    if "--html" in sys.argv:
        pages(counts or [100, 1000])
        return
    report_text(frame(24, 1, False))  # what pandas imports late is not the report's
    for cells in counts or (100, 300, 1000):
        for seeds, each in itertools.product((1, 3), (False, True)):
            made = frame(cells, seeds, each)
            start = time.process_time()
            report_text(made)
            failures_text(made)
            took = time.process_time() - start
            sys.stdout.write(f"{cells:5d} cells, {made['arm'].nunique():4d} arms, {seeds} seeds: {took:6.2f} s of CPU\n")


if __name__ == "__main__":
    main()
