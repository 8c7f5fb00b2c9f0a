"""The rate of linear maps of many rows, forward and backward, as skelray makes them and as torch does, in turn.

    python benchmarks/linear_products.py --threads 2

Rows, channels and outputs are those of maps in DSTA-Net and ST-GCN, and of one in HiCo, which is left to torch.
"""

import argparse
import statistics

import torch
from torch.nn import functional as F

from skelray import machine
from skelray.backbones.cpu.linear import linear
from skelray.bench import bench

SHAPES = ((80_000, 32, 32), (40_000, 64, 128), (20_800, 128, 128), (20_800, 256, 256), (83_200, 64, 256), (4096, 512, 512))


def once(kind, x, weight, cotangent):
    return bench.timed(lambda: torch.autograd.grad(kind(x, weight), (x, weight), cotangent), x.device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    machine.configure_process(options.threads)
    for rows, channels, outs in SHAPES:
        x, weight = torch.randn(rows, channels, requires_grad=True), torch.randn(outs, channels, requires_grad=True)
        seconds = {linear: [], F.linear: []}
        cotangent = torch.randn(rows, outs)
        for _ in range(bench.WARM_UP + options.rounds):
            for one, found in seconds.items():
                found.append(once(one, x, weight, cotangent))
        rates = [6 * rows * channels * outs / statistics.median(found[bench.WARM_UP :]) / 1e9 for found in seconds.values()]
        print(f"({rows} x {channels}) by ({channels} x {outs}): {rates[0]:5.1f} GFLOP/s, torch {rates[1]:5.1f}", flush=True)


if __name__ == "__main__":
    main()
