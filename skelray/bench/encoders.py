"""What calls of an encoder within a step take: an equal call is counted once, whichever branch or method makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from skelray.augment import Rewire
from skelray.backbones.dsta import DSTAEncoder
from skelray.backbones.stgcn import STGCNEncoder
from skelray.bench.flop import Counter
from skelray.skeleton import Skeleton

Encoder = STGCNEncoder | DSTAEncoder


@dataclass(frozen=True)
class _Call:
    """The cost of a call. flops: with its backward pass if it has one; kept: bytes for that; shape: of the feature map."""

    flops: int
    kept: int
    shape: torch.Size


class EncoderCosts:
    """The costs of calls of ``feature_map``, by what decides them."""

    def __init__(self) -> None:
        self._calls: dict[Any, _Call] = {}

    @contextmanager
    def known_in(self, model: nn.Module, skeleton: Skeleton, counter: Counter) -> Iterator[list[int]]:
        """Has a model's encoders count equal calls once: within, each returns noise in the shape of its feature map.

        counter: runs around, and is given what a known call takes. Yields a list of the bytes that each call keeps.
        """
        kept: list[int] = []
        encoders = [module for module in model.modules() if isinstance(module, Encoder)]
        for encoder in encoders:
            encoder.feature_map = self._counted(encoder, skeleton, counter, kept)  # type: ignore[assignment]
        try:
            yield kept
        finally:
            for encoder in encoders:
                del encoder.feature_map

    def _counted(
        self, encoder: Encoder, skeleton: Skeleton, counter: Counter, kept: list[int]
    ) -> Callable[[Tensor, Rewire | None], Tensor]:
        compute = encoder.feature_map

        def feature_map(x: Tensor, rewire: Rewire | None = None) -> Tensor:
            trained = torch.is_grad_enabled() and any(p.requires_grad for p in encoder.parameters())
            config = replace(encoder.config, absent="average")  # of the pooling that follows
            # a gradient of the input, as a learned mask asks for, adds a ten-thousandth at most: the next call is like it
            of_input = (tuple(x.shape), x.stride(), x.dtype)
            key = (type(encoder), config, encoder.form, skeleton.name, *of_input, type(rewire), trained)
            if key in self._calls:
                counter.add(self._calls[key].flops)
            else:
                self._calls[key] = _count(lambda given: compute(given, rewire), x, encoder, counter)
            kept.append(self._calls[key].kept)
            return torch.randn(self._calls[key].shape, requires_grad=trained)

        return feature_map


def _count(compute: Callable[[Tensor], Tensor], x: Tensor, encoder: nn.Module, counter: Counter) -> _Call:
    """Runs a call and its backward pass."""
    before = counter.get_total_flops()
    own = {p.untyped_storage().data_ptr() for p in [*encoder.parameters(), *encoder.buffers()]}
    with record_saved_bytes() as kept:
        y = compute(x.detach().clone().requires_grad_(x.requires_grad))
        shape = y.shape
        if y.requires_grad:
            y.sum().backward()  # no gradient is given: to check its shape torch imports sympy, which takes half a second
    return _Call(counter.get_total_flops() - before, sum(n for at, n in kept.items() if at not in own), shape)


@contextmanager
def record_saved_bytes() -> Iterator[dict[int, int]]:
    """Yields the bytes of each storage that is saved for a gradient within, by its address."""
    kept: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        yield kept
