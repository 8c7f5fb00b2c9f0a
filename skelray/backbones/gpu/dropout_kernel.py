"""Dropout by counters as one Triton kernel: no mask in memory, as the backward pass draws the same bits again."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from skelray.augment.philox_kernel import four_words

BLOCK = 1024


@triton.jit(do_not_specialize=["name0", "name1", "number", "count"])
def _scale_kept(
    x_ptr, out_ptr, key_ptr, step_ptr, epoch_ptr, name0, name1, number, count, p, scale, BLOCK: tl.constexpr
):  # fmt: skip
    at, lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1)
    a, b, c, d = four_words(at // 4, key_ptr + 2 * lane, step_ptr, epoch_ptr + lane, name0, name1, number)
    which = at % 4
    word = tl.where(which < 2, tl.where(which == 0, a, b), tl.where(which == 2, c, d))
    kept = (word >> 8).to(tl.float32) * (1.0 / 16777216.0) >= p
    start = lane.to(tl.int64) * count
    x = tl.load(x_ptr + start + at, mask=at < count, other=0.0)
    y = tl.where(kept, x.to(tl.float32) * scale, 0.0)
    tl.store(out_ptr + start + at, y.to(x.dtype), mask=at < count)


def scale_kept(x: Tensor, p: float, key: Tensor, epoch: Tensor, step: Tensor, name: tuple[int, int], number: int) -> Tensor:
    """x / (1 - p) where it is kept, else 0; a number's place is its place in its lane.

    x: (lanes, ...); key: (lanes, 2); epoch: (lanes,); step: (); name, number: of a ``Place``.
    """
    x = x.contiguous()
    out, count = torch.empty_like(x), x[0].numel()
    where = key.contiguous(), step, epoch.contiguous(), *name, number
    _scale_kept[(triton.cdiv(count, BLOCK), len(x))](x, out, *where, count, p, 1 / (1 - p), BLOCK)
    return out
