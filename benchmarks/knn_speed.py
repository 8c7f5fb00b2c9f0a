"""Time and peak memory of neighbours and of mean average precision over features of NTU60's size, on this machine.

    python benchmarks/knn_speed.py --threads 2

40 091 training and 16 487 test features of 256 numbers. Each figure is of a process of its own; scikit-learn's is for
comparison, with as many threads.
"""

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

GALLERY, QUERIES, DIM, CLASSES = 40_091, 16_487, 256, 60


def measured(what, threads):
    """(seconds, MiB that it takes beyond the features)."""
    import torch
    from threadpoolctl import threadpool_limits

    from skelray.evaluation.knn import knn_scores
    from skelray.evaluation.retrieval import average_precision

    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, DIM, generator=generator)
    labels, own = (torch.randint(CLASSES, (n,), generator=generator) for n in (GALLERY, QUERIES))
    gallery, queries = (centres[of] + 2 * torch.randn(len(of), DIM, generator=generator) for of in (labels, own))
    torch.ones(64, 64) @ torch.ones(64, 64)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if what == "mean average precision":
        average_precision(queries, gallery, own, labels)
    elif what.startswith("scikit-learn"):
        from sklearn.neighbors import KNeighborsClassifier

        with threadpool_limits(threads):
            metric = what.split()[-1]
            KNeighborsClassifier(1, metric=metric, algorithm="brute").fit(gallery, labels).predict(queries)
    else:
        _, metric, k = what.split()
        knn_scores(queries, gallery, labels, CLASSES, int(k), None if k == "1" else 0.1, metric)
    seconds = time.perf_counter() - started
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    whats = [f"knn {metric} {k}" for metric in ("cosine", "euclidean") for k in (1, 200)]
    whats += ["mean average precision", "scikit-learn cosine", "scikit-learn euclidean"]
    print(f"{GALLERY} x {QUERIES} x {DIM}, {threads} threads; the features are {(GALLERY + QUERIES) * DIM / 2**18:.0f} MiB")
    for what in whats:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds, peak = pool.submit(measured, what, threads).result()
        print(f"{what:24} {seconds:7.1f} s {peak:7.0f} MiB")


if __name__ == "__main__":
    main()
