"""One recurrence of several sequences, directions and weights is torch's own of each, gradients too."""

import pytest
import torch
from torch import nn

from skelray.backbones.gpu.recurrence import Read, together

F64 = torch.float64


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("layers", [1, 2])
def test_one_recurrence_is_eight(kind, layers):
    """Two branches of four granularities, of lengths of their own; a third with a single one, as of another depth."""
    torch.manual_seed(0)
    cells = [kind(6, 3, layers, batch_first=True, bidirectional=True, dtype=F64) for _ in range(3)]
    lengths = [(16, 8, 4, 2), (13, 6, 3, 1), (5,)]
    inputs = [[torch.randn(3, steps, 6, dtype=F64, requires_grad=True) for steps in own] for own in lengths]
    found = together([Read(*one) for one in zip(cells, inputs, strict=True)])
    for cell, own, outputs in zip(cells, inputs, found, strict=True):
        for x, output in zip(own, outputs, strict=True):
            expected = cell(x)[0]
            torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    factors = [torch.randn_like(one) for outputs in found for one in outputs]
    leaves = [*(x for own in inputs for x in own), *(p for cell in cells for p in cell.parameters())]
    apart = [cell(x)[0] for cell, own in zip(cells, inputs, strict=True) for x in own]
    gradients = [
        torch.autograd.grad(sum((one * factor).sum() for one, factor in zip(outputs, factors, strict=True)), leaves)
        for outputs in ([one for outputs in found for one in outputs], apart)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-12)
