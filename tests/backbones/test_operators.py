"""Operators of the CPU forms, each against the obvious way to write it, and dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_backbones import F64, SKELETONS
from torch import nn
from torch.nn import functional as F

from skelray.backbones.cpu import attention, graph_convolution, temporal
from skelray.backbones.cpu.attention import _AttendAndMix, _Scores
from skelray.backbones.cpu.graph_convolution import _AggregateAndMix, _Dense, _Sparse
from skelray.backbones.cpu.norm import batch_norm, statistics
from skelray.backbones.cpu.temporal import fourier_convolution
from skelray.backbones.dropout import Dropout
from skelray.backbones.graph import spatial_partition
from skelray.backbones.pool import pool
from skelray.backbones.stgcn import GraphConvolution

# Temporal convolution


def direct(x, weight, stride):
    """torch's convolution. x: (T, rows, C), weight: (taps, C, O)."""
    y = F.conv1d(
        x.permute(1, 2, 0).contiguous(), weight.permute(2, 1, 0).contiguous(), stride=stride, padding=len(weight) // 2
    )
    return y.permute(2, 0, 1)


@given(
    frames=st.integers(1, 30),
    taps=st.integers(0, 6).map(lambda half: 2 * half + 1),
    stride=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_fourier_convolution_is_a_convolution(frames, taps, stride, sizes, seed):
    rows, channels, out = sizes
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape):
        return torch.randn(*shape, generator=generator, dtype=F64).requires_grad_()

    x, weight = leaf(frames, rows, channels), leaf(taps, channels, out)
    ours, theirs = fourier_convolution(x, weight, stride), direct(x, weight, stride)
    torch.testing.assert_close(ours, theirs)
    cotangent = leaf(*theirs.shape).detach()
    gradients = [torch.autograd.grad((y * cotangent).sum(), (x, weight)) for y in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("rows_first", [False, True])
@pytest.mark.parametrize("rows", [8, 9])
def test_fourier_convolution_is_the_same_in_parts(monkeypatch, rows, rows_first):
    """Three rows at a time, as many as channels; in either layout, whatever that of the gradient."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, rows, 3, generator=generator, dtype=F64)
    x = x.transpose(0, 1).contiguous().transpose(0, 1) if rows_first else x
    leaves = x.requires_grad_(), torch.randn(3, 3, 2, generator=generator, dtype=F64, requires_grad=True)
    cotangent = torch.randn(5, rows, 2, generator=generator, dtype=F64)
    expected = direct(*leaves, 1)
    monkeypatch.setattr(temporal, "PART", 1)
    found = fourier_convolution(*leaves, 1)
    torch.testing.assert_close(found, expected)
    turned = cotangent.transpose(0, 1).contiguous().transpose(0, 1)
    for grad in (cotangent, turned, cotangent[:1, :1].expand(cotangent.shape)):
        of = [torch.autograd.grad(y, leaves, grad, retain_graph=True) for y in (found, expected)]
        torch.testing.assert_close(*of)


@pytest.mark.parametrize("stride", [1, 2])
def test_fourier_convolution_passes_gradcheck(stride):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, 2, generator=generator, dtype=F64, requires_grad=True)
    weight = torch.randn(3, 2, 2, generator=generator, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: fourier_convolution(x, w, stride), (x, weight))


def test_fourier_convolution_rounds_no_worse_than_the_direct_one():
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(*shape, generator=generator, dtype=F64) for shape in ((13, 50, 64), (9, 64, 64)))
    exact = direct(x, weight, 1)
    error = (fourier_convolution(x.float(), weight.float(), 1) - exact).abs().max()
    assert error < 2 * (direct(x.float(), weight.float(), 1) - exact).abs().max() + 1e-6


def test_fourier_convolution_of_an_input_without_gradient():
    weight = torch.randn(9, 3, 4, requires_grad=True)
    fourier_convolution(torch.randn(6, 2, 3), weight, 1).sum().backward()
    assert weight.grad.shape == weight.shape


# Graph convolution


def mixed(x, graph, weight, bias):
    return torch.einsum("pvrc,kvw,kco->pwro", x, graph, weight) + bias[:, None]


def edges_of(shape):
    """About a third, and in the last subset none."""
    edges = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 1 / 3
    edges[-1] = False
    return edges


def aggregate_and_mix(x, graph, weight, bias):
    return _AggregateAndMix.apply(x, graph, weight, bias, torch.ones_like(graph))


needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch multiplies sparse matrices by MKL")
KINDS = pytest.mark.parametrize(("share", "kind"), [(0, _Dense), pytest.param(1, _Sparse, marks=needs_mkl)])


@KINDS
@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("input_gradient", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 4])
def test_aggregate_and_mix_is_its_formula(monkeypatch, slices, input_gradient, rows, share, kind):
    """Of so many rows at a time, of the four, with all products and with those of the edges alone."""
    monkeypatch.setattr(graph_convolution, "PART", rows * 3 * 5 * 3)
    monkeypatch.setattr(graph_convolution, "SPARSE", share)
    generator = torch.Generator().manual_seed(slices)
    shapes = ((slices, 5, 4, 3), (3, 5, 5), (3, 3, 6), (5, 6))
    inputs = [torch.randn(*shape, generator=generator, dtype=F64) for shape in shapes]
    leaves = [t.requires_grad_() for t in inputs[0 if input_gradient else 1 :]]
    edges = edges_of(shapes[1])
    inputs[1] = inputs[1] * edges
    assert type(graph_convolution._aggregation(inputs[1], edges)) is kind
    ours, theirs = _AggregateAndMix.apply(*inputs, edges), mixed(*inputs)
    torch.testing.assert_close(ours, theirs)
    cotangent = torch.randn(theirs.shape, generator=generator, dtype=F64)
    for grad in (cotangent, cotangent.transpose(1, 2).contiguous().transpose(1, 2), cotangent[:1, :1].expand(theirs.shape)):
        of = [torch.autograd.grad(y, leaves, grad, retain_graph=True) for y in (ours, theirs)]
        torch.testing.assert_close(*of)


@KINDS
def test_aggregate_and_mix_passes_gradcheck(monkeypatch, share, kind):
    monkeypatch.setattr(graph_convolution, "SPARSE", share)
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 2, 2), (2, 3, 3), (2, 2, 3), (3, 3))
    leaves = tuple(torch.randn(*s, generator=generator, dtype=F64, requires_grad=True) for s in shapes)
    assert torch.autograd.gradcheck(aggregate_and_mix, leaves)


def dropped(adjacency):
    return torch.zeros_like(adjacency)


def added(adjacency):
    """Ten times the edges, too many for a product by edges."""
    return adjacency + (torch.rand(adjacency.shape, generator=torch.Generator().manual_seed(1)) < 1 / 4)


@needs_mkl
@SKELETONS
@pytest.mark.parametrize(("rewire", "kind"), [(None, _Sparse), (dropped, _Sparse), (added, _Dense)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_graph_convolution_by_edges_is_that_by_all_entries(monkeypatch, skeleton, rewire, kind, dtype):
    """A part at a time, whatever lay in the memory of a result before; an importance of zero still learns."""
    monkeypatch.setattr(graph_convolution, "PART", 2**12)
    adjacency = spatial_partition(skeleton).to(dtype)
    layer = GraphConvolution(4, 6, adjacency).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
        layer.importance[0] = 0
    x = torch.randn(2, len(adjacency[0]), 30, 4, dtype=dtype, generator=generator, requires_grad=True)
    found = []
    for share, expected in ((graph_convolution.SPARSE, kind), (-1, _Dense)):  # the latter however few there are
        monkeypatch.setattr(graph_convolution, "SPARSE", share)
        graph = adjacency if rewire is None else rewire(adjacency)
        assert type(graph_convolution._aggregation(graph, graph)) is expected
        torch.use_deterministic_algorithms(True)  # fills new memory with NaN
        try:
            y = graph_convolution.graph_convolution(layer, x, rewire)
            found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
        finally:
            torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(*found, **({} if dtype is F64 else {"rtol": 1e-4, "atol": 1e-3}))


def test_graph_convolution_adds_each_subsets_bias_where_its_edges_end():
    graph = torch.rand(3, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    layer = GraphConvolution(2, 4, graph).to(F64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    x = torch.randn(1, 5, 6, 2, dtype=F64)
    edges = graph * layer.importance
    each = torch.einsum("pvrc,kco->kpvro", x, layer.weight) + layer.bias[:, None, None, None]
    expected = torch.einsum("kpvro,kvw->pwro", each, edges)
    torch.testing.assert_close(graph_convolution.graph_convolution(layer, x), expected)
    torch.testing.assert_close(layer(x.permute(0, 3, 2, 1)), expected.permute(0, 3, 2, 1))


SUMMED = {
    "fourier convolution": (temporal, ((13, 512, 1), (9, 1, 1)), lambda x, w: fourier_convolution(x, w, 1)),
    "graph convolution": (graph_convolution, ((1, 1, 6656, 1), (1, 1, 1), (1, 1, 1), (1, 1)), aggregate_and_mix),
    "mixture": (attention, ((512, 1, 13, 1), (512, 1, 1, 1), (1, 1, 1)), _AttendAndMix.apply),
    "scores": (attention, ((512, 1, 13, 1), (2, 1, 1), (2, 1, 1)), _Scores.apply),
}


@pytest.mark.parametrize("name", SUMMED)
def test_gradients_in_bfloat16_are_summed_over_parts_in_float32(monkeypatch, name):
    """Those of 512 parts or more that are all alike: eight bits would stop before half of them."""
    module, shapes, operation = SUMMED[name]
    monkeypatch.setattr(module, "PART", 1)

    def gradients(dtype):
        leaves = [torch.ones(shape, dtype=dtype, requires_grad=True) for shape in shapes]
        operation(*leaves).sum().backward()
        return [leaf.grad.double() for leaf in leaves]

    torch.testing.assert_close(gradients(torch.bfloat16), gradients(F64), rtol=0.02, atol=0.02)


# The mean at the end


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 1, 3, 2, 4), (2, 3, 0, 1, 4), (3, 0, 1, 2, 4)])
@pytest.mark.parametrize("persons", [1, 2])
def test_the_mean_and_its_gradient_do_not_depend_on_how_features_lie(order, persons):
    """And the gradient comes to lie as they do."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, persons, 4, 5, 6, generator=generator, dtype=F64)
    present = torch.tensor([[True, False], [True, True], [False, False]])[:, :persons]
    back = [order.index(d) for d in range(5)]
    lying = features.permute(order).contiguous().permute(back).requires_grad_()
    for absent, weight in (("average", torch.ones_like(present)), ("exclude", present)):
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
        found = pool(lying * 1, present, absent)
        torch.testing.assert_close(found, torch.einsum("nmtvc,nm->nc", features, weight.double()) / 20)
        (gradient,) = torch.autograd.grad(pool(lying, present, absent).sum(), lying)
        torch.testing.assert_close(gradient, (weight.double() / 20)[:, :, None, None, None].expand_as(features))
        assert gradient.permute(order).is_contiguous()


# Batch norm


def test_batch_norm_is_followed_in_place_without_copies():
    """In autograd's eyes its output is no view: a change to one copies the gradient."""
    y = F.relu_(batch_norm(nn.BatchNorm1d(3), torch.randn(2, 4, 3, requires_grad=True)))
    assert not any("CopySlices" in function.name() for function, _ in y.grad_fn.next_functions)


def norms(channels, seed=0):
    """Torch's in float32, for our statistics, and in float64, with the same numbers in them."""
    ours, exact = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels).to(F64)
    with torch.no_grad():
        ours.weight.copy_(torch.rand(channels, generator=torch.Generator().manual_seed(seed)) + 0.5)
        ours.bias.copy_(torch.randn(channels, generator=torch.Generator().manual_seed(seed + 1)))
    exact.load_state_dict(ours.state_dict())
    return ours.train(), exact.train()


@pytest.mark.parametrize("rows", [2, 63, 64, 65, 1000])
def test_batch_norm_is_torchs(rows):
    ours, exact = norms(4)
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(rows)) * 3 + 1
    cotangent = torch.randn(rows, 4, generator=torch.Generator().manual_seed(1))
    leaf, wide = x.clone().requires_grad_(), x.to(F64).requires_grad_()
    y, expected = batch_norm(ours, leaf), exact(wide)
    (y * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    close = {"rtol": 1e-4, "atol": 1e-5 if rows > 2 else 1e-3}  # two rows: the gradient is a difference of large numbers
    torch.testing.assert_close(y.to(F64), expected, **close)
    torch.testing.assert_close(leaf.grad.to(F64), wide.grad, **close)
    torch.testing.assert_close(ours.weight.grad.to(F64), exact.weight.grad, **close)
    torch.testing.assert_close(ours.bias.grad.to(F64), exact.bias.grad, **close)
    for name, buffer in exact.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name].to(buffer.dtype), buffer, **close)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (100.0, 1.0), (-3.0, 0.01)])
@pytest.mark.parametrize("shape", [(200_000, 3), (199_999, 3), (100, 20, 50, 3)])
def test_statistics_of_many_rows_are_exact(shape, mean, std):
    """Where torch's channels-last kernel is off by 3e-4; a prime number of rows cannot be made of longer ones."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * std + mean
    found, var = statistics(x)
    wide = x.to(F64).view(-1, 3)
    assert ((found.to(F64) - wide.mean(dim=0)).abs() / max(1, abs(mean))).max() < 5e-6
    assert (var.to(F64) / wide.var(dim=0, correction=0) - 1).abs().max() < 5e-6


def test_normalised_rows_are_exact_over_many_rows():
    x = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0))
    ours, exact = norms(3)
    assert (batch_norm(ours, x).to(F64) - exact(x.to(F64))).abs().max() < 5e-6


def test_batch_norm_on_any_leading_axes_and_in_evaluation_mode():
    ours, exact = norms(4)
    x = torch.randn(3, 5, 2, 4)
    y = batch_norm(ours, x)
    torch.testing.assert_close(y.to(F64), exact(x.flatten(0, 2).to(F64)).view(x.shape), rtol=1e-5, atol=1e-5)
    y = batch_norm(ours.eval(), x)
    torch.testing.assert_close(y.to(F64), exact.eval()(x.flatten(0, 2).to(F64)).view(x.shape), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1.0, -30.0, 1e3])
def test_batch_norm_of_a_constant_channel_is_its_bias(shift):
    """Up to the rounding of the mean, which the missing spread magnifies by 1 / sqrt(eps)."""
    ours, _ = norms(2)
    y = batch_norm(ours, torch.full((500, 2), shift))
    assert (y - ours.bias).abs().max() <= 2**-23 * abs(shift) / ours.eps**0.5
    assert (ours.running_var >= 0).all()


# Dropout


@pytest.mark.parametrize("p", [0.5, 0.3, 0.1, 2**-20])
def test_dropout_zeroes_a_share_keeps_the_mean_and_drops_the_same_gradient(p):
    torch.manual_seed(0)
    x = torch.ones(301, 333, requires_grad=True)  # no multiple of 8 or 64
    y = Dropout(p).train()(x)
    y.backward(torch.full_like(y, 3.0))
    assert y.max().item() == pytest.approx(1 / (1 - p), rel=2**-16)  # p itself is rounded to 16 bits
    assert set((y / y.max()).unique().tolist()) <= {0.0, 1.0}
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.008)  # five standard deviations
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(x.grad, y.detach() * 3)


@pytest.mark.parametrize("p", [0.5, 0.1])
def test_dropout_takes_its_bits_from_the_global_generator_and_none_is_favoured(p):
    def drawn(seed):
        torch.manual_seed(seed)
        return Dropout(p).train()(torch.ones(4096, 64))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    kept = drawn(3) > 0
    assert (kept.float().mean(dim=0) - (1 - p)).abs().max() < 0.05  # wherever in a word of 64 bits
    neighbours = (kept[:, 1:] == kept[:, :-1]).float().mean(dim=0)
    assert (neighbours - p**2 - (1 - p) ** 2).abs().max() < 0.05


@pytest.mark.parametrize("p", [0.5, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_keeps_the_dtype(p, dtype):
    assert Dropout(p).train()(torch.ones(10, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_no_dropout_is_the_input(p, training):
    x = torch.randn(7, 3)
    assert Dropout(p).train(training)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0])
def test_a_share_that_cannot_be_dropped_is_refused(p):
    with pytest.raises(ValueError, match=f"dropout {p}"):
        Dropout(p)
