"""Runs a study in this process with products of bfloat16 formed in float32 and rounded, as bfloat16 instructions do.

    python benchmarks/software_bfloat16.py studies/nwucla_precision.py [options of `skelray run`]

For a processor without them, on which torch's own kernels give the same numbers (test_bfloat16.py) several times slower.
For accuracy only: the time it takes says nothing.
"""

import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.bmm, aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_}
PRODUCTS |= {aten.convolution, aten.convolution_backward, aten.linear, aten.matmul}


def widened(t):
    return t.float() if t.dtype is torch.bfloat16 else t


def rounded(t):
    return t.bfloat16() if t.dtype is torch.float32 else t


class SoftwareBfloat16(TorchDispatchMode):
    """Within it, matrix products and convolutions of bfloat16 tensors accumulate in float32 and are rounded once."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        if func.overloadpacket not in PRODUCTS or not any(t.dtype is torch.bfloat16 for t in tensors):
            return func(*args, **kwargs)
        into = kwargs.pop("out", args[0] if func.overloadpacket.__name__.endswith("_") else None)
        product = func.overloadpacket.default if func._overloadname == "out" else func
        result = product(*tree_map_only(torch.Tensor, widened, args), **tree_map_only(torch.Tensor, widened, kwargs))
        if into is not None:
            return into.copy_(result)
        return tree_map_only(torch.Tensor, rounded, result)


def main():
    from skelray.cli.main import cli

    with SoftwareBfloat16():
        cli(["run", *sys.argv[1:], "--inline"], prog_name="skelray")


if __name__ == "__main__":
    main()
