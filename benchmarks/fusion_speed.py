"""How many points of fusion weights a search judges in a second of one CPU core: python benchmarks/fusion_speed.py

At the size of NTU60: held-out scores are made up, 8 000 samples x 60 classes x 3 streams, with top-1 near those of the
papers' streams; beside it the plain way, a weighted sum and an argmax of all scores for each point.
"""

import argparse
import resource
import sys
import time

import numpy as np

from skelray.ensemble import Ensemble
from skelray.evaluation import Linear
from skelray.papers import HICLR, HICLR_FUSION
from skelray.search.fusion_weights import HeldOutScores, search_weights
from skelray.study.fusion import Fusion

STREAMS = ("joint", "bone", "motion")


def made_up(samples: int, classes: int) -> dict[str, dict[str, np.ndarray]]:
    """Logits that know the label about as well as the papers' streams; what is hard for one is harder for the others."""
    rng = np.random.default_rng(0)
    labels, hard = rng.integers(0, classes, samples), rng.normal(size=samples)
    found = {}
    for stream, skill in (("joint", 5.0), ("bone", 4.7), ("motion", 4.4)):
        logits = rng.normal(0, 1.2, (samples, classes))
        logits[np.arange(samples), labels] += skill + 1.5 * hard
        found[stream] = {"scores": logits.astype(np.float32), "labels": labels, "rows": np.arange(samples)}
    return found


def space(trial):
    return {stream: round(trial.suggest_float(stream, 0.0, 1.0), 2) for stream in STREAMS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--classes", type=int, default=60)
    parser.add_argument("--points", type=int, default=10_000)
    given = parser.parse_args()
    streams = made_up(given.samples, given.classes)
    write = sys.stdout.write
    for stream, arrays in streams.items():
        write(f"{stream}: top-1 {(arrays['scores'].argmax(1) == arrays['labels']).mean():.3f}\n")
    started = time.process_time()
    held_out = HeldOutScores(streams)
    arranged = time.process_time() - started
    write(f"arranged in {arranged:.2f} s: {held_out.leads.shape[1]} pairs of {given.samples * (given.classes - 1)}\n")
    points = np.random.default_rng(1).random((2000, 3)).round(2)
    started = time.process_time()
    fast = held_out.top1(points)
    write(f"judging alone: {len(points) / (time.process_time() - started):.0f} points/s\n")
    started, stacked = time.process_time(), np.stack([a["scores"] for a in streams.values()])
    labels = streams["joint"]["labels"]
    plain = [(np.tensordot(p.astype(np.float32), stacked, 1).argmax(1) == labels).mean() for p in points[:100]]
    write(f"the plain way: {100 / (time.process_time() - started):.0f} points/s, ")
    write(f"{sum(abs(a - b) > 1e-12 for a, b in zip(fast[:100], plain, strict=True))} of 100 values differ\n")
    fusion = Fusion(HICLR, space, HICLR_FUSION.weights, evaluation=Linear(), samples=given.points)
    started = time.process_time()
    weights, value = search_weights(fusion, streams)
    seconds = time.process_time() - started
    write(f"a search with Optuna: {given.points} points in {seconds:.1f} s, {given.points / seconds:.0f} points/s\n")
    write(f"chosen {Ensemble(weights)}: {value:.4f}; published: {held_out.top1(np.array([[0.6, 0.6, 0.4]]))[0]:.4f}\n")
    write(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB\n")


if __name__ == "__main__":
    main()
