"""A channels-first DSTA-Net written the obvious way, with the released parameter names: an oracle and a speed baseline.

It runs the operations in the order and memory layout of HiCLR's released encoder (methods.md, 4.2), so that a test can
compare values and times without the released code at hand.

    python tests/oracles/plain_dsta.py    # forward and backward, time and peak memory, beside skelray's
"""

import argparse
import math
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import nn
from torch.nn import functional as F

LAYERS = (
    *((32, 32, 16, 1), (32, 32, 16, 1), (32, 64, 16, 2), (64, 64, 16, 1)),
    *((64, 128, 32, 2), (128, 128, 32, 1), (128, 128, 32, 1), (128, 256, 32, 1)),
)


def positions(channels, joints):
    """(C, V): sines and cosines of the joint number."""
    rate = torch.exp(torch.arange(0, channels, 2).float() * -(math.log(10000.0) / channels))
    angle = rate[:, None] * torch.arange(joints).float()
    code = torch.zeros(channels, joints)
    code[0::2], code[1::2] = angle.sin(), angle.cos()
    return code


class PlainLayer(nn.Module):
    def __init__(self, channels, out, inter, stride, joints, dropout, subsets):
        super().__init__()
        self.inter, self.subsets = inter, subsets
        self.register_buffer("position", positions(channels, joints)[None, :, None], persistent=False)
        self.alphas = nn.Parameter(torch.ones(1, subsets, 1, 1))
        self.attention0s = nn.Parameter(torch.full((1, subsets, joints, joints), 1 / joints))
        self.in_nets = nn.Conv2d(channels, 2 * subsets * inter, 1)
        self.out_nets = nn.Sequential(nn.Conv2d(subsets * channels, out, 1), nn.BatchNorm2d(out))
        self.ff_nets = nn.Sequential(nn.Conv2d(out, out, 1), nn.BatchNorm2d(out))
        self.out_nett = nn.Sequential(nn.Conv2d(out, out, (7, 1), (stride, 1), (3, 0)), nn.BatchNorm2d(out))
        self.downs1 = self.downs2 = self.downt2 = lambda x: x
        if channels != out or stride != 1:
            self.downs1 = nn.Sequential(nn.Conv2d(channels, out, 1), nn.BatchNorm2d(out))
            self.downs2 = nn.Sequential(nn.Conv2d(channels, out, 1), nn.BatchNorm2d(out))
            self.downt2 = nn.Sequential(nn.Conv2d(out, out, 1, (stride, 1)), nn.BatchNorm2d(out))
        self.drop = nn.Dropout(dropout)

    def forward(self, x, rewire=None):
        n, c, t, v = x.shape
        q, k = self.in_nets(x + self.position).view(n, 2 * self.subsets, self.inter, t, v).chunk(2, dim=1)
        attention = torch.tanh(torch.einsum("nsctu,nsctv->nsuv", q, k) / (self.inter * t)) * self.alphas
        attention = attention + self.attention0s
        if rewire is not None:
            attention = rewire(attention)
        y = torch.einsum("nctu,nsuv->nsctv", x, attention).contiguous().view(n, self.subsets * c, t, v)
        y = F.leaky_relu(self.downs1(x) + self.out_nets(y), 0.1)
        y = F.leaky_relu(self.downs2(x) + self.ff_nets(y), 0.1)
        return F.leaky_relu(self.drop(self.downt2(y)) + self.out_nett(y), 0.1)


class PlainDSTA(nn.Module):
    def __init__(self, joints=25, layers=LAYERS, subsets=3, dropout=0.5):
        super().__init__()
        self.proj = nn.Conv2d(3, layers[0][0], 1)
        self.input_map = nn.Sequential(nn.BatchNorm2d(layers[0][0]), nn.LeakyReLU(0.1))
        self.graph_layers = nn.ModuleList(PlainLayer(*layer, joints, dropout, subsets) for layer in layers)

    def forward(self, x, rewire=None):
        n, c, t, v, m = x.shape
        x = self.input_map(self.proj(x.permute(0, 4, 1, 2, 3).contiguous().view(n * m, c, t, v)))
        for layer in self.graph_layers:
            x = layer(x, rewire)
        return x.view(n, m, x.shape[1], -1).mean(dim=(1, 3))


def steps(encoder, batch, frames, count):
    """(seconds of the median step of forward and backward, peak MiB of this process)."""
    x, seconds = torch.randn(batch, 3, frames, 25, 2), []
    for _ in range(count + 1):
        started = time.perf_counter()
        encoder(x).square().sum().backward()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def side(ours, keep, threads, batch, frames, count):
    from skelray import machine
    from skelray.backbones import DSTA
    from skelray.skeleton import KINECT_V2

    torch.set_num_threads(threads)
    if keep:
        machine.keep_memory()
    if not ours:
        return steps(PlainDSTA().train(), batch, frames, count)
    encoder = DSTA().build(KINECT_V2).train()
    return steps(lambda x: encoder(x, torch.ones(len(x), 2, dtype=torch.bool)), batch, frames, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--allocator", choices=["keep", "torch"], default="keep", help="of the plain side")
    options = parser.parse_args()
    found = {}
    for ours in (False, True):  # each in a process of its own, in turn, so that neither warms memory for the other
        keep = ours or options.allocator == "keep"
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            arguments = (ours, keep, options.threads, options.batch, options.frames, options.steps)
            found[ours] = pool.submit(side, *arguments).result()
        seconds, memory = found[ours]
        print(f"{'skelray' if ours else 'plain  '} {seconds:7.2f} s, peak {memory:6.0f} MiB", flush=True)
    print(f"ratio   {found[False][0] / found[True][0]:7.2f}         {found[True][1] / found[False][1]:6.2f}")


if __name__ == "__main__":
    main()
