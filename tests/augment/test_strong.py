"""HiCLR's other strong augmentations: dropped and added edges, and exchanged style."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, DSTA_BACKBONE, MOCO, model, sequences, view

from skelray.augment import DAE, AdaIN, Draws, DropAddEdges, SkeleAdaIN, encoder_input
from skelray.augment.strong import RandomEdges, add_edges, drop_edges
from skelray.backbones.graph import spatial_partition
from skelray.methods import SkeletonCLR
from skelray.skeleton import KINECT_V2

F64 = torch.float64
GRAPH = spatial_partition(KINECT_V2)
NOTHING = torch.zeros(1)


def edges(drop, add, seed=0):
    return RandomEdges(drop, add, Draws(seed, 0), "edges")


def test_what_is_kept_is_scaled_so_that_the_mean_stays():
    rate = torch.tensor([0.25])
    keep = torch.rand(GRAPH.shape, generator=torch.Generator().manual_seed(0)) >= 0.25
    dropped = drop_edges(GRAPH, keep, rate)
    torch.testing.assert_close(dropped[keep], GRAPH[keep] / 0.75)
    assert not dropped[~keep].any()


def test_new_edges_keep_the_sum_and_appear_at_zeros_only():
    drawn = torch.rand(GRAPH.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    added = add_edges(GRAPH, drawn)
    torch.testing.assert_close(added.sum(), GRAPH.sum())
    assert ((added > 0) == ((GRAPH > 0) | drawn)).all()
    ratio = added[GRAPH > 0] / GRAPH[GRAPH > 0]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


@pytest.mark.parametrize("a", [GRAPH, torch.rand(4, 3, 25, 25)], ids=["graph", "attention"])
def test_every_layer_draws_anew_and_the_rate_is_uniform_up_to_its_limit(a):
    rewire = edges(0.4, 0.0)
    gone = [(rewire(a)[a > 0] == 0).double().mean().item() for _ in range(400)]
    assert len(set(gone)) > 20
    assert sum(gone) / len(gone) == pytest.approx(0.2, abs=0.02)
    assert max(gone) < 0.65  # 0.4 and the chance of few entries


@given(drop=st.floats(0, 0.9), add=st.floats(0, 0.9), seed=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_a_rewired_graph_stays_finite_and_not_negative(drop, add, seed):
    a = edges(drop, add, seed)(GRAPH)
    assert a.shape == GRAPH.shape
    assert a.isfinite().all()
    assert (a >= 0).all()


def test_no_edges_at_all_leave_the_encoder_alone():
    encoder = model(SkeletonCLR(**MOCO), backbone=BACKBONE).query.encoder.eval()
    fresh = view(sequences(samples=3))
    plain = encoder(fresh.x, fresh.present)
    assert torch.equal(encoder(fresh.x, fresh.present, edges(0.0, 0.0)), plain)
    assert not torch.equal(encoder(fresh.x, fresh.present, edges(0.5, 0.5)), plain)


@pytest.mark.parametrize("backbone", [BACKBONE, DSTA_BACKBONE], ids=["stgcn", "dsta"])
def test_gradients_pass_a_rewired_graph(backbone):
    encoder = model(SkeletonCLR(**MOCO), backbone=backbone).query.encoder.train()
    fresh = DAE(view(sequences(samples=4)))
    encoder(fresh.x, fresh.present, fresh.rewire).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_the_view_itself_is_not_touched_by_edges():
    fresh = view()
    rewired = DropAddEdges()(fresh)
    assert rewired.x is fresh.x
    assert fresh.rewire is None


def test_a_second_rewiring_acts_on_what_the_first_leaves():
    """The first drops without adding, the second adds without dropping: both are seen, drawn in turn."""
    drop, add = DropAddEdges(0.9, 0.0), DropAddEdges(0.0, 0.9)
    both = add(drop(view())).rewire(GRAPH)
    assert (both[GRAPH > 0] == 0).any()
    assert (both[GRAPH == 0] > 0).any()
    draws, name = view().draws, f"{view().branch}/edges"
    expected = RandomEdges(0.0, 0.9, draws, name)(RandomEdges(0.9, 0.0, draws, name)(GRAPH))
    assert torch.equal(both, expected)


def test_a_style_is_the_mean_and_deviation_of_the_partner():
    fresh = view(sequences(samples=6, absent=False, dtype=F64))
    styled = encoder_input(SkeleAdaIN()(fresh), "joint", NOTHING)
    partner = encoder_input(fresh, "joint", NOTHING)
    shifts = [n for n in range(1, 5) if torch.allclose(styled.mean(dim=(2, 3)), partner.mean(dim=(2, 3)).roll(-n, 0))]
    assert len(shifts) == 1
    torch.testing.assert_close(styled.std(dim=(2, 3)), partner.std(dim=(2, 3)).roll(-shifts[0], 0), rtol=1e-3, atol=1e-3)
    inner = (styled - styled.mean(dim=(2, 3), keepdim=True)) / styled.std(dim=(2, 3), keepdim=True)
    own = (partner - partner.mean(dim=(2, 3), keepdim=True)) / partner.std(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(inner, own)  # the pattern is its own


def test_an_absent_person_neither_takes_nor_gives_a_style():
    x = sequences(samples=6)  # every other second person is absent
    fresh = view(x)
    styled = encoder_input(AdaIN(fresh), "joint", NOTHING)
    assert not styled[::2, ..., 1].any()
    present = styled[1::2, ..., 1]
    assert present.flatten(1).std(dim=1).min() > 0.1
    ghosts = encoder_input(SkeleAdaIN(ghosts=True)(fresh), "joint", NOTHING)
    absent = {tuple(f) for f in (ghosts[..., 1].flatten(1).std(dim=1) < 1e-3).nonzero().tolist()}
    assert absent or ghosts[::2, ..., 1].any()  # as released: a constant, or a person squeezed to a point


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_small_batches_have_a_partner_too(samples):
    fresh = view(sequences(samples=samples, absent=False))
    assert encoder_input(AdaIN(fresh), "joint", NOTHING).isfinite().all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DropAddEdges(drop=1.0), "drop 1.0"),
        (lambda: DropAddEdges(add=-0.1), "add -0.1"),
        (lambda: SkeleAdaIN(over="year"), "'year' is none of sequence, frame"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
