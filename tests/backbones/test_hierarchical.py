"""HiCo's hierarchical encoder: the contract of a backbone, its S2S encoders, and each of its choices."""

from dataclasses import dataclass, replace

import pytest
import torch
from plain_hierarchical import PlainHiCo
from tiny import LEVELLED, model, sequences
from torch import nn
from torch.nn import functional as F

from skelray.backbones import GRU, LSTM, Hierarchical, Transformer
from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.methods import HiCo
from skelray.methods.moco import Branch, initialise
from skelray.released.hierarchical import heads_from_released, hierarchical_from_released
from skelray.skeleton import KINECT_V1, KINECT_V2

F64 = torch.float64
SMALL = Hierarchical(hidden_dim=8, granularity=3, frames=14)


@dataclass(frozen=True)
class Convolution:
    """An S2S encoder as a study file may define it."""

    taps: int = 3

    def build(self, hidden_dim):
        return ConvolutionLayer(hidden_dim, self.taps)


class ConvolutionLayer(nn.Module):
    def __init__(self, width, taps):
        super().__init__()
        self.conv = nn.Conv1d(width, width, taps, padding=taps // 2)

    def forward(self, x):
        return x + self.conv(x.transpose(1, 2)).relu().transpose(1, 2)


S2S = (
    Transformer(heads=2, dropout=0.0),
    Transformer(heads=4, layers=2, feedforward=12),
    GRU(),
    GRU(2),
    LSTM(),
    Convolution(),
)
s2s = pytest.mark.parametrize("kind", S2S, ids=str)
VARIANTS = (
    *(SMALL, replace(SMALL, s2s=GRU()), replace(SMALL, s2s=LSTM()), replace(SMALL, downsampling="full", shared=False)),
    *(replace(SMALL, embedding_norm=False, norm_first=False), replace(SMALL, granularity=1, kernel=3, factor=3)),
    *(replace(SMALL, branches=("temporal",)), replace(SMALL, branches=("spatial",), persons=1)),
)
variants = pytest.mark.parametrize("backbone", VARIANTS, ids=range(len(VARIANTS)))


def build(backbone, skeleton=KINECT_V2, seed=0, dtype=torch.float32):
    """An encoder with weights decided by the seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        encoder = backbone.build(skeleton)
        initialise(encoder, "xavier")
    return encoder.to(dtype)


def batch(backbone, skeleton=KINECT_V2, dtype=torch.float32, samples=3, absent=True):
    shape = {"frames": backbone.frames, "persons": backbone.persons, "joints": len(skeleton.joints)}
    x = sequences(samples=samples, dtype=dtype, absent=absent, **shape)
    return x, x.ne(0).flatten(1, 3).any(dim=1)


# The contract


@variants
@pytest.mark.parametrize("skeleton", [KINECT_V1, KINECT_V2], ids=["v1", "v2"])
def test_features_and_gradients_of_every_variant(backbone, skeleton):
    encoder, (x, present) = build(backbone, skeleton), batch(backbone, skeleton)
    kept = x.clone()
    features = encoder.train()(x, present)
    assert features.shape == (3, encoder.dim)
    assert encoder.dim == len(backbone.branches) * backbone.granularity * backbone.hidden_dim
    features.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for n, p in encoder.named_parameters() if "bias" not in n)
    assert torch.equal(x, kept)


@variants
def test_levels_make_up_the_instance(backbone):
    encoder, (x, present) = build(backbone).eval(), batch(backbone)
    levels, width = encoder.levels(x), backbone.granularity * backbone.hidden_dim
    parts = [levels.temporal, levels.spatial]
    for branch, level, domain in zip(("temporal", "spatial"), (levels.clip, levels.part), parts, strict=True):
        assert (level is None) == (domain is None) == (branch not in backbone.branches)
        if level is not None:
            assert level.shape == (3, backbone.granularity, backbone.hidden_dim)
            assert torch.equal(domain, level.reshape(3, width))
    assert torch.equal(levels.instance, torch.cat([p for p in parts if p is not None], dim=1))
    assert torch.equal(encoder(x, present), levels.instance)


@variants
def test_a_sample_sees_neither_its_batch_nor_another_call_in_evaluation_mode(backbone):
    encoder, (x, present) = build(backbone, dtype=F64).eval(), batch(backbone, dtype=F64)
    whole = encoder(x, present)
    alone = torch.cat([encoder(x[i : i + 1], present[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(whole, alone)
    assert torch.equal(whole, encoder(x, present))


def test_a_state_goes_round():
    one, other, (x, present) = build(SMALL, seed=1).eval(), build(SMALL, seed=2).eval(), batch(SMALL)
    assert not torch.equal(one(x, present), other(x, present))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x, present), other(x, present))


@s2s
def test_the_gradient_of_the_input_is_that_of_differences(kind):
    backbone = replace(SMALL, s2s=kind, norm_first=False)
    encoder, (x, present) = build(backbone, dtype=F64).eval(), batch(backbone, dtype=F64, absent=False)
    generator = torch.Generator().manual_seed(0)
    cotangent, direction = (torch.randn(*s, generator=generator, dtype=F64) for s in ((3, encoder.dim), x.shape))

    def value(step):
        with torch.no_grad():
            return (encoder(x + step * direction, present) * cotangent).sum()

    (encoder(x.requires_grad_(), present) * cotangent).sum().backward()
    estimate = (value(1e-6) - value(-1e-6)) / 2e-6
    torch.testing.assert_close((x.grad * direction).sum(), estimate, rtol=1e-4, atol=1e-7)


@variants
def test_bfloat16_is_close(backbone):
    encoder, (x, present) = build(backbone).eval(), batch(backbone)
    exact = encoder(x, present)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder.train()(x, present) if backbone.s2s != Transformer() else encoder(x, present)
    rough.float().sum().backward()
    assert F.cosine_similarity(exact, rough.float()).min() > 0.99
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in encoder.parameters())


def test_a_head_and_a_momentum_copy_are_built_on_it_like_on_any_encoder():
    branch, (x, present) = Branch(build(SMALL), 5), batch(SMALL)
    assert branch(x, present).shape == (3, 5)


# S2S encoders


@s2s
@pytest.mark.parametrize("length", [1, 2, 9])
def test_an_s2s_encoder_keeps_the_shape_of_any_length(kind, length):
    module = kind.build(8).eval()
    x = torch.randn(4, length, 8, generator=torch.Generator().manual_seed(0))
    y = module(x)
    assert y.shape == x.shape
    torch.testing.assert_close(module(x[:1]), y[:1])


def test_attention_is_torchs():
    ours, torchs = Transformer(heads=2, dropout=0.0).build(8).to(F64), nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    state = {n.replace("attention_in.", "self_attn.in_proj_"): t for n, t in ours[0].state_dict().items()}
    torchs.to(F64).load_state_dict({n.replace("attention_out", "self_attn.out_proj"): t for n, t in state.items()})
    x = torch.randn(3, 5, 8, dtype=F64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_dropout_acts_in_training_alone():
    module, x = Transformer(heads=2, dropout=0.5).build(8), torch.randn(3, 5, 8)
    assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


def test_the_finest_clip_feature_of_a_transformer_has_no_order_of_frames():
    """It sees no positions; coarser levels do, through the convolution (methods.md, 4.3)."""
    encoder, (x, _) = build(SMALL, dtype=F64).eval(), batch(SMALL, dtype=F64)
    forth, back = encoder.levels(x).clip, encoder.levels(x[:, :, torch.randperm(14)]).clip
    torch.testing.assert_close(forth[:, 0], back[:, 0])
    assert not torch.allclose(forth[:, 1:], back[:, 1:])


# Its choices


@pytest.mark.parametrize(
    ("kind", "layers", "body"),
    [(Transformer, 1, 3_867_648), (GRU, 1, 3_077_120), (LSTM, 1, 3_865_600)],
    ids=["transformer", "gru", "lstm"],
)
def test_parameters_of_the_published_sizes(kind, layers, body):
    with torch.device("meta"):
        encoder = Hierarchical(s2s=kind(layers=layers)).build(KINECT_V2)
    assert sum(p.numel() for p in encoder.parameters()) == body  # methods.md, 4.3
    assert encoder.dim == 4096


def count(**changes):
    return sum(p.numel() for p in replace(SMALL, **changes).build(KINECT_V2).parameters())


def test_what_each_choice_adds():
    width, kernel = 8, 5
    depthwise, transformer = (
        width * (kernel + 1) + 2 * width,
        sum(p.numel() for p in Transformer().build(width).parameters()),
    )
    assert count(downsampling="full") - count() == 2 * width * (width - 1) * kernel
    assert count() - count(embedding_norm=False) == 2 * 2 * width
    assert count(norm_first=False) == count()
    assert count(shared=False) - count() == 2 * (depthwise + 2 * transformer)
    assert count(branches=("temporal",)) + count(branches=("spatial",)) == count()
    assert count() - count(granularity=1) == 2 * depthwise


def test_a_level_is_the_sequence_downsampled_as_written():
    """The paper's Eq. 2, and the released order."""
    for norm_first in (True, False):
        encoder = build(replace(SMALL, downsampling="full", norm_first=norm_first), dtype=F64)
        module, x = encoder.temporal.downsampling[0], torch.randn(2, 7, 8, dtype=F64)
        y = module.conv(x.transpose(1, 2)).transpose(1, 2)
        y = module.norm(y).relu() if norm_first else module.norm(y.relu())
        torch.testing.assert_close(module(x), torch.stack([y[:, i : i + 2].amax(dim=1) for i in (0, 2, 4)], dim=1))


@pytest.mark.parametrize(("kind", "name"), [(GRU(), "gru"), (LSTM(), "lstm"), (Transformer(dropout=0.0), "transformer")])
def test_it_is_the_encoder_of_torchs_own_layers(kind, name):
    """Values and every gradient, in double precision."""
    torch.manual_seed(0)
    plain = PlainHiCo(name, frames=14, width=8, granularity=3, dropout=0.0).to(F64).train()
    ours = build(replace(SMALL, s2s=kind), dtype=F64)
    ours.load_state_dict(hierarchical_from_released(plain.released()))
    x, present = batch(SMALL, dtype=F64)
    found, expected = ours(x, present), torch.cat([f.flatten(1) for f in plain.encode(x)], dim=1)
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn_like(expected)
    found.backward(cotangent)
    expected.backward(cotangent)
    there = hierarchical_from_released(dict(zip(plain.released(), _gradients(plain), strict=True)))
    for parameter, tensor in ours.named_parameters():
        torch.testing.assert_close(tensor.grad, there[parameter], msg=lambda text, name=parameter: f"{name}: {text}")


def _gradients(plain):
    return [parameter.grad for name, parameter in plain.named_parameters() if not name.startswith("heads.")]


def test_first_weights():
    encoder = Hierarchical(hidden_dim=64).build(KINECT_V2)
    before = {n: p.clone() for n, p in encoder.named_parameters() if p.dim() != 2}
    initialise(encoder, "xavier")
    for name, parameter in encoder.named_parameters():
        if parameter.dim() == 2:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert 0.95 * bound < parameter.abs().max() <= bound
        else:
            assert torch.equal(parameter, before[name])
        if "attention" in name and name.endswith("bias"):
            assert not parameter.any()


def test_a_trial_can_name_it():
    assert canonical(SMALL) != canonical(replace(SMALL, s2s=GRU()))
    assert canonical(replace(SMALL, s2s=Convolution())) == canonical(replace(SMALL, s2s=Convolution(3)))
    assert hash(SMALL) == hash(replace(SMALL))


# What is wrong is said


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Hierarchical(hidden_dim=0), "hidden_dim 0: a whole number, at least 1"),
        (lambda: Hierarchical(granularity=0), "granularity 0"),
        (lambda: Hierarchical(granularity=1.5), "granularity 1.5: a whole number"),
        (lambda: Hierarchical(s2s=None), "s2s None: a sequence encoder is needed, as in s2s=GRU()"),
        (lambda: Hierarchical(s2s=GRU), "s2s <class .*GRU'>: a sequence encoder is needed"),
        (lambda: Hierarchical(kernel=4), "kernel 4: an odd number"),
        (lambda: Hierarchical(branches=()), r"branches \(\)"),
        (lambda: Hierarchical(branches=("spatial", "temporal")), "in this order"),
        (lambda: Hierarchical(downsampling="wide"), "'wide' is none of depthwise, full"),
        (lambda: Hierarchical(granularity=7).build(KINECT_V2), "nothing is left of 50 steps"),
        (lambda: Transformer(heads=0), "heads 0"),
        (lambda: Transformer(feedforward=0), "feedforward 0"),
        (lambda: Transformer(dropout=1.0), "dropout 1.0"),
        (lambda: GRU(layers=0), "layers 0"),
        (lambda: GRU(layers=1.5), "layers 1.5: a whole number"),
        (lambda: LSTM(layers=0), "layers 0"),
        (lambda: replace(SMALL, hidden_dim=6).build(KINECT_V2), "hidden_dim 6 does not divide into 4 heads"),
        (lambda: replace(SMALL, hidden_dim=7, s2s=LSTM()).build(KINECT_V2), "hidden_dim 7 does not divide into two"),
        (lambda: hierarchical_from_released({"fc.weight": 0, "hi_encoder.t_embedding.9.weight": 0}), "t_embedding.9.weight"),
    ],
)
def test_a_setting_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_an_input_of_another_shape_is_refused_and_a_rewired_graph_too():
    encoder, (x, present) = build(SMALL), batch(SMALL)
    with pytest.raises(ValueError, match="13 frames: this encoder was built for 14"):
        encoder(x[:, :, 1:], present)
    with pytest.raises(ValueError, match="1 persons: this encoder was built for 2"):
        encoder(x[..., :1], present[:, :1])
    with pytest.raises(ValueError, match="rewires the graph"):
        encoder(x, present, rewire=lambda graph: graph)


def test_heads_keep_their_level():
    released = {"clip_proj.0.weight": 1, "td_proj.2.bias": 2, "sd_proj.0.bias": 3, "hi_encoder.t_embedding.0.bias": 4}
    assert heads_from_released(released) == {"clip.0.weight": 1, "temporal.2.bias": 2, "spatial.0.bias": 3}
    assert hierarchical_from_released(released) == {"temporal.embed1.bias": 4}


def test_each_branch_may_have_a_granularity_of_its_own():
    """And an encoder of one granularity keeps its form, so that what is stored keeps its name."""
    assert "spatial_granularity" not in canonical(Hierarchical())
    config = replace(LEVELLED, granularity=3, spatial_granularity=1)
    built = model(HiCo(queue=8, dim=4), backbone=config)
    encoder = built.encoders()["joint"]
    levels = encoder.levels(sequences(samples=2, frames=16))
    assert (levels.clip.shape, levels.part.shape) == ((2, 3, 8), (2, 1, 8))
    assert encoder.dim == levels.instance.shape[1] == 4 * 8
    assert {name: queue.keys.shape[0] for name, queue in built.queues.items()} == {
        "clip": 24, "part": 8, "temporal": 8, "spatial": 8, "instance": 8,
    }  # fmt: skip
    with pytest.raises(UserError, match="spatial_granularity 0"):
        replace(config, spatial_granularity=0)
