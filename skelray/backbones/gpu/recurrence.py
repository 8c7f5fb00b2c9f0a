"""Recurrences of several sequences, directions and weights as one: as many dependent steps as the longest sequence has.

torch's own GRU and LSTM run one sequence length and one set of weights at a time, and no lanes of several trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIRECTIONS = ("", "_reverse")


States = tuple[Tensor, ...]  # the hidden state (2 G, rows, H / 2), and an LSTM's cell state
Step = Callable[[Tensor, Tensor, States], States]  # of the input's gates, the state's own, and the states


class Read(NamedTuple):
    """Sequences that a bidirectional GRU or LSTM reads, the longest first: (N, L, I) each, with its own L."""

    cells: nn.RNNBase
    sequences: list[Tensor]


def together(reads: Sequence[Read]) -> list[list[Tensor]]:
    """Returns what the cells, all of one kind and shape, give for each of their sequences: (N, L, H) each."""
    cells = reads[0].cells
    step = _gru if cells.mode == "GRU" else _lstm
    found = [read.sequences for read in reads]
    for layer in range(cells.num_layers):
        found = _layer([read.cells for read in reads], found, layer, step)
    return found


def _layer(cells: Sequence[nn.RNNBase], sequences: list[list[Tensor]], layer: int, step: Step) -> list[list[Tensor]]:
    """G cells with up to S sequences of N samples each, in 2 G rows of states: forward, then backward."""
    slots, samples = max(map(len, sequences)), len(sequences[0][0])
    lengths = [max(own[slot].shape[1] for own in sequences if slot < len(own)) for slot in range(slots)]
    weights = [_stacked(cells, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    inputs, recurrent, bias, own_bias = weights
    x = torch.stack([_padded(own, lengths, turned) for turned in (False, True) for own in sequences])  # (2 G, T, S N, I)
    gates = torch.baddbmm(bias[:, None], x.flatten(1, 2), inputs.mT).unflatten(1, x.shape[1:3])
    states: tuple[Tensor, ...] = (gates.new_zeros(len(gates), slots * samples, recurrent.shape[2]),) * 2
    outputs: list[Tensor] = []
    for t in range(lengths[0]):
        rows = samples * sum(length > t for length in lengths)
        states = tuple(state[:, :rows] for state in states)
        own = torch.baddbmm(own_bias[:, None], states[0], recurrent.mT)
        states = step(gates[:, t, :rows], own, states)
        outputs.append(states[0])  # (2 G, rows, H / 2)
    return _sorted_out(outputs, sequences, lengths, samples)


def _stacked(cells: Sequence[nn.RNNBase], name: str) -> Tensor:
    """Returns a parameter of all cells, forward, then backward: (2 G, ...)."""
    return torch.stack([getattr(cell, name + direction) for direction in DIRECTIONS for cell in cells])


def _padded(sequences: list[Tensor], lengths: list[int], turned: bool) -> Tensor:
    """Returns the sequences of a cell side by side, each from its start, or turned from its end: (T, S N, I)."""
    samples, _, width = sequences[0].shape
    parts = []
    for slot in range(len(lengths)):
        if slot < len(sequences):
            x = sequences[slot].flip(1) if turned else sequences[slot]
            parts.append(F.pad(x, (0, 0, 0, lengths[0] - x.shape[1])))
        else:
            parts.append(sequences[0].new_zeros(samples, lengths[0], width))
    return torch.stack(parts).flatten(0, 1).transpose(0, 1)


def _sorted_out(
    outputs: list[Tensor], sequences: list[list[Tensor]], lengths: list[int], samples: int
) -> list[list[Tensor]]:
    """Both directions of each sequence at its own steps: (N, L, H)."""
    found: list[list[Tensor]] = [[] for _ in sequences]
    for slot, length in enumerate(lengths):
        of_slot = torch.stack([one[:, slot * samples : (slot + 1) * samples] for one in outputs[:length]], dim=2)
        for cell, own in enumerate(sequences):
            if slot < len(own):
                steps = own[slot].shape[1]
                back = of_slot[len(sequences) + cell, :, :steps].flip(1)
                found[cell].append(torch.cat((of_slot[cell, :, :steps], back), dim=2))
    return found


def _gru(given: Tensor, own: Tensor, states: States) -> States:
    width = states[0].shape[2]
    reset, update = torch.sigmoid(given[..., : 2 * width] + own[..., : 2 * width]).chunk(2, dim=2)
    new = torch.tanh(torch.addcmul(given[..., 2 * width :], reset, own[..., 2 * width :]))
    return (torch.lerp(new, states[0], update),)


def _lstm(given: Tensor, own: Tensor, states: States) -> States:
    into, forget, new, out = (given + own).chunk(4, dim=2)
    cell = torch.addcmul(torch.sigmoid(forget) * states[1], torch.sigmoid(into), torch.tanh(new))
    return torch.sigmoid(out) * torch.tanh(cell), cell
