"""A bidirectional LSTM that keeps for its gradient what that needs: a third of what torch's keeps on a CPU.

oneDNN, which torch's LSTM is there, keeps 5569 numbers for each step, sample and direction of 256 features. Over half of
these are room that it first writes in the backward pass: a process that hands memory back never touches them in the forward
pass, but one that keeps memory (``machine.keep_memory``) holds them all. Here they are 7 x 256: four gates, the cell, its
tanh and the output. Both directions go through each operation together, which saves half of the calls.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_aten = torch.ops.aten
STEPS = 8  # that pass through the input's weights at a time, so that they need little room beside what is kept


class _Layer(torch.autograd.Function):
    """x: (L, N, C), w_ih: (2, 4H, C), w_hh: (2, 4H, H), bias: (2, 4H) -> (L, 2, N, H), the second of time turned round.

    Gates in torch's order: in, forget, new, out.
    """

    @staticmethod
    def forward(ctx, x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        width = w_hh.shape[2]
        gates = x.new_empty(len(x), 2, x.shape[1], 4 * width)
        for direction, steps in enumerate((x, x.flip(0))):
            for some, into in zip(steps.split(STEPS), gates[:, direction].split(STEPS), strict=True):
                into.copy_(F.linear(some, w_ih[direction], bias[direction]))
        tanhs, outs, cells = (x.new_empty(*gates.shape[:3], width) for _ in range(3))
        turned = w_hh.mT.contiguous()
        # One call makes the views of all steps: a view in each step costs as much as a sum.
        now, cell, tanh, out = gates.unbind(), cells.unbind(), tanhs.unbind(), outs.unbind()
        enter, forget, new, leave = (gate.unbind() for gate in gates.chunk(4, dim=3))
        both = gates[..., : 2 * width].unbind()  # enter and forget
        for t in range(len(x)):
            if t:
                torch.baddbmm(now[t], out[t - 1], turned, out=now[t])
            both[t].sigmoid_()
            new[t].tanh_()
            leave[t].sigmoid_()
            torch.mul(enter[t], new[t], out=cell[t])
            if t:
                cell[t].addcmul_(forget[t], cell[t - 1])
            torch.mul(leave[t], torch.tanh(cell[t], out=tanh[t]), out=out[t])
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, tanhs, outs)
        return outs

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]
        x, w_ih, w_hh, gates, cells, tanhs, outs = ctx.saved_tensors
        now, cell, tanh, to_outs = gates.unbind(), cells.unbind(), tanhs.unbind(), grad.contiguous().unbind()
        enter, forget, new, leave = (gate.unbind() for gate in gates.chunk(4, dim=3))
        steps, to_steps = (x, x.flip(0)), [torch.empty_like(x) for _ in range(2)]
        to_ih, to_hh, to_bias = torch.zeros_like(w_ih), torch.zeros_like(w_hh), x.new_zeros(2, len(w_ih[0]))
        to_cell: Tensor | None = None
        to_next: Tensor | None = None  # of the gates one step later
        for start in reversed(range(0, len(x), STEPS)):
            some = range(start, min(start + STEPS, len(x)))
            to_gates = torch.empty_like(gates[start : some.stop])
            parts = zip(to_gates.unbind(), *(gate.unbind() for gate in to_gates.chunk(4, dim=3)), strict=True)
            for t, (to_now, to_enter, to_forget, to_new, to_leave) in reversed(list(zip(some, parts, strict=True))):
                to_out = to_outs[t] if to_next is None else torch.baddbmm(to_outs[t], to_next, w_hh)
                through_out = _aten.tanh_backward(to_out * leave[t], tanh[t])
                to_cell = through_out if to_cell is None else through_out.addcmul_(to_cell, forget[t + 1])
                torch.mul(to_cell, new[t], out=to_enter)
                torch.mul(to_cell, cell[t - 1], out=to_forget) if t else to_forget.zero_()
                torch.mul(to_out, tanh[t], out=to_leave)
                _aten.sigmoid_backward(to_now, now[t], grad_input=to_now)
                _aten.tanh_backward(to_cell * enter[t], new[t], grad_input=to_new)
                to_next = to_now
            for i in range(2):
                rows = to_gates[:, i].flatten(0, 1)  # (some N, 4H)
                to_steps[i][start : some.stop] = (rows @ w_ih[i]).view(len(some), *x.shape[1:])
                to_ih[i].addmm_(rows.T, steps[i][start : some.stop].flatten(0, 1))
                to_bias[i] += rows.sum(dim=0)
                first = 0 if start else 1  # the first step of all has none before it
                to_hh[i].addmm_(rows[first * x.shape[1] :].T, outs[start + first - 1 : some.stop - 1, i].flatten(0, 1))
        return to_steps[0] + to_steps[1].flip(0), to_ih, to_hh, to_bias


def lstm(cells: nn.LSTM, x: Tensor) -> Tensor:
    """What a bidirectional nn.LSTM makes of (N, L, C), with its weights."""
    x = x.transpose(0, 1)
    for layer in range(cells.num_layers):
        w_ih, w_hh, b_ih, b_hh = map(torch.stack, zip(*cells.all_weights[2 * layer : 2 * layer + 2], strict=True))
        forwards, backwards = _Layer.apply(x.contiguous(), w_ih, w_hh, b_ih + b_hh).unbind(1)
        x = torch.cat((forwards, backwards.flip(0)), dim=2)
    return x.transpose(0, 1)
