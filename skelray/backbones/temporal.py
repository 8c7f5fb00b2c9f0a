"""Temporal convolution as few matrix products: an exact bilinear algorithm on the discrete Fourier transform.

A convolution of T frames with ``taps`` weights is, padded to n = T + taps // 2 frames, a product of Fourier coefficients.
A complex product takes three real ones, so n real products of (rows x C) with (C x O) replace the taps x T of the
direct form: 25 instead of 117 for 13 frames and 9 taps. All transforms are small constant matrices, so gradients are
plain matrix products too. Exact up to rounding (measured below the rounding error of the direct convolution).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from skelray.backbones.precision import autocast_dtype


@lru_cache(maxsize=64)
def transforms(frames: int, taps: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """(R, T), (R, taps) and (T', R): what turns sequence and kernel into R factors each, and products into output."""
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


COLUMNS = 16384  # a product of a small matrix with this many columns stays in the cache


class _FourierConvolution(torch.autograd.Function):
    """Keeps the input alone for the backward pass; its R factors take twice the room and little time to form again."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        analyse, kernel, synthesise = _like(x, weight, stride)
        return _apply(synthesise, _products(_apply(analyse, x), _apply(kernel, weight)))  # (T', rows, O)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        x, weight = ctx.saved_tensors
        analyse, kernel, synthesise = _like(x, weight, ctx.stride)
        grad = _apply(synthesise.T, grad)  # (R, rows, O)
        to_weight = _apply(kernel.T, _products(_apply(analyse, x).transpose(1, 2), grad))
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None
        return _apply(analyse.T, _products(grad, _apply(kernel, weight).transpose(1, 2))), to_weight, None


def _like(x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, ...]:
    return tuple(m.to(x.device, x.dtype) for m in transforms(x.shape[0], weight.shape[0], stride))


def _rows_first(x: Tensor) -> bool:
    """Whether the steps of each row of (T, rows, C) lie side by side in memory."""
    return x.transpose(0, 1).is_contiguous()


def _apply(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix (R, T) on the first axis of (T, rows, C); the result lies in memory as x does."""
    if _rows_first(x):
        return torch.bmm(matrix.expand(x.shape[1], -1, -1), x.transpose(0, 1)).transpose(0, 1)
    flat = x.reshape(len(x), -1)
    out = x.new_empty(len(matrix), flat.shape[1])
    for start in range(0, flat.shape[1], COLUMNS):
        columns = slice(start, start + COLUMNS)
        torch.mm(matrix, flat[:, columns], out=out[:, columns])
    return out.view(-1, *x.shape[1:])


def _products(a: Tensor, b: Tensor) -> Tensor:
    """(R, rows, C) and (R, C, O) -> (R, rows, O), in memory as ``a`` is."""
    size = (a.shape[1], len(a), b.shape[2])
    out = a.new_empty(size).transpose(0, 1) if _rows_first(a) else a.new_empty(size[1], size[0], size[2])
    for r in range(len(a)):
        torch.mm(a[r], b[r], out=out[r])
    return out


def fourier_convolution(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The (taps, 1) convolution with zero padding taps // 2. x: (T, rows, C), weight: (taps, C, O) -> (T', rows, O).

    A view of (rows, T, C) is read as it lies, and so is the result. Under autocast in its precision.
    """
    dtype = autocast_dtype(x)
    x, weight = x.to(dtype), weight.to(dtype)
    return _FourierConvolution.apply(x if _rows_first(x) else x.contiguous(), weight, stride)
