"""Triton's kernels without a GPU: in its interpreter against torch, and built for the GPUs they are meant for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install skelray[kernels]")

INTERPRETED = """
import torch
from skelray.augment import Clock
from skelray.augment.counters import Place, hashed
from skelray.augment.philox_kernel import draw
from skelray.backbones.gpu.dropout_kernel import scale_kept

clocks = [Clock.of(seed, "cpu") for seed in (7, 8)]
for clock, epoch in zip(clocks, (3, 1)):
    clock.epoch.fill_(epoch)
    clock.step.fill_(11)
of_lanes = torch.stack([c.key for c in clocks]), torch.stack([c.epoch for c in clocks]), clocks[0].step
for name in ("query0", "dropout"):
    for count in (1, 7, 5001):
        words = torch.stack([Place(clock, hashed(name), 5).words(count) for clock in clocks])
        uniform = (words >> 8).float() * 2**-24
        place = *of_lanes, hashed(name), 5
        assert torch.equal(draw(*place, count, torch.int64), words)
        assert torch.equal(draw(*place, count, torch.float32), uniform)
        x = torch.linspace(-3, 3, 2 * count).view(2, count)
        assert torch.equal(scale_kept(x, 0.3, *place), x * (uniform >= 0.3) * (1 / 0.7)), (name, count)
print("equal")
"""

BUILT = """
import inspect
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from skelray.augment import philox_kernel
from skelray.backbones.gpu import dropout_kernel

POINTERS = dict(key_ptr="*i64", step_ptr="*i64", epoch_ptr="*i64", name0="i64", name1="i64", number="i32", count="i32")
for capability in (80, 90):
    for kernel, own, fixed in (
        (philox_kernel._draw, {"out_ptr": "*fp32"}, {"FLOAT": True, "BLOCK": 256}),
        (philox_kernel._draw, {"out_ptr": "*i64"}, {"FLOAT": False, "BLOCK": 256}),
        (dropout_kernel._scale_kept, {"x_ptr": "*bf16", "out_ptr": "*bf16", "p": "fp32", "scale": "fp32"}, {"BLOCK": 1024}),
    ):
        types = {name: "constexpr" if name in fixed else {**POINTERS, **own}[name] for name in kernel.arg_names}
        built = triton.compile(ASTSource(kernel, types, fixed), target=GPUTarget("cuda", capability, 32))
        assert built.asm["cubin"]
        assert ".local" not in built.asm["ptx"], "it spills"
print("built")
"""


def run(program, **environment):
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def test_the_interpreted_kernels_find_the_bits_that_torch_finds():
    found = run(INTERPRETED, TRITON_INTERPRET="1")
    assert found.stdout.strip() == "equal", found.stderr


@pytest.mark.slow
def test_the_kernels_are_built_for_the_gpus_they_are_meant_for(tmp_path):
    found = run(BUILT, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert found.stdout.strip() == "built", found.stderr[-3000:]
