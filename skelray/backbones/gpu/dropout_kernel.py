"""Dropout by counters as one Triton kernel: no mask in memory, as the backward pass draws the same bits again."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from skelray.augment.counters import Place
from skelray.augment.philox_kernel import four_words

BLOCK = 1024


@triton.jit(do_not_specialize=["name0", "name1", "number", "count"])
def _scale_kept(
    x_ptr, out_ptr, key_ptr, step_ptr, epoch_ptr, name0, name1, number, count, p, scale, BLOCK: tl.constexpr
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    a, b, c, d = four_words(at // 4, key_ptr, step_ptr, epoch_ptr, name0, name1, number)
    which = at % 4
    word = tl.where(which < 2, tl.where(which == 0, a, b), tl.where(which == 2, c, d))
    kept = (word >> 8).to(tl.float32) * (1.0 / 16777216.0) >= p
    x = tl.load(x_ptr + at, mask=at < count, other=0.0)
    y = tl.where(kept, x.to(tl.float32) * scale, 0.0)
    tl.store(out_ptr + at, y.to(x.dtype), mask=at < count)


def scale_kept(x: Tensor, p: float, place: Place) -> Tensor:
    """Returns x / (1 - p) for kept elements, else 0; an element's counter is its index in memory."""
    x = x.contiguous()
    out = torch.empty_like(x)
    clock, programs = place.clock, triton.cdiv(x.numel(), BLOCK)
    where = clock.key, clock.step, clock.epoch, *place.name, place.number
    _scale_kept[(programs,)](x, out, *where, x.numel(), p, 1 / (1 - p), BLOCK)
    return out


class CountedDropout(torch.autograd.Function):
    """Valid within one step: its backward pass reads the step at which the clock is then."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, place: Place) -> Tensor:
        ctx.p, ctx.place = p, place
        return scale_kept(x, p, place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return scale_kept(grad, ctx.p, ctx.place), None, None
