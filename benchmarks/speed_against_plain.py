"""Speed and memory of a training step beside the layout of the released code, on this machine, in one run.

    python benchmarks/speed_against_plain.py --method hiclr --threads 2 --precision float32 bfloat16

The plain side is an encoder in the released operations and memory layout (plain_stgcn.py, plain_dsta.py,
plain_hierarchical.py) in a plain step: single precision, concatenated logits, per-parameter momentum update, torch's own
allocator settings, dropout and batch norm; its views are ready-made, so augmentation costs it nothing. Each side has a
process of its own, so that neither warms memory for the other, and they take a step each in turn, so that a machine whose
speed swings slows both. The ratio is the median over the rounds, beside the lowest and the highest. The machine has to hold
all sides at once.
"""

import argparse
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from skelray import machine
from skelray.backbones.graph import spatial_partition
from skelray.bench import bench
from skelray.skeleton import KINECT_V2

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "oracles"))  # where the plain encoders are
from plain_dsta import PlainDSTA
from plain_hierarchical import PlainHiCo
from plain_stgcn import PlainSTGCN

QUEUE, DIM = 32768, 128
# Forward passes of the query encoder, where a method is a MoCo on ST-GCN or DSTA-Net.
BRANCHES = {"skeletonclr": 1, "crossclr": 1, "aimclr": 2, "hiclr": 3, "hiclr_dsta": 3}
STREAMS = {"crossclr": 3}
HICO = {"hico_gru": "gru", "hico_lstm": "lstm", "hico_transformer": "transformer"}
HICO_QUEUES = {"clip": 8192, "part": 8192, "temporal": 2048, "spatial": 2048, "instance": 2048}


def moco(method, batch, device):
    """(query and key encoders, a function to the loss) of a method on ST-GCN or DSTA-Net."""

    def encoder():
        if method != "hiclr_dsta":
            return PlainSTGCN(spatial_partition(KINECT_V2))
        head = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, DIM))
        return nn.Sequential(PlainDSTA(), head)

    def embed(query, view):
        """Of the view and, for AimCLR, of the same features after its drop."""
        if method != "aimclr":
            return [query(view)]
        maps = query.maps(view)
        return [query.fc(query.pool(m, batch)) for m in (maps, eadm(maps))]

    pairs = [[encoder().to(device).train() for _ in range(2)] for _ in range(STREAMS.get(method, 1))]
    queues = [F.normalize(torch.randn(DIM, QUEUE, device=device), dim=0) for _ in pairs]
    views = [torch.randn(batch, 3, 50, 25, 2, device=device) for _ in range(BRANCHES[method] + 1)]

    def loss():
        total = 0
        for (query, key), queue in zip(pairs, queues, strict=True):
            z = [query(views[0])] + [z for view in views[1:-1] for z in embed(query, view)]
            z = [F.normalize(one, dim=1) for one in z]
            with torch.no_grad():
                momentum(key, query)
                keys = F.normalize(key(views[-1]), dim=1)
            logits = [torch.cat([(q * keys).sum(1, keepdim=True), q @ queue.clone()], dim=1) / 0.07 for q in z]
            total = total + F.cross_entropy(logits[0], torch.zeros(batch, dtype=torch.long, device=device))
            weaker = logits[:-1] if method.startswith("hiclr") else [logits[0]] * (len(logits) - 1)
            for weak, strong in zip(weaker, logits[1:], strict=True):
                total = total - 0.5 * (weak.softmax(1).detach() * strong.softmax(1).log()).sum(1).mean()
            queue[:, :batch] = keys.T
        return total

    return [query for query, _ in pairs], loss


def hico(method, batch, device):
    """(query encoder, a function to the loss) of HiCo."""
    query, key = (PlainHiCo(HICO[method]).to(device).train() for _ in range(2))
    queues = {name: F.normalize(torch.randn(DIM, size, device=device), dim=0) for name, size in HICO_QUEUES.items()}
    views = [torch.randn(batch, 3, 64, 25, 2, device=device) for _ in range(2)]

    def loss():
        with torch.no_grad():
            momentum(key, query)
            keys = key(views[1])
        total = 0
        for name, z in query(views[0]).items():
            other = {"temporal": "spatial", "spatial": "temporal"}.get(name, name)
            positive = torch.einsum("nd,ngd->ng", z[:, 0], keys[other]) / 0.2
            logits = torch.cat([positive, z[:, 0] @ queues[other].clone() / 0.2], dim=1)
            total = total - (positive.exp().sum(1) / logits.exp().sum(1)).log().mean()
        for name, queue in queues.items():
            flat = keys[name].flatten(0, 1)
            queue[:, : len(flat)] = flat.T
        return total

    return [query], loss


def momentum(key, query):
    for k, q in zip(key.parameters(), query.parameters(), strict=True):
        k.data = k.data * 0.999 + q.data * 0.001


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


def plain_step(method, device, batch):
    """A function that makes a plain step."""
    queries, loss = (hico if method in HICO else moco)(method, batch, device)
    trained = [p for query in queries for p in query.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=False)

    def step():
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def plain(method, device, batch):
    """A function that makes a plain step and gives its seconds."""
    step = plain_step(method, device, batch)
    return lambda: bench.measure_seconds(step, torch.device(device))


def ours(method, device, batch, precision):
    """A function that makes a step of skelray and gives its seconds, augmentation included."""
    trial = replace(bench.METHODS[method], batch_size=batch, precision=precision)
    steps = bench.training_steps(trial, torch.device(device))
    return lambda: sum(next(steps))


class Side:
    """What makes a step, in a process of its own that waits while another side takes its turn."""

    def __init__(self, make, threads, device, *arguments):
        self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.device = device
        self.pool.submit(_prepare, make, threads, arguments).result()

    def step(self):
        """Seconds it took."""
        return self.pool.submit(_step).result()

    def memory(self):
        """Peak MiB."""
        return self.pool.submit(_memory, self.device).result()


def _prepare(make, threads, arguments):
    if make is plain:
        torch.set_num_threads(threads)
    else:
        machine.configure_process(threads)
    _prepare.step = make(*arguments)


def _step():
    return _prepare.step()


def _memory(device):
    return bench.peak_mebibytes(torch.device(device))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=[*BRANCHES, *HICO], default="hiclr")
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32"], help="of skelray")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--batch", type=int, help="[default: 128; HiCo 64; HiCLR on DSTA-Net 32, all that its plain side holds]"
    )
    parser.add_argument("--steps", type=int, default=5, help="of each side that are timed, in turn")
    options = parser.parse_args()
    method, device, threads = options.method, options.device, options.threads
    batch = options.batch or (64 if method in HICO else 32 if method == "hiclr_dsta" else 128)
    print(f"{method}, batch {batch}, {device}, {threads} threads", flush=True)
    sides = {"plain layout": Side(plain, threads, device, method, device, batch)}
    for precision in options.precision:
        sides[f"skelray, {precision}"] = Side(ours, threads, device, method, device, batch, precision)
    rounds = [[side.step() for side in sides.values()] for _ in range(bench.WARM_UP + options.steps)]
    rounds = rounds[bench.WARM_UP :]
    before = next(iter(sides.values())).memory()
    for at, (name, side) in enumerate(sides.items()):
        rate = batch / statistics.median(seconds[at] for seconds in rounds)
        line = f"{name:17s} {rate:7.1f} samples/s, peak {side.memory():6.0f} MiB"
        if at:
            times = [seconds[0] / seconds[at] for seconds in rounds]
            line += f": {statistics.median(times):.2f} times the rate ({min(times):.2f} to {max(times):.2f})"
            line += f", {side.memory() / before:.2f} of the memory"
        print(line)


if __name__ == "__main__":
    main()
