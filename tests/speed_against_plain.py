"""Speed and memory of a training step beside the channels-first layout of the released code, on this machine, in one run.

    python tests/speed_against_plain.py --method hiclr --threads 2

The plain side is PlainSTGCN in a plain step: concatenated logits, per-parameter momentum update, torch's own allocator
settings, dropout and batch norm; its views are ready-made, so augmentation costs it nothing. Each side runs in a process
of its own, in turn, so that neither warms memory for the other.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

QUEUE, DIM, TAU = 32768, 128, 0.07
BRANCHES = {"skeletonclr": 1, "crossclr": 1, "aimclr": 2, "hiclr": 3}  # forward passes of the query encoder
STREAMS = {"crossclr": 3}


def plain(method, threads, batch, steps):
    """(samples per second, peak MiB) of the plain side."""
    import torch
    from plain_stgcn import PlainSTGCN
    from torch.nn import functional as F

    from skelray.backbones.graph import spatial_partition
    from skelray.skeleton import KINECT_V2

    torch.set_num_threads(threads)
    streams, branches = STREAMS.get(method, 1), BRANCHES[method]
    pairs = [[PlainSTGCN(spatial_partition(KINECT_V2)).train() for _ in range(2)] for _ in range(streams)]
    queues = [F.normalize(torch.randn(DIM, QUEUE), dim=0) for _ in range(streams)]
    trained = [p for query, _ in pairs for p in query.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=1e-4, foreach=False)
    views = [torch.randn(batch, 3, 50, 25, 2) for _ in range(branches + 1)]
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        loss = 0
        for (query, key), queue in zip(pairs, queues, strict=True):
            maps = [query.maps(view) for view in views[:branches]]
            if method == "aimclr":
                maps.append(eadm(maps[1]))
            z = [F.normalize(query.fc(query.pool(m, batch)), dim=1) for m in maps]
            with torch.no_grad():
                for k, q in zip(key.parameters(), query.parameters(), strict=True):
                    k.data = k.data * 0.999 + q.data * 0.001
                keys = F.normalize(key(views[-1]), dim=1)
            logits = [torch.cat([(q * keys).sum(1, keepdim=True), q @ queue], dim=1) / TAU for q in z]
            loss = loss + F.cross_entropy(logits[0], torch.zeros(batch, dtype=torch.long))
            weaker = logits[:-1] if method == "hiclr" else [logits[0]] * (len(logits) - 1)
            for weak, strong in zip(weaker, logits[1:], strict=True):
                loss = loss - 0.5 * (weak.softmax(1).detach() * strong.softmax(1).log()).sum(1).mean()
            queue[:, :batch] = keys.T
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return batch / statistics.median(seconds[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def eadm(maps):
    """AimCLR's drop of joints and elements, written out; maps: (N M, C, T, V)."""
    mean = maps.mean(dim=(2, 3), keepdim=True)
    squares = (maps - mean).pow(2)
    var = squares.sum(dim=(2, 3), keepdim=True) / (maps.shape[2] * maps.shape[3] - 1)
    attention = (squares / (4 * (var + 1e-4)) + 0.5).sigmoid().detach()
    joints = (attention.mean(dim=(1, 2)) < 0.7).float()[:, None, None]
    maps = maps * joints * (joints.numel() / joints.sum())
    elements = (attention < 0.7).float()
    return maps * elements * (elements.numel() / elements.sum())


def ours(method, threads, batch, steps):
    """(samples per second, peak MiB) of skelray, augmentation included."""
    import torch

    from skelray import bench, machine

    machine.settle(threads)
    measured = bench.measure(bench.METHODS[method], torch.device("cpu"), steps, peak=1.0)
    return measured.samples_per_second, measured.peak_memory


def apart(side, *arguments):
    """A side in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(side, *arguments).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=list(BRANCHES), default="hiclr")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    settings = (options.method, options.threads, options.batch, options.steps)
    (before, before_memory), (after, after_memory) = apart(plain, *settings), apart(ours, *settings)
    print(f"{options.method}, batch {options.batch}, {options.threads} threads")
    print(f"plain layout  {before:6.1f} samples/s, peak {before_memory:6.0f} MiB")
    print(f"skelray       {after:6.1f} samples/s, peak {after_memory:6.0f} MiB")
    print(f"ratio         {after / before:6.2f}              {after_memory / before_memory:6.2f}")


if __name__ == "__main__":
    main()
