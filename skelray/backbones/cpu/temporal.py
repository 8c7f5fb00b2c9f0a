"""Temporal convolution as few matrix products: an exact bilinear algorithm on the discrete Fourier transform.

A convolution of T frames with ``taps`` weights is, padded to n = T + taps // 2 frames, a product of Fourier coefficients.
A complex product takes three real ones, so n real products of (rows x C) with (C x O) replace the taps x T of the
direct form: 25 instead of 117 for 13 frames and 9 taps. All transforms are small constant matrices, so gradients are
plain matrix products too. Exact up to rounding (measured below the rounding error of the direct convolution).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skelray.backbones.cpu.precision import autocast_dtype, sum_dtype


@lru_cache(maxsize=64)
def transforms(frames: int, taps: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (R, T), (R, taps) and (T', R): sequence to R factors, kernel to R factors, and their products to output."""
    half = taps // 2
    n = frames + half + (frames + half + 1) % 2  # odd, so that only the constant coefficient is real
    f = torch.arange(1, (n + 1) // 2, dtype=torch.float64)[:, None] * (2 * math.pi / n)
    t, k = torch.arange(frames, dtype=torch.float64), torch.arange(taps, dtype=torch.float64) - half
    a, b = torch.cos(f * t), -torch.sin(f * t)  # coefficient of the sequence: a + ib
    c, d = torch.cos(f * k), torch.sin(f * k)  # of the kernel, conjugated because a convolution layer correlates
    # (a + ib)(c + id) from three products: c(a + b), a(d - c), b(c + d).
    analyse = torch.cat((torch.ones(1, frames, dtype=torch.float64), a + b, a, b))
    kernel = torch.cat((torch.ones(1, taps, dtype=torch.float64), c, d - c, c + d))
    out = torch.arange(0, frames, stride, dtype=torch.float64)
    cos, sin = 2 / n * torch.cos(f * out).T, 2 / n * torch.sin(f * out).T
    constant = torch.full((len(out), 1), 1 / n, dtype=torch.float64)
    return analyse, kernel, torch.cat((constant, cos - sin, -sin, -cos), dim=1)


PART = 2**19  # numbers of the factors that are formed at a time, so that they stay in a CPU's cache


class _FourierConvolution(torch.autograd.Function):
    """Saves only its input for the backward pass: the R factors, twice as large, are formed in parts and formed again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        analyse, kernel, synthesise = _like(x, weight, stride)
        factors, out = _apply(kernel, weight), _lying_like(x, len(synthesise), weight.shape[2])
        for part in _parts(x, len(analyse)):
            _apply(synthesise, _products(_apply(analyse, x[:, part]), factors), out[:, part])
        return out  # (T', rows, O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        analyse, kernel, synthesise = _like(x, weight, ctx.stride)
        factors = _apply(kernel, weight).transpose(1, 2)
        to_x = _lying_like(grad, *x.shape[::2]) if ctx.needs_input_grad[0] else None
        to_factors = weight.new_zeros(len(kernel), *weight.shape[1:], dtype=sum_dtype(x))
        for part in _parts(x, len(analyse)):
            some = _apply(synthesise.T, grad[:, part])  # (R, some rows, O)
            to_factors += _products(_apply(analyse, x[:, part]).transpose(1, 2), some)
            if to_x is not None:
                _apply(analyse.T, _products(some, factors), to_x[:, part])
        return to_x, _apply(kernel.T.to(to_factors.dtype), to_factors).to(weight.dtype), None


def _like(x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, ...]:
    return tuple(m.to(x.dtype) for m in transforms(x.shape[0], weight.shape[0], stride))


def _rows_first(x: Tensor) -> bool:
    """Returns whether (T, rows, C) keeps the steps of each row side by side in memory, as its products then do too."""
    return x.stride(0) < x.stride(1)


def _lying_like(x: Tensor, steps: int, channels: int) -> Tensor:
    """Allocates (steps, rows, channels) in the memory layout of x."""
    rows = x.shape[1]
    return x.new_empty(rows, steps, channels).transpose(0, 1) if _rows_first(x) else x.new_empty(steps, rows, channels)


def _parts(x: Tensor, factors: int) -> Iterator[slice]:
    """Yields slices of the rows of x (T, rows, C), large enough to repay reading the kernel's factors."""
    _, rows, channels = x.shape
    some = max(channels, PART // (factors * channels))
    return (slice(start, start + some) for start in range(0, rows, some))


def _apply(matrix: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Applies a matrix (R, T) to the first axis of (T, rows, C), keeping the memory layout of x."""
    if out is None:
        out = _lying_like(x, len(matrix), x.shape[2])
    if _rows_first(x):
        torch.bmm(matrix.expand(x.shape[1], -1, -1), x.transpose(0, 1), out=out.transpose(0, 1))
    else:
        torch.mm(matrix, x.flatten(1), out=out.view(len(matrix), -1))
    return out


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Multiplies (R, rows, C) by (R, C, O) -> (R, rows, O), in the memory layout of ``a``."""
    out = _lying_like(a, len(a), b.shape[2])
    for r in range(len(a)):
        torch.mm(a[r], b[r], out=out[r])
    return out


def fourier_convolution(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolves (taps, 1) with zero padding taps // 2. x: (T, rows, C), weight: (taps, C, O) -> (T', rows, O).

    A view of (rows, T, C) is read without a copy and gives such a view. Runs in autocast's precision.
    """
    dtype = autocast_dtype(x)
    x, weight = x.to(dtype), weight.to(dtype)
    return _FourierConvolution.apply(x if x.transpose(0, 1).is_contiguous() else x.contiguous(), weight, stride)
