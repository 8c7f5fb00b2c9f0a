"""What each stopping rule finds, and at how many epochs: searches of lambda_h_asha's kind whose optimum is planted.

Accuracy is a known function of lambda_h, k, similarity and tau that grows clearer with the epochs, and noisy; so a search
takes a second, and how far its best is from the optimum (the regret) is known. Each rule has the same 60 samples; random
search is the same without stopping, over the same points.

    python3 benchmarks/search_regret.py --searches 10
"""

import argparse
import math
from dataclasses import replace
from statistics import fmean

import numpy as np

from skelray import ASHA, SIMILARITIES, TPE, HiCLR, HyperBand, Median, Never, Patience, Percentile, Random, Sweep, papers
from skelray import Threshold as Floor
from skelray.search.search import Search
from skelray.study.scale import Scale
from skelray.testing.memory import MemoryStore

ARRANGEMENT = HiCLR().arrangement
RULES = {
    "no stopping": Never(grace=25),
    "ASHA": ASHA(grace=25, reduction=3),
    "ASHA, promotion": ASHA(grace=25, reduction=3, promotion=True),
    "HyperBand": HyperBand(grace=25, reduction=3, brackets=2),
    "Median": Median(grace=25, startup=5),
    "Percentile 25": Percentile(keep=25, grace=25, startup=5),
    "Threshold 0.35": Floor(least=0.35, grace=25, after=1),
    "Patience 2": Patience(readings=2, gain=0.03, grace=25),  # a gain above the noise of readings, which is 0.01
}


def space(trial):
    method = HiCLR(
        arrangement=ARRANGEMENT[: trial.suggest_int("k", 1, 3)],
        lambda_h=trial.suggest_float("lambda_h", 0.05, 5.0, log=True),
        similarity=SIMILARITIES[trial.suggest_categorical("similarity", list(SIMILARITIES))],
        tau=trial.suggest_float("tau", 0.03, 0.3, log=True),
    )
    return replace(papers.HICLR, method=method, evaluations=())


def height(params):
    """The accuracy at the end: best at lambda_h 0.5, tau 0.1, three branches and the divergence."""
    off = math.log10(params["lambda_h"] / 0.5) ** 2 + 2 * math.log10(params["tau"] / 0.1) ** 2
    return 0.6 * math.exp(-off) - 0.04 * (3 - params["k"]) - 0.03 * (params["similarity"] != "kl")


BEST = 0.6


def reading(params, epoch, seed):
    """Held-out accuracy at an epoch: less, and less certain, the earlier."""
    drawn = np.random.default_rng([seed, epoch, round(1e6 * params["tau"]), round(1e6 * params["lambda_h"])])
    return max(0.0, height(params) * (1 - 0.6 * math.exp(-epoch / 60)) + float(drawn.normal(0, 0.01)))


def searched(rule, sampler, samples):
    """The search, its epochs, and what its best is worth in truth."""
    searching = Search(
        "regret", Sweep(space=space, samples=samples, sampler=sampler, stopping=rule), Scale(), MemoryStore(), "d"
    )
    while (sample := searching.promote() or searching.propose()) is not None:
        _trained(searching, sample, sampler.seed)
    read = [s for s in searching.samples.values() if s.value is not None]
    best = max((s for s in read if s.status == "done"), key=lambda s: s.value, default=max(read, key=lambda s: s.value))
    return sum(s.epochs for s in read), height(best.params)


def _trained(searching, sample, seed):
    for epoch in range(25, 301, 25):
        value = reading(sample.params, epoch, seed)
        verdict = searching.verdict(sample, epoch, value)
        searching.record_reading(sample, epoch, value, verdict, {})
        if verdict != "on":
            return searching.end_sample(sample, {"stop": "stopped", "pause": "paused"}[verdict])
    return searching.end_sample(sample, "done")


def best_decile(points=4000):
    """What the best tenth of the space is worth at least."""
    rng = np.random.default_rng(0)
    drawn = (
        {
            "lambda_h": math.exp(rng.uniform(math.log(0.05), math.log(5.0))),
            "tau": math.exp(rng.uniform(math.log(0.03), math.log(0.3))),
            "k": int(rng.integers(1, 4)),
            "similarity": str(rng.choice(list(SIMILARITIES))),
        }
        for _ in range(points)
    )
    return float(np.quantile([height(point) for point in drawn], 0.9))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--samples", type=int, default=60)
    asked = parser.parse_args()
    decile = best_decile()
    print(
        f"the best decile of the space starts at {100 * decile:.1f} %; {asked.searches} searches of {asked.samples} samples"
    )
    print("| sampler | rule | epochs | of random search | regret, points | in the best decile |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    whole = asked.samples * 300
    for name in ("Random", "TPE"):
        for called, rule in RULES.items():
            found = [
                searched(rule, {"Random": Random, "TPE": TPE}[name](seed=n), asked.samples) for n in range(asked.searches)
            ]
            epochs, regret = fmean(e for e, _ in found), fmean(BEST - value for _, value in found)
            inside = sum(value >= decile for _, value in found)
            print(
                f"| {name} | {called} | {epochs:.0f} | {100 * epochs / whole:.0f} % | {100 * regret:.1f} "
                f"| {inside} of {asked.searches} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
