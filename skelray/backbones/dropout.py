"""Dropout from random bits: the same distribution as torch's dropout, several times faster on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.augment import CounterDraws
from skelray.augment.counters import draws_in_one_kernel, lanes_first
from skelray.checks import UserError

PART = 2**19  # elements that are dropped at a time, so that they stay in a CPU's cache; a multiple of 8


def check_share(p: float) -> None:
    """Raises UserError unless this share of the elements can be dropped."""
    if not 0 <= p < 1:
        raise UserError(f"dropout {p}: a probability below 1 is needed")


def _random_words(bits: int) -> Tensor:
    """Draws this many random bits as whole 64-bit words."""
    return torch.empty(-(-bits // 64), dtype=torch.int64).random_(-(2**63), None)


@lru_cache(maxsize=8)
def _table(dtype: torch.dtype) -> Tensor:
    """Returns (256, 8): 0 or 2 for each bit of each byte."""
    return ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).to(dtype) * 2


def _half_bits(x: Tensor) -> Tensor:
    """Returns a random bit for every element of x, eight to a byte."""
    return _random_words(x.numel()).view(torch.uint8)[: -(-x.numel() // 8)]


def _half_scales(bits: Tensor, like: Tensor) -> Tensor:
    """Returns 0 or 2 for every element of ``like``, from one bit each."""
    return _table(like.dtype).index_select(0, bits.int()).flatten()[: like.numel()].view(like.shape)


def _scaled(x: Tensor, bits: Tensor) -> Tensor:
    """Multiplies each element of x by its 0 or 2; contiguous x in parts, so that the scales stay small in memory."""
    if not x.is_contiguous():
        return x * _half_scales(bits, x)
    out = torch.empty_like(x)
    for start in range(0, x.numel(), PART):
        some = x.view(-1)[start : start + PART]
        scales = _half_scales(bits[start // 8 : (start + PART) // 8], some)
        torch.mul(some, scales, out=out.view(-1)[start : start + PART])
    return out


class _HalfDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        bits = _half_bits(x)
        ctx.save_for_backward(bits)
        return _scaled(x, bits)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _scaled(grad, ctx.saved_tensors[0])


class _ShareDropout(torch.autograd.Function):
    """16 random bits an element, so that p is a multiple of 2 ** -16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        dropped = round(p * 2**16)
        numbers = _random_words(16 * x.numel()).view(torch.int16)[: x.numel()].view(x.shape)
        kept = numbers >= dropped - 2**15
        ctx.save_for_backward(kept)
        ctx.scale = 2**16 / (2**16 - dropped)
        return torch.ops.aten.native_dropout_backward(x, kept, ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.ops.aten.native_dropout_backward(grad, ctx.saved_tensors[0], ctx.scale), None


_draws: list[CounterDraws] = []  # the innermost that dropout draws from; torch's generators where there is none


@contextmanager
def drawing(draws: CounterDraws) -> Iterator[None]:
    """Makes every Dropout in the block draw from ``draws``, on any device, in the order of the calls."""
    _draws.append(draws)
    try:
        yield
    finally:
        _draws.pop()


class _CountedDropout(torch.autograd.Function):
    """Dropout of several lanes (lanes, ...) in one kernel each way; under vmap one kernel serves all lanes, too.

    Within a step alone: its backward pass makes the bits again, of the step that the clock is at then.
    """

    @staticmethod
    def forward(x: Tensor, p: float, key: Tensor, epoch: Tensor, step: Tensor, name: tuple[int, int], number: int) -> Tensor:
        return _scale_kept(x, p, key, epoch, step, name, number)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, ctx.p, *clock, ctx.name, ctx.number = inputs
        ctx.save_for_backward(*clock)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None, None]:
        return _scale_kept(grad, ctx.p, *ctx.saved_tensors, ctx.name, ctx.number), None, None, None, None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, x: Tensor, p: float, key: Tensor, epoch: Tensor, step: Tensor, *place: Any
    ) -> tuple[Tensor, int]:
        lanes = [
            lanes_first(one, dim).flatten(0, 1) for one, dim in zip((x, key, epoch), in_dims[:1] + in_dims[2:4], strict=True)
        ]
        return cast(Tensor, _CountedDropout.apply(lanes[0], p, *lanes[1:], step, *place))[:, None], 0


def _scale_kept(x: Tensor, p: float, *place: Any) -> Tensor:
    if x.is_meta:
        return x * (1 / (1 - p))
    from skelray.backbones.gpu.dropout_kernel import scale_kept

    return scale_kept(x, p, *place)


def _counted(x: Tensor, p: float, draws: CounterDraws) -> Tensor:
    if draws_in_one_kernel(x.device):
        place = draws.place("dropout")
        return cast(Tensor, _CountedDropout.apply(x[None], p, *place.of_lanes(), place.name, place.number)).squeeze(0)
    kept = draws.uniform("dropout", x.shape, x.device) >= p
    return x * kept * (1 / (1 - p))


class Dropout(nn.Module):
    """nn.Dropout that draws bits on a CPU, the same ones in each form of a backbone.

    For the backward pass a CPU keeps one bit for each element at p = 0.5, else one byte; torch keeps a float.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        check_share(p)
        self.p = p

    def forward(self, x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
        """Drops elements of x.

        axes: the order of x's axes in which a CPU draws (memory order in the CPU's form), None as given.
        """
        if not self.training or self.p == 0:
            return x
        if _draws:
            return _counted(x, self.p, _draws[-1])
        if x.device.type != "cpu" or not 2**-16 <= self.p <= 1 - 2**-16:
            return F.dropout(x, self.p)
        if axes is not None:
            return self.forward(x.permute(*axes)).permute(*sorted(range(x.dim()), key=axes.__getitem__))
        return _HalfDropout.apply(x) if self.p == 0.5 else _ShareDropout.apply(x, self.p)
