"""Batch norm, dropout, a residual and a (leaky) ReLU as one step: leaky(dropout(norm(y + bias)) + shortcut(x)).

Training in single precision, what is done to each element is done a part at a time while it is in the cache: the
statistics read y once, the output once more, and the backward pass twice. A bias before batch norm moves nothing there but
the running mean, and its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skelray.backbones.cpu.linear import linear
from skelray.backbones.cpu.norm import Norm, batch_norm, update_running_stats
from skelray.backbones.cpu.parts import long_rows, parts, steps_a_row
from skelray.backbones.dropout import Dropout, half_bits, half_scales

_leaky_backward = torch.ops.aten.leaky_relu_backward


class _NormDropoutResidualReLU(torch.autograd.Function):
    """leaky(scales norm(y) + x), x absent, as it is, or under a batch norm of its own; all (A, B, L, C).

    bits: of dropout, one for each element of y; without them no scales. terms: for y and, under a norm, x: weight, shift and
    bias, which learn, and mean and reciprocal deviation.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor | None, bits: Tensor | None, slope: float, *terms: Tensor | None) -> Tensor:
        out, repeats = torch.empty_like(y), steps_a_row(y)
        factors = [(weight * scale).repeat(repeats) for weight, _, _, _, scale in _by_term(terms)]
        shifts = [(shift - mean * weight * scale).repeat(repeats) for weight, shift, _, mean, scale in _by_term(terms)]
        if bits is None:
            shifts = [torch.stack(shifts).sum(dim=0)]
        flat_y, flat_x, flat_out = long_rows(y), None if x is None else long_rows(x), long_rows(out)
        for part in parts(flat_y):
            rows = torch.addcmul(shifts[0], flat_y[part], factors[0], out=flat_out[part])
            if bits is not None:
                rows *= _scales(bits, flat_y, part)
            if flat_x is not None and len(factors) == 2:
                rows.addcmul_(flat_x[part], factors[1])
            elif flat_x is not None:
                rows += flat_x[part]
            if len(shifts) == 2:
                rows += shifts[1]
            F.leaky_relu_(rows, slope)
        ctx.has_x, ctx.slope = x is not None, slope
        ctx.save_for_backward(out, y, x if len(factors) == 2 else None, bits, *terms)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        out, y, x, bits, *terms = ctx.saved_tensors
        repeats, channels = steps_a_row(y), y.shape[3]
        normed = [t for t in (y, x) if t is not None]
        means = [mean.repeat(repeats) for _, _, _, mean, _ in _by_term(terms)]
        sums = y.new_zeros(len(normed), 2, repeats * channels)  # of g, and of g times the centred input
        # g: gradient of the leaky ReLU's input, for y times its scales
        before = torch.empty_like(y)
        gradients = [before if bits is None else torch.empty_like(y), before]
        flat, flat_grad, flat_out = long_rows(before), long_rows(grad.contiguous()), long_rows(out)
        for part in parts(flat):
            rows = _leaky_backward(flat_grad[part], flat_out[part], ctx.slope, True, grad_input=flat[part])
            for i, (t, mean) in enumerate(zip(normed, means, strict=True)):
                g = rows
                if bits is not None and i == 0:
                    g = torch.mul(rows, _scales(bits, flat, part), out=long_rows(gradients[0])[part])
                sums[i, 0] += g.sum(dim=0)
                sums[i, 1] += (long_rows(t)[part] - mean).mul_(g).sum(dim=0)
        sums = sums.view(len(normed), 2, repeats, channels).sum(dim=2)
        inputs: list[Tensor] = []
        learned: list[Tensor | None] = []
        identity = ctx.has_x and len(normed) == 1
        count = y.numel() // channels
        for i, (t, (total, product), (weight, _, bias, mean, scale)) in enumerate(
            zip(normed, sums, _by_term(terms), strict=True)
        ):
            factor = weight * scale
            slope = -factor * scale**2 * product / count
            constant = -factor * total / count - slope * mean
            # g gives way to its input's gradient where nothing else needs it
            g = gradients[i]
            into = torch.empty_like(g) if g is before and (identity or i + 1 < len(normed)) else g
            inputs.append(_affine(g, t, factor.repeat(repeats), slope.repeat(repeats), constant.repeat(repeats), into))
            learned += [product * scale, total, None if bias is None else torch.zeros_like(bias), None, None]
        to_x = inputs[1] if len(inputs) == 2 else before if identity else None
        return inputs[0], to_x, None, None, *learned


def _scales(bits: Tensor, x: Tensor, part: slice) -> Tensor:
    """Returns dropout's factors for a part of x (rows, K), K a multiple of 8."""
    each = x.shape[1] // 8
    return half_scales(bits[part.start * each : part.stop * each], x[part])


def _affine(a: Tensor, b: Tensor, factor: Tensor, slope: Tensor, constant: Tensor, out: Tensor) -> Tensor:
    """factor a + slope b + constant; out may be a."""
    flat_a, flat_b, flat_out = long_rows(a), long_rows(b), long_rows(out)
    for part in parts(flat_a):
        torch.addcmul(torch.addcmul(constant, flat_b[part], slope), flat_a[part], factor, out=flat_out[part])
    return out


def _by_term(terms: Sequence[Tensor | None]) -> list[Sequence[Any]]:
    return [terms[i : i + 5] for i in range(0, len(terms), 5)]


def _moments(norm: Norm, x: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal deviation of x (A, B, L, C), by which the norm's running ones move."""
    mean, var = update_running_stats(norm, x, bias)
    return mean, (var + norm.eps).rsqrt()


def _fused(norm: Norm, x_norm: Norm | None, y: Tensor) -> bool:
    training = norm.training and (x_norm is None or x_norm.training)
    return training and y.dtype == torch.float32 and y.is_contiguous()


def norm_dropout_residual_relu(
    norm: Norm,
    y: Tensor,
    bias: Tensor | None = None,
    x: Tensor | None = None,
    shortcut: tuple[nn.Linear, Norm] | None = None,
    dropout: Dropout | None = None,
    slope: float = 0.0,
) -> Tensor:
    """leaky(dropout(norm(y + bias)) + shortcut(x)) of (A, B, L, C); what is None is left out.

    shortcut: a linear map and its norm, where a residual changes the shape. slope: of the leaky ReLU below zero.
    """
    x_norm = x_bias = None
    if x is not None and shortcut is not None:
        layer, x_norm = shortcut
        x, x_bias = linear(x, layer.weight), layer.bias  # which, too, is left to the norm
    share = 0.0 if dropout is None or not dropout.training else dropout.p
    if not _fused(norm, x_norm, y) or (share and (share != 0.5 or long_rows(y).shape[1] % 8)):
        y = batch_norm(norm, y, bias) if dropout is None else dropout(batch_norm(norm, y, bias))
        if x is not None:
            y = y + (x if x_norm is None else batch_norm(x_norm, x, x_bias))
        return F.leaky_relu_(y, slope)
    terms = [norm.weight, norm.bias, bias, *_moments(norm, y, bias)]
    if x is not None and x_norm is not None:
        terms += [x_norm.weight, x_norm.bias, x_bias, *_moments(x_norm, x, x_bias)]
    bits = half_bits(y) if share else None
    return _NormDropoutResidualReLU.apply(y, None if x is None else x.contiguous(), bits, slope, *terms)
