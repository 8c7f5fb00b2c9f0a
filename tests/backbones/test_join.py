"""The fused step of both backbones on a CPU, batch norm, dropout, residual and ReLU, beside its operations one by one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skelray.backbones.cpu import parts
from skelray.backbones.cpu import residual as residual_module
from skelray.backbones.cpu.norm import batch_norm
from skelray.backbones.cpu.residual import norm_dropout_residual_relu
from skelray.backbones.dropout import Dropout, half_bits, half_scales

F64 = torch.float64
CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def modules(channels, inputs):
    """A norm, and a residual's linear map and norm, with weights that are neither ones nor zeros."""
    made = nn.ModuleList([nn.BatchNorm2d(channels), nn.Linear(inputs, channels), nn.BatchNorm2d(channels)]).train()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter) + (parameter.dim() == 1))
    return made


def run(made, leaves, residual, slope, cotangent, dropout=None):
    """(output, gradients by name, state) of a step and the modules it uses."""
    y, bias, x = leaves
    norm, linear, other = made
    given = {"none": {}, "identity": {"x": x}, "shortcut": {"x": x, "shortcut": (linear, other)}}[residual]
    out = norm_dropout_residual_relu(norm, y, bias, **given, dropout=dropout, slope=slope)
    (out * cotangent.to(out.dtype)).sum().backward()
    named = {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
    return out, dict(zip("ybx", (t.grad for t in leaves), strict=True)) | named, made.state_dict()


def given(shape, inputs, seed=0):
    """Leaves y, bias and x in double precision, and a cotangent."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (shape, shape[-1:], (*shape[:3], inputs), shape)
    return [torch.randn(*s, generator=generator, dtype=F64) for s in shapes]


def leaves_of(tensors, dtype):
    return [t.clone().to(dtype).requires_grad_() for t in tensors]


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize(
    ("part", "wide"), [(1, 1), (64, 16), (2**16, 2**13)], ids=["row-by-row", "short-rows", "all-at-once"]
)
@pytest.mark.parametrize("residual", ["none", "identity", "shortcut"])
def test_single_precision_is_the_formula(residual, part, wide, slope, monkeypatch):
    """Values, statistics and gradients of the fused step beside the operations one by one in double precision."""
    monkeypatch.setattr(parts, "PART", part)
    monkeypatch.setattr(parts, "WIDE", wide)
    torch.manual_seed(0)
    exact = modules(6, 6 if residual == "identity" else 4)
    fused = modules(6, 6 if residual == "identity" else 4)
    fused.load_state_dict(exact.state_dict())
    *tensors, cotangent = given((3, 5, 4, 6), 6 if residual == "identity" else 4)
    expected, wanted, state = run(exact.to(F64), leaves_of(tensors, F64), residual, slope, cotangent)
    found, gradients, after = run(fused, leaves_of(tensors, torch.float32), residual, slope, cotangent)
    if residual == "none":
        y, bias, _ = tensors
        by_hand = F.batch_norm((y + bias).view(-1, 6), None, None, exact[0].weight, exact[0].bias, True)
        torch.testing.assert_close(expected, F.leaky_relu(by_hand, slope).view_as(expected))
    assert found.dtype == torch.float32
    assert type(found.grad_fn).__name__ == "_NormDropoutResidualReLUBackward"
    torch.testing.assert_close(found.to(F64), expected, **CLOSE)
    assert gradients.keys() == wanted.keys()
    for name in wanted:
        if wanted[name] is None:
            assert gradients[name] is None
        else:
            torch.testing.assert_close(gradients[name].to(F64), wanted[name], **CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    for name in state:
        torch.testing.assert_close(after[name].to(state[name].dtype), state[name], **CLOSE)


@pytest.mark.parametrize("residual", ["identity", "shortcut"])
def test_memory_may_lie_in_any_order(residual):
    """Of the residual and of the gradient; y comes from a product and lies in order."""
    torch.manual_seed(0)
    made = modules(6, 6)
    y, bias, x, cotangent = (t.float() for t in given((3, 5, 4, 6), 6))
    turned = [t.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) for t in (x, cotangent)]
    (expected, wanted, _), (found, gradients, _) = (
        run(made, leaves_of((y, bias, residue), torch.float32), residual, 0.0, weight)
        for residue, weight in ((x, cotangent), turned)
    )
    torch.testing.assert_close(found, expected)
    for name in "yx":
        torch.testing.assert_close(gradients[name], wanted[name])


def test_a_frozen_norm_of_the_residual_stays_as_it_is():
    norm, linear, other = modules(6, 4)
    other.eval()
    before = other.running_mean.clone()
    y, bias, x, _ = (t.float() for t in given((3, 5, 4, 6), 4))
    found = norm_dropout_residual_relu(norm, y, bias, x, (linear, other))
    assert torch.equal(other.running_mean, before)
    torch.testing.assert_close(found, F.relu(batch_norm(norm, y + bias) + batch_norm(other, linear(x))))


class Kept(nn.Module):
    """Stands in for dropout where its bits are known."""

    p = 0.5

    def __init__(self, bits):
        super().__init__()
        self.bits = bits

    def forward(self, x):
        return x * half_scales(self.bits, x)


@pytest.mark.parametrize("part", [1, 64, 2**16])
@pytest.mark.parametrize("residual", ["none", "identity", "shortcut"])
def test_dropout_is_of_what_the_norm_gives_alone(residual, part, monkeypatch):
    monkeypatch.setattr(parts, "PART", part)
    torch.manual_seed(0)
    exact = modules(6, 6 if residual == "identity" else 4)
    fused = modules(6, 6 if residual == "identity" else 4)
    fused.load_state_dict(exact.state_dict())
    *tensors, cotangent = given((3, 5, 4, 6), 6 if residual == "identity" else 4)
    bits = half_bits(tensors[0])
    monkeypatch.setattr(residual_module, "half_bits", lambda x: bits)
    expected, wanted, _ = run(exact.to(F64), leaves_of(tensors, F64), residual, 0.0, cotangent, Kept(bits))
    found, gradients, _ = run(fused, leaves_of(tensors, torch.float32), residual, 0.0, cotangent, Dropout(0.5))
    torch.testing.assert_close(found.to(F64), expected, **CLOSE)
    assert gradients.keys() == wanted.keys()
    for name in wanted:
        if wanted[name] is not None:
            torch.testing.assert_close(gradients[name].to(F64), wanted[name], **CLOSE, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(("channels", "p"), [(6, 0.5), (5, 0.5), (6, 0.25)], ids=["fused", "odd rows", "other share"])
def test_dropout_drops_its_share_and_follows_the_seed(channels, p):
    norm, y = nn.BatchNorm2d(channels).train(), torch.randn(16, 25, 3 if channels == 5 else 4, channels)
    norm.bias.data.fill_(100.0)  # so that what is not dropped is positive
    outs = []
    for _ in range(2):
        torch.manual_seed(1)
        outs.append(norm_dropout_residual_relu(norm, y, dropout=Dropout(p).train()))
    assert torch.equal(*outs)
    kept = outs[0] > 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.03)
    torch.testing.assert_close(outs[0][kept].mean().item(), 100.0 / (1 - p), rtol=0.01, atol=0)
    assert norm_dropout_residual_relu(norm, y, dropout=Dropout(p).eval()).min() > 0
