"""Backbones: a contract for every one, its parts against the obvious way to write them, and ST-GCN's figures."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_stgcn import PlainSTGCN
from tiny import BACKBONE, DSTA_BACKBONE, sequences
from torch import nn
from torch.nn import functional as F

from skelray.backbones import DSTA, STGCN
from skelray.backbones.cpu import attention, graph_convolution, temporal
from skelray.backbones.cpu.attention import _AttendAndMix, _Scores
from skelray.backbones.cpu.graph_convolution import _AggregateAndMix, _Dense, _Sparse
from skelray.backbones.cpu.norm import batch_norm, statistics
from skelray.backbones.cpu.temporal import fourier_convolution
from skelray.backbones.dropout import Dropout
from skelray.backbones.form import FORMS
from skelray.backbones.graph import hops, spatial_partition
from skelray.backbones.pool import pool
from skelray.backbones.stgcn import GraphConvolution
from skelray.methods.moco import Branch
from skelray.released.stgcn import stgcn_from_released
from skelray.skeleton import KINECT_V1, KINECT_V2

SKELETONS = pytest.mark.parametrize("skeleton", [KINECT_V1, KINECT_V2], ids=["v1", "v2"])
BOTH = {f"{name}-{form}": (b, form) for name, b in (("stgcn", BACKBONE), ("dsta", DSTA_BACKBONE)) for form in FORMS}
BACKBONES = pytest.mark.parametrize(("backbone", "form"), BOTH.values(), ids=BOTH)
F64 = torch.float64


def build(backbone, form=None, skeleton=KINECT_V2, seed=0, dtype=torch.float32):
    """A backbone's encoder with weights that are neither symmetric nor tiny."""
    encoder = backbone.build(skeleton, form)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            around_one = ("norm" in name and name.endswith("weight")) or name.endswith("importance")
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1 + around_one)
    return encoder.to(dtype)


def batch(skeleton=KINECT_V2, dtype=torch.float32, **shape):
    x = sequences(joints=len(skeleton.joints), dtype=dtype, **shape)
    return x, x.ne(0).flatten(1, 3).any(dim=1)


# Contracts


@BACKBONES
@SKELETONS
@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 7, 12, 16, 17, 35, 64])
def test_features_of_any_layout_persons_and_frames(backbone, form, skeleton, persons, frames):
    """Frames below and above the lengths at which an encoder may change how it computes, in every block."""
    encoder = build(backbone, form, skeleton)
    x, present = batch(skeleton, samples=3, frames=frames, persons=persons)
    features = encoder.train()(x, present)
    assert features.shape == (3, encoder.dim)
    assert features.dtype == torch.float32
    features.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert all(p.grad.any() for name, p in encoder.named_parameters() if not name.endswith("bias"))


@BACKBONES
def test_the_same_twice_in_evaluation_mode(backbone, form):
    encoder, (x, present) = build(backbone, form).eval(), batch()
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert torch.equal(encoder(x, present), encoder(x, present))
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


@BACKBONES
@pytest.mark.parametrize("frames", [14, 40])
def test_a_sample_does_not_see_its_batch_in_evaluation_mode(backbone, form, frames):
    encoder = build(backbone, form, dtype=F64)
    x, present = batch(frames=frames, dtype=F64)
    encoder.train()(x, present)  # so that running statistics are not those of nothing
    whole = encoder.eval()(x, present)
    alone = torch.cat([encoder(x[i : i + 1], present[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(whole, alone)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(encoder(x[order], present[order]), whole[order])


@BACKBONES
def test_the_input_is_not_written(backbone, form):
    encoder, (x, present) = build(backbone, form), batch()
    kept = x.clone()
    encoder.train()(x, present).sum().backward()
    assert torch.equal(x, kept)


@BACKBONES
def test_a_state_goes_round(backbone, form):
    one, other, (x, present) = build(backbone, form, seed=1), build(backbone, form, seed=2), batch()
    one.train()(x, present)
    assert not torch.equal(one.eval()(x, present), other.eval()(x, present))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x, present), other(x, present))


@BACKBONES
def test_persons_are_exchangeable(backbone, form):
    encoder, (x, present) = build(backbone, form, dtype=F64).eval(), batch(dtype=F64, absent=False)
    torch.testing.assert_close(encoder(x, present), encoder(x.flip(4), present.flip(1)))


@BACKBONES
def test_time_and_joints_are_not(backbone, form):
    encoder, (x, present) = build(backbone, form, dtype=F64).eval(), batch(dtype=F64)
    for turned in (x.flip(2), x.flip(3), x.flip(1)):
        assert not torch.allclose(encoder(x, present), encoder(turned, present))


@BACKBONES
def test_the_gradient_of_the_input_is_that_of_differences(backbone, form):
    encoder, (x, present) = build(replace(backbone, dropout=0.0), form, dtype=F64).train(), batch(samples=3, dtype=F64)
    x.requires_grad_()
    generator = torch.Generator().manual_seed(0)
    cotangent = torch.randn(3, encoder.dim, generator=generator, dtype=F64)
    direction = torch.randn(x.shape, generator=generator, dtype=F64) * present[:, None, None, None]

    def value(step):
        with torch.no_grad():
            return (encoder(x + step * direction, present) * cotangent).sum()

    (encoder(x, present) * cotangent).sum().backward()
    estimate = (value(1e-6) - value(-1e-6)) / 2e-6
    torch.testing.assert_close((x.grad * direction).sum(), estimate, rtol=1e-4, atol=1e-7)


@BACKBONES
def test_bfloat16_is_close(backbone, form):
    encoder, (x, present) = build(replace(backbone, dropout=0.0), form), batch(frames=40)
    exact = encoder.train()(x, present)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x, present)
    rough.float().sum().backward()
    assert F.cosine_similarity(exact, rough.float()).min() > 0.99
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in encoder.parameters())


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


# The graph


@SKELETONS
def test_messages_are_averages_over_neighbours(skeleton):
    for partition in ("hop1", "spatial"):
        graph = spatial_partition(skeleton, partition)
        torch.testing.assert_close(graph.sum(dim=(0, 1)), torch.ones(len(skeleton.joints)))
        assert ((graph > 0).sum(dim=0) <= 1).all()  # an edge is in one subset
        bones = {frozenset(bone) for bone in skeleton.bones}
        edges = {frozenset((v, w)) for _, v, w in graph.nonzero().tolist() if v != w}
        assert edges == bones


@SKELETONS
def test_the_papers_partition_sends_each_bone_once_each_way(skeleton):
    own, closer, farther = spatial_partition(skeleton, "spatial") > 0
    joints, bones = len(skeleton.joints), len(skeleton.bones)
    assert torch.equal(own, torch.eye(joints, dtype=torch.bool))
    assert closer.sum() == farther.sum() == bones  # 24 / 24 for Kinect v2
    assert all(closer[child, parent] and farther[parent, child] for child, parent in skeleton.bones)


def test_the_released_partition_has_40_and_8_entries():
    own, level, away = spatial_partition(KINECT_V2, "hop1") > 0
    assert (own.sum(), level.sum(), away.sum()) == (25, 40, 8)
    assert away.nonzero().tolist() == [[1, 0], [2, 3], [4, 5], [8, 9], [20, 1], [20, 2], [20, 4], [20, 8]]


def test_hops_count_bones():
    distance = hops(KINECT_V2)
    assert distance[KINECT_V2.index("head"), KINECT_V2.index("foot_left")] == 8
    assert torch.equal(distance, distance.T)
    assert (distance.diagonal() == 0).all()


# ST-GCN


def test_parameters_are_counted_as_published():
    with torch.random.fork_rng([]):
        encoder = STGCN().build(KINECT_V2)
        branch = Branch(encoder, 128)
    assert sum(p.numel() for p in encoder.parameters()) == 821_380
    assert sum(p.numel() for p in branch.parameters()) == 920_068


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [50, 18])
def test_stgcn_is_the_channels_first_encoder(frames, form):
    """Values, statistics and every gradient, in double precision."""
    torch.manual_seed(0)
    plain = PlainSTGCN(spatial_partition(KINECT_V2), hidden=4, dim=16, out=8, dropout=0.0).to(F64)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    encoder = replace(BACKBONE, dropout=0.0).build(KINECT_V2, form).to(F64)
    encoder.load_state_dict(stgcn_from_released(plain.state_dict()))
    x, present = batch(samples=4, frames=frames, dtype=F64)
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    ours, theirs = encoder.train()(leaves[0], present), plain.train().feature(leaves[1])
    torch.testing.assert_close(ours, theirs)
    cotangent = torch.randn(ours.shape, dtype=F64)
    (ours * cotangent).sum().backward()
    (theirs * cotangent).sum().backward()
    torch.testing.assert_close(*[leaf.grad for leaf in leaves])
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    expected = stgcn_from_released(gradients)
    found = {name: p.grad for name, p in encoder.named_parameters()}
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], msg=lambda text, name=name: f"{name}: {text}")
    state = stgcn_from_released(plain.state_dict())
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(tensor, state[name])


def test_an_unknown_released_parameter_is_named():
    with pytest.raises(ValueError, match=r"'st_gcn_networks\.0\.gcn\.other' is no parameter"):
        stgcn_from_released({"st_gcn_networks.0.gcn.other": torch.zeros(1)})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("absent", "sees"), [("average", True), ("exclude", False)])
def test_whether_an_absent_person_counts(absent, sees, form):
    encoder = build(replace(BACKBONE, absent=absent), form, dtype=F64).eval()
    x, present = batch(samples=2, dtype=F64)
    assert present.tolist() == [[True, False], [True, True]]
    features = encoder(x, present)
    ghost = x.clone()
    ghost[0, ..., 1] = 1.0  # what fills the slot of a person who is not there
    changed = encoder(ghost, present)
    assert torch.allclose(changed[0], features[0]) is not sees
    torch.testing.assert_close(changed[1], features[1])


def test_excluding_the_absent_is_seeing_one_person():
    encoder = build(replace(BACKBONE, absent="exclude"), dtype=F64).eval()
    x, present = batch(samples=1, dtype=F64)
    torch.testing.assert_close(encoder(x, present), encoder(x[..., :1], present[:, :1]))
    nobody = encoder(torch.zeros_like(x), torch.zeros_like(present))
    assert torch.equal(nobody, torch.zeros_like(nobody))


@pytest.mark.parametrize("form", FORMS)
def test_the_feature_is_the_mean_of_the_map(form):
    encoder = build(BACKBONE, form, dtype=F64).eval()
    x, present = batch(dtype=F64, frames=50)
    features = encoder.feature_map(x)
    assert features.shape == (6, 2, 13, 25, 16)
    torch.testing.assert_close(encoder(x, present), features.mean(dim=(1, 2, 3)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: STGCN(absent="ignore"), "absent 'ignore' is none of average, exclude"),
        (lambda: STGCN(partition="distance"), "partition 'distance' is none of hop1, spatial"),
        (lambda: STGCN(dropout=1.0), "dropout 1.0"),
        (lambda: STGCN(hidden_channels=0), "hidden_channels 0"),
        (lambda: STGCN(hidden_dim=0), "hidden_dim 0"),
        (lambda: STGCN().build(KINECT_V2, "fast"), "form 'fast' is none of plain, cpu"),
        (lambda: DSTA().build(KINECT_V2, "tpu"), "form 'tpu' is none of plain, cpu, gpu"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_given(make, said):
    with pytest.raises(ValueError, match=said):
        make()
