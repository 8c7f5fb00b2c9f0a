"""The plain form of a backbone and those for a CPU and a GPU are one model: values, gradients, statistics and draws."""

from dataclasses import replace

import pytest
import torch
from tiny import BACKBONE, DSTA_BACKBONE, sequences

from skelray.backbones import DSTA, STGCN, cpu
from skelray.backbones.form import FORMS, SWITCH
from skelray.skeleton import KINECT_V2

BACKBONES = {
    "stgcn": BACKBONE,
    "stgcn, the paper's partition": replace(BACKBONE, partition="spatial", absent="exclude", dropout=0.3),
    "dsta": DSTA_BACKBONE,
    "dsta, wider": DSTA(layers=((6, 6, 4, 1), (6, 10, 4, 2), (10, 10, 3, 1), (10, 12, 5, 1)), absent="exclude", dropout=0.1),
}
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def drop(edges):
    """Some edges, each the weaker, as Drop Edges does."""
    return edges * (torch.arange(edges.numel(), dtype=edges.dtype).view(edges.shape) % 3)


def add(edges):
    """An edge between any two joints, too many for products by edges."""
    return edges + 0.1


def encoders(backbone, dtype, forms=FORMS):
    """One in each form, with the same weights and statistics, none of them as they start."""
    plain, *others = (backbone.build(KINECT_V2, form) for form in forms)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in plain.state_dict().items():
            if tensor.is_floating_point() and not name.endswith("position"):
                around_one = name.endswith(("var", "importance")) or ("norm" in name and name.endswith("weight"))
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 - 0.1 + around_one)
    for other in others:
        other.load_state_dict(plain.state_dict())
    return [encoder.to(dtype) for encoder in (plain, *others)]


def same(found, expected, dtype):
    """Raises AssertionError where named tensors are further apart than rounding takes them.

    In double precision each number; in single precision their distance, as a ReLU whose input is zero to rounding goes
    either way. The gradient of a bias before a norm is zero in one form and what rounding leaves in the other.
    """
    assert found.keys() == expected.keys()
    longest = max(t.double().norm().item() for name, t in expected.items() if name.startswith("to "))
    for name, tensor in expected.items():
        if dtype is torch.float64:
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-6, atol=1e-10 * longest, msg=lambda m, n=name: f"{n}: {m}"
            )
        else:
            apart = (found[name].double() - tensor.double()).norm().item()
            assert apart <= 0.02 * tensor.double().norm().item() + 1e-5 * longest, name


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@DTYPES
@pytest.mark.parametrize("rewire", [None, drop, add], ids=["whole", "dropped", "added"])
@pytest.mark.parametrize("frames", [7, 50])
@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_all_forms_are_one_model(backbone, frames, rewire, dtype, training):
    """Features of masked joints and absent persons, the drop that AimCLR puts on the map, gradients and statistics."""
    x = sequences(samples=5, frames=frames, dtype=dtype)
    present = x.ne(0).flatten(1, 3).any(dim=1)
    x[1, :, :, 3:9] = 0
    kept = (torch.arange(25) % 4 > 0).to(dtype)[:, None]
    sides = []
    for encoder in encoders(backbone, dtype, FORMS if dtype is torch.float64 else FORMS[:2]):
        leaf = x.clone().requires_grad_()
        torch.manual_seed(3)  # dropout
        features = encoder.train(training).feature_map(leaf, rewire)
        plain, dropped = encoder.pool(features, present), encoder.pool(features * kept, present)
        cotangent = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
        ((plain - 0.5 * dropped.square()) * cotangent).sum().backward()
        gradients = {f"to {name}": p.grad for name, p in encoder.named_parameters()}
        sides.append({"map": features, "feature": plain, "to x": leaf.grad, **gradients, **encoder.state_dict()})
    for side in sides[1:]:
        same(side, sides[0], dtype)


@pytest.mark.parametrize("backbone", [BACKBONE, DSTA_BACKBONE], ids=["stgcn", "dsta"])
def test_all_forms_are_close_in_bfloat16(backbone):
    x = sequences(samples=4, frames=40)
    present = x.ne(0).flatten(1, 3).any(dim=1)
    features = []
    for encoder in encoders(replace(backbone, dropout=0.0), torch.float32):
        with torch.autocast("cpu", torch.bfloat16):
            features.append(encoder.train()(x, present).float())
        assert all(norm.num_batches_tracked == 1 for norm in encoder.modules() if hasattr(norm, "num_batches_tracked"))
    for other in features[1:]:
        assert torch.nn.functional.cosine_similarity(features[0], other).min() > 0.995


@pytest.mark.parametrize("rewire", [None, drop], ids=["whole", "dropped"])
@pytest.mark.parametrize("backbone", [BACKBONE, DSTA_BACKBONE], ids=["stgcn", "dsta"])
def test_views_together_are_views_apart(backbone, rewire):
    """Three views in one pass of the form for a GPU, each by its own statistics, and running ones moved in their order."""
    views = [sequences(samples=3, frames=14, seed=seed, dtype=torch.float64) for seed in range(3)]
    sides = []
    pair = encoders(replace(backbone, dropout=0.0), torch.float64, ("gpu", "gpu"))
    for encoder, together in zip(pair, (True, False), strict=True):
        assert encoder.takes_views(views[0])
        leaves = [x.clone().requires_grad_() for x in views]
        if together:
            maps = encoder.train().feature_map(torch.cat(leaves), rewire, views=3).chunk(3)
        else:
            maps = [encoder.train().feature_map(x, rewire) for x in leaves]
        sum((i + 1) * m.square().sum() for i, m in enumerate(maps)).backward()
        gradients = {f"to {name}": p.grad for name, p in encoder.named_parameters()}
        gradients |= {f"to view {i}": x.grad for i, x in enumerate(leaves)}
        sides.append({**{f"map {i}": m for i, m in enumerate(maps)}, **gradients, **encoder.state_dict()})
    same(*sides, torch.float64)


# Which one runs


@pytest.fixture
def ran(monkeypatch):
    """The names of the backbones whose form for a CPU ran."""
    names = []
    for module in (cpu.stgcn, cpu.dsta):
        function, name = module.feature_map, module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "feature_map", lambda *a, f=function, n=name: (names.append(n), f(*a))[1])
    return names


def embed(backbone, samples, frames, form=None):
    x = torch.randn(samples, 3, frames, 25, 2)
    with torch.no_grad():
        backbone.build(KINECT_V2, form).eval()(x, torch.ones(samples, 2, dtype=torch.bool))


@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize(("name", "published"), [("stgcn", STGCN()), ("dsta", DSTA())])
def test_the_size_of_a_sequence_decides_and_the_batch_does_not(ran, name, published, samples):
    embed(published.small(), samples, 16)
    assert ran == []
    embed(published, samples, 50)
    assert ran == [name]


@pytest.mark.parametrize(("name", "published"), [("stgcn", STGCN()), ("dsta", DSTA())])
def test_the_argument_and_the_environment_force_a_form(ran, monkeypatch, name, published):
    embed(published.small(), 1, 16, "cpu")
    assert ran == [name]
    embed(published, 1, 50, "plain")
    monkeypatch.setenv(SWITCH, "1")
    embed(published, 1, 50)
    embed(published, 1, 50, "cpu")
    assert ran == [name]
    monkeypatch.setenv(SWITCH, "0")
    embed(published, 1, 50)
    assert ran == [name, name]
