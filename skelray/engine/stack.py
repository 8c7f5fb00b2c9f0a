"""The tensors of several trials' models, each as one with a leading axis of lanes, a lane a trial."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from skelray.augment import CannotCapture
from skelray.methods import HasFollowers

ALIGNED = 64  # numbers from which each parameter starts at a multiple, so that kernels read it in whole lines


class Flat:
    """Parameters side by side in one tensor (lanes, P), each a part of it under its name, (lanes, *shape)."""

    def __init__(self, parameters: Mapping[str, Tensor], lanes: int) -> None:
        first = next(iter(parameters.values()))
        if any(p.dtype != first.dtype for p in parameters.values()):
            raise CannotCapture("its parameters are of several precisions")
        sizes = [-(-p.numel() // ALIGNED) * ALIGNED for p in parameters.values()]
        self.starts = dict(zip(parameters, [sum(sizes[:i]) for i in range(len(sizes))], strict=True))
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.whole = torch.zeros(lanes, sum(sizes), dtype=first.dtype, device=first.device)

    def parts(self, whole: Tensor) -> dict[str, Tensor]:
        """Returns the parts of another tensor of this shape, such as momenta, by name."""
        found = {}
        for name, shape in self.shapes.items():
            start = self.starts[name]
            found[name] = whole[:, start : start + shape.numel()].unflatten(1, shape) if shape else whole[:, start]
        return found


class Stack:
    """The models of ``lanes`` trials of one structure, on the device of the first, with no trial in any lane.

    trained and followers: the parameters of the query side and of the key side, flat. leaves: the parts of the former,
    which get gradients; frozen: of the latter; buffers: (lanes, *shape) each. template: a model without numbers, to be
    called with these in their place.
    """

    def __init__(self, model: nn.Module, lanes: int) -> None:
        if not isinstance(model, HasFollowers):
            raise CannotCapture(f"{type(model).__name__} has no followers(epoch), whose averages several trials share")
        self.template = copy.deepcopy(model).to("meta").train()
        named = dict(model.named_parameters())
        self.trained, self.keys = (
            Flat({n: p for n, p in named.items() if p.requires_grad is g}, lanes) for g in (True, False)
        )
        self.leaves = {n: p.detach().requires_grad_() for n, p in self.trained.parts(self.trained.whole).items()}
        self.frozen = self.keys.parts(self.keys.whole)
        self.buffers = {name: torch.stack([torch.zeros_like(b)] * lanes) for name, b in _buffers(model).items()}

    def tensors(self) -> list[Tensor]:
        """Returns all that a step may write."""
        return [self.trained.whole, self.keys.whole, *self.buffers.values()]

    def lane(self, lane: int) -> dict[str, Tensor]:
        """Returns the parameters and buffers of a lane, by the model's names."""
        named = self.trained.parts(self.trained.whole) | self.frozen | self.buffers
        return {name: tensor[lane] for name, tensor in named.items()}

    @torch.no_grad()
    def take(self, lane: int, model: nn.Module) -> None:
        """Puts a model's numbers into a lane, and has it read and write them there."""
        own = _named(model)
        for name, there in self.lane(lane).items():
            there.copy_(own[name])
            own[name].data = there

    @staticmethod
    def give_back(model: nn.Module) -> None:
        """Has a model keep its numbers in tensors of its own again."""
        for tensor in _named(model).values():
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)

    @torch.no_grad()
    def follow(self, epoch: int, share: Tensor) -> None:
        """Moves the key branches towards their queries. share: (lanes, 1), of the query: 1 - m."""
        for key, query in self._followers(epoch):
            key.lerp_(query, share)

    def _followers(self, epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Yields the parts of the flat tensors that lie side by side in both."""
        template: Any = self.template
        names = {id(p): name for name, p in template.named_parameters()}
        places: list[tuple[int, int, int]] = []
        for key, query in template.followers(epoch):
            for one, other in zip(key.parameters(), query.parameters(), strict=True):
                there, here = self.keys.starts[names[id(one)]], self.trained.starts[names[id(other)]]
                places.append((there, here, -(-one.numel() // ALIGNED) * ALIGNED))
        for there, here, size in _merged(places):
            yield self.keys.whole[:, there : there + size], self.trained.whole[:, here : here + size]


def _merged(places: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Neighbours in both as one."""
    starts = [0] if places else []
    starts += [i + 1 for i, (a, b) in enumerate(pairwise(places)) if (a[0] + a[2], a[1] + a[2]) != b[:2]]
    return [
        (*places[start][:2], sum(size for *_, size in places[start:end]))
        for start, end in zip(starts, [*starts[1:], len(places)], strict=True)
    ]


def _named(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | _buffers(model)


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    """Returns the buffers of every module, also one that several share: on another device each has its own."""
    modules = ((f"{name}." if name else "", module) for name, module in model.named_modules())
    return {start + name: b for start, module in modules for name, b in module.named_buffers(recurse=False)}
