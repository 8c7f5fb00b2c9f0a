"""Batch norm, a residual and a leaky ReLU as one step of DSTA-Net: leaky(norm(y + bias) + shortcut(x)).

Training in single precision on a CPU, what is done to each element is done a part at a time while it is in the cache: the
statistics read y once, the output once more, and the backward pass twice. A bias before batch norm moves nothing there
but the running mean, and its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.backbones.norm import BatchNorm

SLOPE = 0.1  # of the leaky ReLU below zero
PART = 2**17  # elements that are treated at a time


def _parts(x: Tensor) -> Iterator[slice]:
    """x: (rows, K)."""
    rows = max(1, PART // x.shape[1])
    return (slice(start, start + rows) for start in range(0, len(x), rows))


def _rows(x: Tensor) -> Tensor:
    """(B, V, T, C) -> (B V, T C): loops over as many numbers as a frame has channels would be too short."""
    return x.view(-1, x.shape[2] * x.shape[3])


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel of x (B, V, T, C), from sums of centred parts."""
    flat, frames, channels = _rows(x), x.shape[2], x.shape[3]
    every = x.view(-1, channels)
    near = every[:: max(1, len(every) // 64)].mean(dim=0)  # close to the mean, so that squares do not cancel
    tiled, total, squares = near.repeat(frames), x.new_zeros(flat.shape[1]), x.new_zeros(flat.shape[1])
    for part in _parts(flat):
        centred = flat[part] - tiled
        total += centred.sum(dim=0)
        squares += centred.square_().sum(dim=0)
    offset = total.view(frames, channels).sum(dim=0) / len(every)
    return near + offset, squares.view(frames, channels).sum(dim=0) / len(every) - offset**2


def _batch_statistics(norm: BatchNorm, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal deviation of x (B, V, T, C); moves the running ones to those of x + bias."""
    with torch.no_grad():
        mean, var = _moments(x)
        rows = x.numel() // len(mean)
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        norm.running_mean.lerp_(mean + bias, norm.momentum)  # type: ignore[union-attr,arg-type]
        norm.running_var.lerp_(var * (rows / max(1, rows - 1)), norm.momentum)  # type: ignore[union-attr,arg-type]
        return mean, (var + norm.eps).rsqrt()


class _Join(torch.autograd.Function):
    """leaky(norm(y) + x), x absent, as it is, or under a batch norm of its own; all (B, V, T, C).

    terms: for y and, under a norm, x: weight, shift and bias, which learn, and mean and reciprocal deviation.
    """

    @staticmethod
    def forward(ctx, y: Tensor, x: Tensor | None, *terms: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        out, frames = torch.empty_like(y), y.shape[2]
        factors = [(weight * scale).repeat(frames) for weight, _, _, _, scale in _by_term(terms)]
        shifts = [shift - mean * weight * scale for weight, shift, _, mean, scale in _by_term(terms)]
        shift = torch.stack(shifts).sum(dim=0).repeat(frames)
        flat_y, flat_x, flat_out = _rows(y), None if x is None else _rows(x), _rows(out)
        for part in _parts(flat_y):
            rows = torch.addcmul(shift, flat_y[part], factors[0], out=flat_out[part])
            if flat_x is not None and len(factors) == 2:
                rows.addcmul_(flat_x[part], factors[1])
            elif flat_x is not None:
                rows.add_(flat_x[part])
            F.leaky_relu_(rows, SLOPE)
        normed_x = x if len(factors) == 2 else None
        ctx.has_x = x is not None
        ctx.save_for_backward(out, y, normed_x, *terms)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        out, y, x, *terms = ctx.saved_tensors
        frames, channels = y.shape[2:]
        normed = [t for t in (y, x) if t is not None]
        sums = torch.zeros(len(normed) + 1, frames * channels, dtype=y.dtype)  # of g, and of g times each centred input
        means = [mean.repeat(frames) for _, _, _, mean, _ in _by_term(terms)]
        before = torch.empty_like(y)  # g: gradient of the leaky ReLU's input
        flat, flat_grad, flat_out = _rows(before), _rows(grad.contiguous()), _rows(out)
        for part in _parts(flat):
            rows = torch.ops.aten.leaky_relu_backward(flat_grad[part], flat_out[part], SLOPE, True, grad_input=flat[part])
            sums[0] += rows.sum(dim=0)
            for i, (t, mean) in enumerate(zip(normed, means, strict=True), start=1):
                sums[i] += (_rows(t)[part] - mean).mul_(rows).sum(dim=0)
        total, *products = sums.view(-1, frames, channels).sum(dim=1)
        inputs: list[Tensor] = []
        learned: list[Tensor | None] = []
        identity = ctx.has_x and len(normed) == 1
        count = y.numel() // channels
        for t, product, (weight, _, bias, mean, scale) in zip(normed, products, _by_term(terms), strict=True):
            factor = weight * scale
            slope = -factor * scale**2 * product / count
            constant = -factor * total / count - slope * mean
            # g gives way to the last of its uses
            into = before if len(inputs) + 1 == len(normed) and not identity else torch.empty_like(before)
            inputs.append(_affine(before, t, factor.repeat(frames), slope.repeat(frames), constant.repeat(frames), into))
            learned += [product * scale, total, torch.zeros_like(bias), None, None]
        to_x = inputs[1] if len(inputs) == 2 else before if identity else None
        return inputs[0], to_x, *learned


def _affine(a: Tensor, b: Tensor, factor_a: Tensor, factor_b: Tensor, constant: Tensor, out: Tensor) -> Tensor:
    """factor_a a + factor_b b + constant; out may be a."""
    flat_a, flat_b, flat_out = _rows(a), _rows(b), _rows(out)
    for part in _parts(flat_a):
        scaled = torch.addcmul(constant, flat_b[part], factor_b)
        torch.addcmul(scaled, flat_a[part], factor_a, out=flat_out[part])
    return out


def _by_term(terms: tuple[Tensor, ...] | list[Tensor]) -> list[tuple[Tensor, ...]]:
    return [tuple(terms[i : i + 5]) for i in range(0, len(terms), 5)]


def _fused(norm: BatchNorm, y: Tensor) -> bool:
    return norm.training and y.device.type == "cpu" and y.dtype == torch.float32 and y.is_contiguous()


def _normed(norm: BatchNorm, y: Tensor, bias: Tensor) -> Tensor:
    """norm(y + bias)."""
    if norm.training:
        return norm(y + bias.to(y.dtype))
    mean, var = norm.running_mean, norm.running_var
    shift = norm.bias + bias * norm.weight * (var + norm.eps).rsqrt()  # type: ignore[union-attr,operator]
    return F.batch_norm(y.reshape(-1, y.shape[-1]), mean, var, norm.weight, shift, eps=norm.eps).view(y.shape)


class Shortcut(nn.Module):
    """A linear map and batch norm, where a layer changes the shape."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out)
        self.norm = BatchNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        return _normed(self.norm, F.linear(x, self.linear.weight), self.linear.bias)


class Join(nn.Module):
    """leaky(norm(y + bias) + x): what a layer's step gives, joined with its residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, y: Tensor, bias: Tensor, x: Tensor | None = None, shortcut: Shortcut | None = None) -> Tensor:
        """(B, V, T, C) each, x what the shortcut takes if there is one; ``bias`` belongs to y."""
        if not _fused(self.norm, y):
            x = shortcut(x) if x is not None and shortcut is not None else x
            y = _normed(self.norm, y, bias)
            return F.leaky_relu(y if x is None else y + x, SLOPE)
        terms = (self.norm.weight, self.norm.bias, bias, *_batch_statistics(self.norm, y, bias))
        if x is None or shortcut is None:
            return _Join.apply(y, x if x is None else x.contiguous(), *terms)
        linear, norm = shortcut.linear, shortcut.norm
        x = F.linear(x, linear.weight)
        return _Join.apply(y, x, *terms, norm.weight, norm.bias, linear.bias, *_batch_statistics(norm, x, linear.bias))
