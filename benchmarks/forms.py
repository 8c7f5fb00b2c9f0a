"""What the form of a backbone for a CPU gains: at growing sizes, and file by file at the full NTU shape.

    python benchmarks/forms.py sizes stgcn      # from which size it beats the plain form: LEAST in the backbone's file
    python benchmarks/forms.py files dsta       # each file of backbones/cpu exchanged for the obvious way to write it

An encoder's forward and backward pass, in CPU seconds of this process, which other work on the machine moves less than the
clock. Forms and files take a step each in turn; a ratio is the median over the rounds, beside the lowest and the highest.
Above 1 the CPU's form, or the file, gains.
"""

import argparse
import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import torch
from torch.nn import functional as F

from skelray import machine
from skelray.backbones import DSTA, STGCN
from skelray.backbones.cpu import dsta, stgcn
from skelray.backbones.cpu.precision import autocast_dtype
from skelray.backbones.dropout import Dropout
from skelray.bench import bench
from skelray.skeleton import KINECT_V2

JOINTS = len(KINECT_V2.joints)
PUBLISHED = {"stgcn": STGCN(), "dsta": DSTA()}
BATCH = {"stgcn": 32, "dsta": 8}  # of the files, at 50 frames


def narrower(backbone, share):
    """A backbone of that share of its channels."""
    if isinstance(backbone, STGCN):
        return replace(backbone, hidden_channels=16 // share, hidden_dim=256 // share)
    layers = tuple((c // share, o // share, max(1, i // share), stride) for c, o, i, stride in backbone.layers)
    return replace(backbone, layers=layers)


def obvious_graph_convolution(layer, x, rewire=None):
    """The aggregate formed whole, then mixed."""
    dtype, graph = autocast_dtype(x), layer.rewired(rewire) * layer.importance
    weight, bias = layer.weight.to(dtype), graph.sum(dim=1).T @ layer.bias
    sums = torch.einsum("pvrc,kvw->pwrkc", x.to(dtype), graph.to(dtype)).flatten(3)
    return sums @ weight.flatten(0, 1) + bias.to(dtype)[:, None]


def obvious_attend(layer, x, rewire):
    """Queries, keys and sums formed whole."""
    x = x.to(autocast_dtype(x))
    bias = layer.position @ layer.query_key_weight + layer.query_key_bias[:, None]  # (2S, V, I)
    both = torch.einsum("bvtc,kci->kbvti", x, layer.query_key_weight) + bias[:, None, :, None]
    query, key = both.chunk(2)
    weights = layer.weights(torch.einsum("sbvti,sbwti->bsvw", query, key), x.shape[2])
    weights = weights if rewire is None else rewire(weights)
    sums = torch.einsum("bvtc,bsvw->bwtsc", x, weights.to(x.dtype)).flatten(3)
    return sums @ layer.weight.flatten(0, 1)


def obvious_dropout(layer, x, axes=None):
    """torch's."""
    return F.dropout(x, layer.p) if layer.p else x


# file -> (which backbones have it, what stands in for it)
FILES = {
    "graph_convolution.py": ({"stgcn"}, [(stgcn, "graph_convolution", obvious_graph_convolution)]),
    "attention.py": ({"dsta"}, [(dsta, "attend", obvious_attend)]),
    "temporal.py": ({"stgcn", "dsta"}, [(dsta, "SHORT", 0), (stgcn, "SHORT", 0)]),
    "dropout's bits": ({"stgcn", "dsta"}, [(Dropout, "forward", obvious_dropout)]),
}


def step(encoder, x):
    """CPU seconds of a forward and a backward pass."""
    present = torch.ones(len(x), x.shape[4], dtype=torch.bool)
    started = time.process_time()
    encoder(x, present).float().square().sum().backward()
    return time.process_time() - started


def compare(sides, rounds):
    """(median seconds of the first side, the ratios of the second's to it), a step each in turn."""
    seconds = [[side() for side in sides] for _ in range(bench.WARM_UP + rounds)][bench.WARM_UP :]
    return statistics.median(first for first, _ in seconds), [second / first for first, second in seconds]


def said(ratios):
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def sizes(backbone, rounds):
    """The plain form's time over the CPU form's."""
    for share in (4, 2, 1):
        for frames in (8, 16, 24, 50):
            narrow = replace(narrower(backbone, share), dropout=0.0)
            encoders = [narrow.build(KINECT_V2, form).train() for form in ("cpu", "plain")]
            width = narrow.hidden_channels if isinstance(narrow, STGCN) else narrow.layers[0][0]
            for batch in (8, 32):
                x = torch.randn(batch, 3, frames, JOINTS, 2)
                seconds, ratios = compare([lambda e=e, x=x: step(e, x) for e in encoders], rounds)
                size = frames * JOINTS * width
                print(f"{size:6d} = {frames} frames x {JOINTS} x {width}, batch {batch:3d}: {seconds:.3f} s, {said(ratios)}")


def files(name, backbone, rounds, precision):
    """The time with the obvious in a file's place over the time with it."""
    batch = BATCH[name]
    fast = backbone.build(KINECT_V2, "cpu").train()
    plain = backbone.build(KINECT_V2, "plain").train()
    for parameter in (*fast.parameters(), *plain.parameters()):
        torch.nn.init.normal_(parameter, 0.0, 0.05)
    x = torch.randn(batch, 3, 50, JOINTS, 2)

    def without(stand_ins):
        with ExitStack() as stack, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            for target, attribute, other in stand_ins:
                stack.enter_context(patch.object(target, attribute, other))
            return step(fast, x)

    def whole():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return step(plain, x)

    seconds, ratios = compare([lambda: without([]), whole], rounds)
    print(f"{name}, batch {batch}, {precision}: {seconds:.3f} s; the form as a whole gains {said(ratios)}", flush=True)
    for file, (backbones, stand_ins) in FILES.items():
        if name in backbones:
            _, ratios = compare([lambda: without([]), lambda s=stand_ins: without(s)], rounds)
            print(f"  {file:22s} {said(ratios)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sizes", "files"])
    parser.add_argument("backbone", choices=PUBLISHED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of the files")
    options = parser.parse_args()
    machine.configure_process(options.threads)
    backbone = PUBLISHED[options.backbone]
    if options.what == "sizes":
        sizes(backbone, options.rounds)
    else:
        files(options.backbone, backbone, options.rounds, options.precision)


if __name__ == "__main__":
    main()
