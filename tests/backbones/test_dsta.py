"""DSTA-Net: beside the channels-first way to write it, what rewires it, its parts, and what it refuses."""

import itertools

import pytest
import torch
from plain_dsta import PlainDSTA
from test_backbones import SKELETONS, batch, build
from torch.nn import functional as F

from skelray.backbones import DSTA
from skelray.backbones.cpu import attention as attention_module
from skelray.backbones.cpu.attention import _AttendAndMix, _Scores
from skelray.backbones.dsta import position_encoding
from skelray.backbones.form import FORMS
from skelray.methods.moco import Branch
from skelray.released.dsta import dsta_from_released
from skelray.skeleton import KINECT_V1, KINECT_V2

SMALL = DSTA(layers=((6, 6, 4, 1), (6, 10, 4, 2), (10, 10, 3, 1), (10, 12, 5, 1)), subsets=2, dropout=0.0)
F64 = torch.float64


def leaf(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


# The encoder


def pair(backbone, dtype=F64, form=None):
    """The plain encoder and ours with the same numbers in them."""
    torch.manual_seed(0)
    plain = PlainDSTA(25, backbone.layers, backbone.subsets, dropout=0.0)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    ours = backbone.build(KINECT_V2, form)
    missing, unexpected = ours.load_state_dict(dsta_from_released(plain.state_dict()), strict=False)
    assert not unexpected
    assert all(name.endswith("position") for name in missing)
    return plain.to(dtype).train(), ours.to(dtype).train()


def drop_some(attention):
    """A rewiring that neither joints nor subsets nor bodies look alike to."""
    pattern = torch.arange(attention.numel(), dtype=attention.dtype).view(attention.shape)
    return attention * (1 + (pattern * 0.7).sin())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rewire", [None, drop_some], ids=["plain", "rewired"])
@pytest.mark.parametrize(("frames", "persons"), [(50, 2), (20, 1), (9, 2), (1, 1)])
def test_dsta_is_the_channels_first_encoder(frames, persons, rewire, form):
    """Values, statistics and every gradient, in double precision."""
    plain, ours = pair(SMALL, form=form)
    x, present = batch(samples=3, frames=frames, persons=persons, dtype=F64)
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    found, expected = ours(leaves[0], present, rewire), plain(leaves[1], rewire)
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn(expected.shape, dtype=F64)
    (found * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    torch.testing.assert_close(*[leaf.grad for leaf in leaves])
    gradients = dsta_from_released({name: p.grad for name, p in plain.named_parameters()})
    assert gradients.keys() == {name for name, _ in ours.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], msg=lambda text, name=name: f"{name}: {text}")
    state = ours.state_dict()
    for name, tensor in dsta_from_released(plain.state_dict()).items():
        torch.testing.assert_close(state[name], tensor, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(ours.eval()(x, present, rewire), plain.eval()(x, rewire))


@pytest.mark.parametrize("form", FORMS)
def test_in_single_precision_it_finds_the_same(form):
    _, exact = pair(SMALL, form="plain")
    _, ours = pair(SMALL, torch.float32, form)
    x, present = batch(samples=8, frames=30)
    expected, found = exact(x.to(F64), present), ours(x, present)
    assert F.cosine_similarity(found.to(F64), expected).min() > 1 - 1e-9
    torch.testing.assert_close(found.to(F64), expected, rtol=1e-3, atol=1e-4)
    wanted = exact.state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor.to(wanted[name].dtype), wanted[name], rtol=1e-3, atol=1e-4, msg=name)


def test_parameters_are_counted_as_published():
    with torch.random.fork_rng([]):
        encoder = DSTA().build(KINECT_V2)
        branch = Branch(encoder, 128)
    assert sum(p.numel() for p in encoder.parameters()) == 1_546_480
    assert sum(p.numel() for p in branch.parameters()) == 1_645_168
    assert encoder.dim == DSTA().hidden_dim == 256


@pytest.mark.parametrize("form", FORMS)
@SKELETONS
@pytest.mark.parametrize("persons", [1, 2])
def test_gradients_reach_every_parameter(skeleton, persons, form):
    """A bias before batch norm does not matter: its gradient is there, and zero."""
    encoder = build(SMALL, form, skeleton)
    x, present = batch(skeleton, samples=3, frames=20, persons=persons)
    features = encoder.train()(x, present)
    assert features.shape == (3, 12)
    features.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        idle = name.endswith("bias") and not name.endswith(("norm.bias", "query_key_bias"))
        assert idle or parameter.grad.any(), name
    encoder.zero_grad()
    encoder.eval()(x, present).square().sum().backward()
    assert all(p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_the_map_has_the_shape_that_pools_to_the_feature(form):
    encoder = build(SMALL, form, KINECT_V1, dtype=F64).eval()
    x, present = batch(KINECT_V1, dtype=F64, frames=33)
    features = encoder.feature_map(x)
    assert features.shape == (6, 2, 17, 20, 12)
    torch.testing.assert_close(encoder(x, present), features.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(encoder.pool(features, present), features.mean(dim=(1, 2, 3)))


def test_dropout_is_drawn_in_training_alone():
    encoder, (x, present) = build(DSTA(layers=SMALL.layers, dropout=0.5)), batch(samples=2)

    def run(seed):
        torch.manual_seed(seed)
        return encoder(x, present)

    encoder.train()
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    encoder.eval()
    assert torch.equal(run(1), run(2))


# What rewires it


@pytest.mark.parametrize("form", FORMS)
def test_rewire_gets_each_layers_attention_and_its_answer_is_used(form):
    encoder, (x, present) = build(SMALL, form, dtype=F64).eval(), batch(samples=2, dtype=F64)
    seen = []

    def watch(attention):
        seen.append(attention)
        return attention

    untouched = encoder(x, present)
    assert torch.equal(encoder(x, present, watch), untouched)
    assert [tuple(attention.shape) for attention in seen] == [(4, 2, 25, 25)] * 4
    learned = encoder.layers[0].attention
    bounded = (seen[0] - learned.shared).abs() <= learned.alpha.abs()[:, None, None]
    assert bounded.all()  # the learned map is in it, beside tanh times alpha
    assert not torch.allclose(encoder(x, present, torch.zeros_like), untouched)


def test_rewire_reads_from_v_to_w():
    """Cutting what leaves a joint, its own edge included, makes the sums over joints blind to it."""
    layer = build(SMALL, dtype=F64).layers[0].attention
    x = leaf(2, 6, 5, 25).detach()
    changed = x.clone()
    changed[..., 7] += 1
    fixed = layer.weights(layer.scores(x), 5)  # what attention x itself draws, so that only the sums see the change

    def cut(attention):
        kept = fixed.clone()
        kept[:, :, 7] = 0
        return kept

    torch.testing.assert_close(layer(x, cut), layer(changed, cut))
    assert not torch.allclose(layer(x, lambda a: fixed), layer(changed, lambda a: fixed))


@pytest.mark.parametrize("form", FORMS)
def test_gradients_pass_what_rewires(form):
    encoder, (x, present) = build(SMALL, form, dtype=F64).train(), batch(samples=2, dtype=F64)
    encoder(x, present, lambda attention: attention * 0.5).square().sum().backward()
    assert all(layer.attention.alpha.grad.any() for layer in encoder.layers)
    encoder.zero_grad()
    encoder(x, present, lambda attention: attention.detach()).square().sum().backward()
    assert all(layer.attention.alpha.grad is None or not layer.attention.alpha.grad.any() for layer in encoder.layers)


# Attention


@pytest.fixture(params=[1, 2**18], ids=["one-body-at-a-time", "all-at-once"])
def part(request, monkeypatch):
    monkeypatch.setattr(attention_module, "PART", request.param)


@pytest.mark.usefixtures("part")
def test_scores_are_their_formula():
    x, weight, bias = leaf(3, 4, 5, 6), leaf(4, 6, 2, seed=1), leaf(4, 4, 2, seed=2)
    mixed = torch.einsum("bvtc,kci->kbvti", x, weight) + bias[:, None, :, None]
    expected = torch.einsum("sbvti,sbwti->bsvw", mixed[:2], mixed[2:])
    found = _Scores.apply(x, weight, bias)
    torch.testing.assert_close(found, expected)
    cotangent = leaf(*expected.shape, seed=3).detach()
    gradients = [torch.autograd.grad((y * cotangent).sum(), (x, weight, bias)) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.usefixtures("part")
def test_attend_and_mix_is_its_formula():
    x, attention, weight = leaf(3, 4, 5, 6), leaf(3, 2, 4, 4, seed=1), leaf(2, 6, 7, seed=2)
    expected = torch.einsum("bvtc,bsvw,sco->bwto", x, attention, weight)
    found = _AttendAndMix.apply(x, attention, weight)
    torch.testing.assert_close(found, expected)
    cotangent = leaf(*expected.shape, seed=3).detach()
    gradients = [torch.autograd.grad((y * cotangent).sum(), (x, attention, weight)) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_positions_are_sines_and_cosines():
    code = position_encoding(5, 7)
    torch.testing.assert_close(code[:, 0], torch.arange(5.0).sin())
    torch.testing.assert_close(code[:, 1], torch.arange(5.0).cos())
    torch.testing.assert_close(code[:, 6], (torch.arange(5.0) * 10000 ** (-6 / 7)).sin())


# What is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DSTA(layers=()), r"layers \(\): at least 1 is needed"),
        (lambda: DSTA(layers=((4, 4, 2),)), r"layer \(4, 4, 2\): \(channels, out, inter, stride\) are four"),
        (lambda: DSTA(layers=((4, 4, 2, 0),)), r"layer \(4, 4, 2, 0\)"),
        (lambda: DSTA(layers=((4, 4, 2, 1), (6, 4, 2, 1))), "one gives 4 channels, the next takes 6"),
        (lambda: DSTA(subsets=0), "subsets 0: at least 1 is needed"),
        (lambda: DSTA(dropout=1.0), "dropout 1.0"),
        (lambda: DSTA(absent="ignore"), "absent 'ignore' is none of average, exclude"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_given(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("name", ["graph_layers.0.other", "st_gcn_networks.0.gcn.conv.weight", "proj.weights"])
def test_an_unknown_released_parameter_is_named(name):
    with pytest.raises(ValueError, match=f"'{name}' is no parameter of a released DSTA-Net"):
        dsta_from_released({"fc.0.weight": torch.zeros(1), name: torch.zeros(1)})


def test_a_changed_layer_is_another_setting():
    settings = {DSTA(), SMALL, DSTA(subsets=2), DSTA(dropout=0.0), DSTA(absent="exclude")}
    assert len(settings) == 5
    assert all(a != b for a, b in itertools.combinations(settings, 2))
