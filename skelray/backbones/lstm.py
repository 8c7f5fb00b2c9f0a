"""An LSTM that keeps for its gradient what that needs: a third of what torch's keeps on a CPU.

oneDNN, which torch's LSTM is there, keeps 5569 numbers for each step, sample and direction of 256 features. Over half of
these are room that it first writes in the backward pass: a process that hands memory back never touches them in the forward
pass, but one that keeps memory (``machine.keep_memory``) holds them all. Here they are 7 x 256: four gates, the cell, its
tanh and the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_aten = torch.ops.aten


class _Direction(torch.autograd.Function):
    """x: (L, N, C), w_ih: (4H, C), w_hh: (4H, H), bias: (4H) -> (L, N, H). Gates in torch's order: in, forget, new, out."""

    @staticmethod
    def forward(ctx, x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, reverse: bool) -> Tensor:  # type: ignore[no-untyped-def]
        width = w_hh.shape[1]
        gates = F.linear(x, w_ih, bias)
        tanhs, outs, cells = (x.new_empty(len(x), x.shape[1], width) for _ in range(3))
        # One call makes the views of all steps: a view in each step costs as much as a sum.
        now, cell, tanh, out = gates.unbind(), cells.unbind(), tanhs.unbind(), outs.unbind()
        enter, forget, new, leave = (gate.unbind() for gate in gates.chunk(4, dim=2))
        both = gates[..., : 2 * width].unbind()  # enter and forget
        for t, before in _order(len(x), reverse):
            if before is not None:
                torch.addmm(now[t], out[before], w_hh.T, out=now[t])
            both[t].sigmoid_()
            new[t].tanh_()
            leave[t].sigmoid_()
            torch.mul(enter[t], new[t], out=cell[t])
            if before is not None:
                cell[t].addcmul_(forget[t], cell[before])
            torch.mul(leave[t], torch.tanh(cell[t], out=tanh[t]), out=out[t])
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, tanhs, outs)
        ctx.reverse = reverse
        return outs

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        x, w_ih, w_hh, gates, cells, tanhs, outs = ctx.saved_tensors
        to_gates = torch.empty_like(gates)
        now, cell, tanh, to_now, to_outs = gates.unbind(), cells.unbind(), tanhs.unbind(), to_gates.unbind(), grad.unbind()
        enter, forget, new, leave = (gate.unbind() for gate in gates.chunk(4, dim=2))
        to_enter, to_forget, to_new, to_leave = (gate.unbind() for gate in to_gates.chunk(4, dim=2))
        to_cell = after = None
        for t, before in reversed(_order(len(x), ctx.reverse)):
            to_out = to_outs[t] if after is None else torch.addmm(to_outs[t], to_now[after], w_hh)
            through_out = _aten.tanh_backward(to_out * leave[t], tanh[t])
            to_cell = through_out if after is None else through_out.addcmul_(to_cell, forget[after])
            torch.mul(to_cell, new[t], out=to_enter[t])
            if before is None:
                to_forget[t].zero_()
            else:
                torch.mul(to_cell, cell[before], out=to_forget[t])
            torch.mul(to_out, tanh[t], out=to_leave[t])
            _aten.sigmoid_backward(to_now[t], now[t], grad_input=to_now[t])
            _aten.tanh_backward(to_cell * enter[t], new[t], grad_input=to_new[t])
            after = t
        rows = to_gates.flatten(0, 1)
        later, earlier = (to_gates[:-1], outs[1:]) if ctx.reverse else (to_gates[1:], outs[:-1])
        return (
            to_gates @ w_ih,
            rows.T @ x.flatten(0, 1),
            later.flatten(0, 1).T @ earlier.flatten(0, 1),
            rows.sum(dim=0),
            None,
        )


def _order(steps: int, reverse: bool) -> list[tuple[int, int | None]]:
    """Each step in turn and the step before it."""
    order = list(range(steps))[:: -1 if reverse else 1]
    return list(zip(order, [None, *order], strict=False))


def lstm(cells: nn.LSTM, x: Tensor) -> Tensor:
    """What a bidirectional nn.LSTM makes of (N, L, C), with its weights."""
    for layer in range(cells.num_layers):
        steps = x.transpose(0, 1).contiguous()
        directions = zip((False, True), cells.all_weights[2 * layer : 2 * layer + 2], strict=True)
        outs = [
            _Direction.apply(steps, w_ih, w_hh, b_ih + b_hh, reverse) for reverse, (w_ih, w_hh, b_ih, b_hh) in directions
        ]
        x = torch.cat([out.transpose(0, 1) for out in outs], dim=2)
    return x
