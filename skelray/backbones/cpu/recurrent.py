"""A bidirectional LSTM and GRU that keep for their gradients what those need, and call little, on a CPU.

oneDNN, which torch's LSTM is there, keeps 5569 numbers for each step, sample and direction of 256 features. Over half of
these are room that it first writes in the backward pass: a process that hands memory back never touches them in the forward
pass, but one that keeps memory (``machine.keep_memory``) holds them all. Here they are 7 x 256: four gates, the cell, its
tanh and the output. torch's GRU is no one operation there but a dozen for each step and direction, and more for the
gradient; here they are five, and they keep 5 x 256: three gates, what the state gives the new one, and the output.
Both directions go through each operation together, which saves half of the calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from skelray.backbones.cpu.precision import autocast_dtype, sum_dtype

_aten = torch.ops.aten
STEPS = 8  # whose gradients are formed at a time, so that they need little room beside what is kept


def _both_ways(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, x.flip(0)


def _read(x: Tensor, weight: Tensor, bias: Tensor, gates: Tensor) -> None:
    """Writes a linear map of x (L, N, C), its time forwards and backwards, into gates (2, L, N, G)."""
    for steps, w, b, into in zip(_both_ways(x), weight, bias, gates, strict=True):
        torch.addmm(b, steps.flatten(0, 1), w.T, out=into.view(-1, len(w)))


class _Gradients:
    """Of x (L, N, C) and the weights, some steps at a time; outs: (2, L, N, H).

    inputs, states: which of the gates' gradients (2, some, N, G) the input's weights see, and the state's.
    """

    def __init__(self, x: Tensor, outs: Tensor, w_ih: Tensor, w_hh: Tensor, inputs: slice, states: slice) -> None:
        self.steps, self.outs, self.w_ih, self.inputs, self.states = _both_ways(x), outs, w_ih, inputs, states
        self.to_steps = [torch.empty_like(x) for _ in range(2)]
        exact = sum_dtype(x)
        self.to_ih, self.to_hh = torch.zeros_like(w_ih, dtype=exact), torch.zeros_like(w_hh, dtype=exact)
        self.to_bias = x.new_zeros(2, max(inputs.stop, states.stop), dtype=exact)

    def add(self, start: int, to_gates: Tensor) -> None:
        """Those of the steps from ``start`` on."""
        some = slice(start, start + to_gates.shape[1])
        samples = to_gates.shape[2]
        first = 0 if start else 1  # the first step of all has none before it
        self.to_bias += to_gates.sum(dim=(1, 2))
        for i, rows in enumerate(to_gates.flatten(1, 2)):  # (some N, G)
            to_inputs, to_states = rows[:, self.inputs], rows[first * samples :, self.states]
            torch.mm(to_inputs, self.w_ih[i], out=self.to_steps[i][some].flatten(0, 1))
            self.to_ih[i].add_(to_inputs.T @ self.steps[i][some].flatten(0, 1))
            self.to_hh[i].add_(to_states.T @ self.outs[i, some.start + first - 1 : some.stop - 1].flatten(0, 1))

    def all(self) -> tuple[Tensor, ...]:
        """Of x, the input's weights and the state's, and either's biases: tensors of their own, in the precision of x."""
        to_x = self.to_steps[0] + self.to_steps[1].flip(0)
        learned = self.to_ih, self.to_hh, self.to_bias[:, self.inputs], self.to_bias[:, self.states].clone()
        return to_x, *(t.to(to_x.dtype) for t in learned)


def _backwards(steps: int) -> list[range]:
    """STEPS of them at a time, the last first."""
    return [range(start, min(start + STEPS, steps)) for start in reversed(range(0, steps, STEPS))]


class _LSTMLayer(torch.autograd.Function):
    """x: (L, N, C), w_ih: (2, 4H, C), w_hh: (2, 4H, H), biases: (2, 4H) -> (2, L, N, H), the second of time turned round.

    Gates in torch's order: in, forget, new, out.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        width = w_hh.shape[2]
        gates = x.new_empty(2, *x.shape[:2], 4 * width)
        _read(x, w_ih, b_ih + b_hh, gates)
        tanhs, outs, cells = (x.new_empty(*gates.shape[:3], width) for _ in range(3))
        turned = w_hh.mT.contiguous()
        # One call makes the views of all steps: a view in each step costs as much as a sum.
        now, cell, tanh, out = (t.unbind(1) for t in (gates, cells, tanhs, outs))
        enter, forget, new, leave = (gate.unbind(1) for gate in gates.chunk(4, dim=3))
        both = gates[..., : 2 * width].unbind(1)  # enter and forget
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
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, w_ih, w_hh, gates, cells, tanhs, outs = ctx.saved_tensors
        now, cell, tanh, to_outs = (t.unbind(1) for t in (gates, cells, tanhs, grad))
        enter, forget, new, leave = (gate.unbind(1) for gate in gates.chunk(4, dim=3))
        whole = slice(0, gates.shape[3])
        gradients = _Gradients(x, outs, w_ih, w_hh, whole, whole)
        to_cell: Tensor | None = None
        to_next: Tensor | None = None  # of the gates one step later
        for some in _backwards(len(x)):
            to_gates = gates.new_empty(2, len(some), *gates.shape[2:])
            parts = zip(to_gates.unbind(1), *(gate.unbind(1) for gate in to_gates.chunk(4, dim=3)), strict=True)
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
            gradients.add(some.start, to_gates)
        return gradients.all()


class _GRULayer(torch.autograd.Function):
    """x: (L, N, C), w_ih: (2, 3H, C), w_hh: (2, 3H, H), biases: (2, 3H) -> (2, L, N, H), the second of time turned round.

    Gates in torch's order: reset, update, new. Kept as new, reset, update, hidden, so that what an input moves lies side by
    side, and what a state moves: new = tanh(input's + reset hidden), output = new + update (state - new).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        width = w_hh.shape[2]
        gates = x.new_empty(2, *x.shape[:2], 4 * width)
        outs = x.new_empty(*gates.shape[:3], width)
        w_ih, bias = w_ih.roll(width, dims=1), b_ih.roll(width, dims=1)  # new, reset, update
        bias[:, width:] += b_hh[:, : 2 * width]
        _read(x, w_ih, bias, gates[..., : 3 * width])
        gates[..., 3 * width :] = b_hh[:, None, None, 2 * width :]
        turned, out = w_hh.mT.contiguous(), outs.unbind(1)
        new, reset, update, hidden = (gate.unbind(1) for gate in gates.chunk(4, dim=3))
        moved, both = gates[..., width:].unbind(1), gates[..., width : 3 * width].unbind(1)
        for t in range(len(x)):
            if t:
                torch.baddbmm(moved[t], out[t - 1], turned, out=moved[t])
            both[t].sigmoid_()
            new[t].addcmul_(reset[t], hidden[t]).tanh_()
            if t:
                torch.lerp(new[t], out[t - 1], update[t], out=out[t])
            else:
                torch.addcmul(new[t], new[t], update[t], value=-1, out=out[t])
        ctx.save_for_backward(x, w_ih, w_hh, gates, outs)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, w_ih, w_hh, gates, outs = ctx.saved_tensors
        width = w_hh.shape[2]
        new, reset, update, hidden = (gate.unbind(1) for gate in gates.chunk(4, dim=3))
        both, out, to_outs = (t.unbind(1) for t in (gates[..., width : 3 * width], outs, grad))
        inputs, states = slice(0, 3 * width), slice(width, 4 * width)
        gradients = _Gradients(x, outs, w_ih, w_hh, inputs, states)
        to_out: Tensor | None = None
        to_next: Tensor | None = None  # of what the state moves, one step later
        for some in _backwards(len(x)):
            to_gates = gates.new_empty(2, len(some), *gates.shape[2:])
            to_new, to_reset, to_update, to_hidden = (gate.unbind(1) for gate in to_gates.chunk(4, dim=3))
            to_moved, to_both = to_gates[..., states].unbind(1), to_gates[..., width : 3 * width].unbind(1)
            for i, t in reversed(list(enumerate(some))):
                if to_out is None or to_next is None:
                    to_out = to_outs[t]
                else:
                    to_out = torch.addcmul(to_outs[t], to_out, update[t + 1]).baddbmm_(to_next, w_hh)
                _aten.tanh_backward(torch.addcmul(to_out, to_out, update[t], value=-1), new[t], grad_input=to_new[i])
                torch.mul(to_new[i], reset[t], out=to_hidden[i])
                torch.mul(to_new[i], hidden[t], out=to_reset[i])
                torch.mul(to_out, out[t - 1] - new[t] if t else -new[t], out=to_update[i])
                _aten.sigmoid_backward(to_both[i], both[t], grad_input=to_both[i])
                to_next = to_moved[i]
            gradients.add(some.start, to_gates)
        to_x, to_ih, to_hh, to_input, to_state = gradients.all()
        return to_x, to_ih.roll(-width, dims=1), to_hh, to_input.roll(-width, dims=1), to_state


def recurrent(cells: nn.LSTM | nn.GRU, x: Tensor) -> Tensor:
    """What a bidirectional nn.LSTM or nn.GRU makes of (N, L, C), with its weights.

    Under autocast in its precision, the state too, which torch's GRU keeps in float32 there.
    """
    dtype, layer = autocast_dtype(x), _LSTMLayer if isinstance(cells, nn.LSTM) else _GRULayer
    x = x.transpose(0, 1)
    for i in range(cells.num_layers):
        weights = map(torch.stack, zip(*cells.all_weights[2 * i : 2 * i + 2], strict=True))
        forwards, backwards = layer.apply(x.to(dtype).contiguous(), *(w.to(dtype) for w in weights))
        x = torch.cat((forwards, backwards.flip(0)), dim=2)
    return x.transpose(0, 1)
