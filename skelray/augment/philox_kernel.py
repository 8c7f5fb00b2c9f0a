"""Philox on a GPU as one Triton kernel for each draw; the same bits as ``philox.py``, which needs a hundred operations."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256  # of four words each, a program


@triton.jit
def four_words(block, key_ptr, step_ptr, epoch_ptr, name0, name1, number):
    """Returns four words for each number of a block. key_ptr, step_ptr, epoch_ptr: a Clock's tensors, int64."""
    key0 = tl.load(key_ptr) ^ name0
    key1 = tl.load(key_ptr + 1) ^ name1
    seed = key1 * 4294967296 + key0
    block = block.to(tl.uint32)
    zero = block * 0
    step, epoch = tl.load(step_ptr).to(tl.uint32), tl.load(epoch_ptr).to(tl.uint32)
    return tl.philox(seed, block, zero + number.to(tl.uint32), zero + step, zero + epoch)


@triton.jit
def _store(out_ptr, at, word, count, FLOAT: tl.constexpr):
    if FLOAT:
        tl.store(out_ptr + at, (word >> 8).to(tl.float32) * (1.0 / 16777216.0), mask=at < count)
    else:
        tl.store(out_ptr + at, word.to(tl.int64), mask=at < count)


@triton.jit(do_not_specialize=["name0", "name1", "number", "count"])
def _draw(out_ptr, key_ptr, step_ptr, epoch_ptr, name0, name1, number, count, FLOAT: tl.constexpr, BLOCK: tl.constexpr):
    block, lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1)
    a, b, c, d = four_words(block, key_ptr + 2 * lane, step_ptr, epoch_ptr + lane, name0, name1, number)
    out_ptr += lane.to(tl.int64) * count
    _store(out_ptr, 4 * block, a, count, FLOAT)
    _store(out_ptr, 4 * block + 1, b, count, FLOAT)
    _store(out_ptr, 4 * block + 2, c, count, FLOAT)
    _store(out_ptr, 4 * block + 3, d, count, FLOAT)


def draw(
    key: Tensor, epoch: Tensor, step: Tensor, name: tuple[int, int], number: int, count: int, dtype: torch.dtype
) -> Tensor:
    """(lanes, count) random words as int64, or as float32 their first 24 bits as numbers of [0, 1).

    key: (lanes, 2); epoch: (lanes,); step: (); name, number: of a ``Place``.
    """
    out = torch.empty(len(key), count, dtype=dtype, device=key.device)
    grid, where = (triton.cdiv(triton.cdiv(count, 4), BLOCK), len(key)), (key.contiguous(), step, epoch.contiguous(), *name)
    _draw[grid](out, *where, number, count, dtype == torch.float32, BLOCK)
    return out
