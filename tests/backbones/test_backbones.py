"""Backbones: a contract for every one, its parts against the obvious way to write them, and ST-GCN's figures."""

from dataclasses import replace

import pytest
import torch
from plain_stgcn import PlainSTGCN
from tiny import BACKBONE, DSTA_BACKBONE, sequences
from torch.nn import functional as F

from skelray.backbones import DSTA, STGCN
from skelray.backbones.form import FORMS
from skelray.backbones.graph import hops, spatial_partition
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
