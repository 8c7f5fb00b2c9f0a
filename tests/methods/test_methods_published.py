"""What AimCLR, CrosSCLR and HiCo do beyond their golden files: each part removable, each slip of released code a field."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import BACKBONE, LEVELLED, MOCO, Small, model, queues, sequences, view

from skelray.augment import BA, DAE, EA, NA, AdaIN, Mask
from skelray.backbones import STGCN
from skelray.methods import EADM, AimCLR, Candidates, CrosSCLR, HiCLR, HiCo, SkeletonCLR, info_nce
from skelray.methods.eadm import energy_attention
from skelray.methods.similarity import cross_info_nce, mined_info_nce

F64 = torch.float64
LONG = replace(LEVELLED, frames=64)


def step(method, epoch=1, **kwargs):
    moco = model(method, **kwargs).train()
    return moco, method.loss(moco, method.views(view(samples=8, frames=16)), epoch)


# AimCLR


def test_aimclr_counts_its_queries():
    assert len(AimCLR(**MOCO).views(view()).queries) == 2
    assert len(AimCLR(extreme=None, eadm=None, **MOCO).views(view()).queries) == 1


def test_without_extremes_and_mining_aimclr_is_skeletonclr():
    plain, aim = SkeletonCLR(**MOCO), AimCLR(extreme=None, eadm=None, mining_from=None, **MOCO)
    losses = [step(method, backbone=BACKBONE)[1].loss for method in (plain, aim)]
    assert torch.equal(*losses)


def test_an_inert_drop_counts_the_extreme_query_twice():
    """So that its D3M equals that without a drop: the mean of equal terms."""
    _, inert = step(AimCLR(eadm=EADM("inert"), **MOCO), backbone=BACKBONE)
    _, without = step(AimCLR(eadm=None, **MOCO), backbone=BACKBONE)
    torch.testing.assert_close(inert.parts["d3m"], without.parts["d3m"])


def test_beta_weighs_d3m_and_nothing_else():
    found = {beta: step(AimCLR(beta=beta, **MOCO))[1] for beta in (0.0, 1.0, 2.0)}
    d3m = found[1.0].parts["d3m"]
    assert d3m > 0
    for beta, one in found.items():
        torch.testing.assert_close(one.loss, one.parts["infonce"] + beta * d3m)


def test_mining_starts_after_its_epoch_and_adds_positives():
    method = AimCLR(mining_from=5, **MOCO)
    assert "infonce" in step(method, epoch=5)[1].parts
    assert "mined" in step(method, epoch=6)[1].parts


def test_the_papers_sum_is_the_codes_mean_times_the_positives():
    z = torch.nn.functional.normalize(torch.randn(4, 6, dtype=F64, generator=torch.Generator().manual_seed(0)), dim=1)
    keys, queue = z.roll(1, 0), z.roll(2, 0).repeat(3, 1)
    found = Candidates.of(z, keys, queue, 0.2)
    mined = torch.zeros(4, 12, dtype=torch.bool)
    mined[:, :2] = True  # three positives each
    torch.testing.assert_close(mined_info_nce(found, mined, mean=False), 3 * mined_info_nce(found, mined, mean=True))


def test_aimclr_across_streams_leaves_d3m_within_each():
    method = AimCLR(cross_streams=True, mining_from=3, **MOCO)
    moco, before = step(method, epoch=3)
    assert set(before.parts) == {"joint", "motion", "bone", "d3m"}
    views = method.views(view(samples=8, frames=16))
    alone = AimCLR(mining_from=3, **MOCO)
    singles = [alone.loss(one, views, epoch=3) for one in moco.mocos().values()]
    torch.testing.assert_close(before.parts["d3m"], sum(single.parts["d3m"] for single in singles))
    torch.testing.assert_close(before.loss, sum(single.loss for single in singles))
    after = method.loss(moco, views, epoch=4)
    assert not torch.allclose(after.parts["joint"], before.parts["joint"])


def test_across_streams_the_mean_over_mined_positives_is_no_choice():
    with pytest.raises(ValueError, match="mined_mean is for single streams"):
        AimCLR(cross_streams=True, mined_mean=True)


def test_an_encoder_without_feature_map_is_refused_by_the_drop():
    with pytest.raises(ValueError, match="feature map"):
        model(AimCLR(**MOCO), backbone=Small())


# EADM


def feature_map(seed=0, shape=(3, 2, 6, 5, 7)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize(("form", "count"), [("published", 4), ("released", 3)])
def test_attention_by_hand(form, count):
    """The paper divides by all elements, the released code by one fewer; the threshold lies between the two."""
    values, mean = (1.0, 2.0, 4.0, 9.0), 4.0
    x = torch.tensor(values, dtype=F64).view(1, 1, 2, 2, 1)
    var = (9 + 4 + 0 + 25) / count
    expected = [1 / (1 + math.exp(-((v - mean) ** 2 / (4 * (var + 1e-4)) + 0.5))) for v in values]
    found = energy_attention(x, 1e-4, unbiased=form == "released")
    torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=F64))
    second_joint = (expected[1] + expected[3]) / 2
    assert not EADM(form, threshold=second_joint - 1e-6)(x)[..., 1, :].any()
    assert EADM("published", threshold=0.999)(x).all()


@pytest.mark.parametrize("form", ["published", "released"])
def test_the_drop_removes_what_stands_out_and_scales_the_rest(form):
    """One joint of one body moves far from the others: it goes, and what is left keeps its sum of weights."""
    x = feature_map() * 0.01
    x[0, 0, :, 2] += 5.0
    out = EADM(form)(x)
    assert not out[0, 0, :, 2].any()
    kept = out != 0
    ratio = out[kept] / x[kept]
    assert (ratio >= 1).all()
    assert (ratio > 1).any()
    if form == "published":  # each body is scaled by itself, and this one lost a fifth of its joints
        torch.testing.assert_close(out[0, 0, :, [0, 1, 3, 4]], x[0, 0, :, [0, 1, 3, 4]] * 5 / 4)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.6224, 1.1, math.nan])
def test_a_threshold_that_drops_everything_or_nothing_is_refused(threshold):
    x = torch.zeros(1, 1, 2, 2, 3, dtype=F64)  # at its mean everywhere
    assert energy_attention(x, 1e-4, unbiased=False).unique().item() == pytest.approx(0.6224593, abs=1e-7)
    with pytest.raises(ValueError, match=f"threshold {threshold}: attention is never below 0.6225"):
        EADM(threshold=threshold)


@pytest.mark.parametrize("lambda_", [-1, 0.0, math.nan, math.inf])
def test_a_regulariser_that_may_divide_by_nothing_is_refused(lambda_):
    with pytest.raises(ValueError, match=f"lambda_ {lambda_}: a number above 0"):
        EADM(lambda_=lambda_)


def test_the_drop_is_finite_where_everything_goes_and_passes_gradient_where_kept():
    x = feature_map().requires_grad_()
    for form in ("published", "released"):
        all_dropped = EADM(form, threshold=0.6225)(x)
        assert not all_dropped.any()
        assert torch.isfinite(all_dropped).all()
    out = EADM("released")(x)
    (grad,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(grad, out.detach() / x.detach())


def test_an_inert_drop_is_the_identity():
    x = feature_map()
    assert EADM("inert")(x) is x


# CrosSCLR


def test_two_streams_of_one_kind_of_candidates_by_hand():
    """k = 1 without context: the key nearest to the other stream's query is a second positive."""
    tau = 0.5
    query, other = torch.tensor([[1.0, 0.0]], dtype=F64), torch.tensor([[0.0, 1.0]], dtype=F64)
    keys, queue = torch.tensor([[0.6, 0.8]], dtype=F64), torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)
    u, v = Candidates.of(query, keys, queue, tau), Candidates.of(other, keys, queue, tau)
    logits = [0.6 / tau, 0.0, -1.0 / tau]
    total = math.log(sum(map(math.exp, logits)))
    assert cross_info_nce(u, v, 1, tau, context=False).item() == pytest.approx(total - (logits[0] + logits[1]) / 2)
    logits += [0.0 * 1.0 / tau, -1.0 * 0.0 / tau]  # context: products of cosines
    total = math.log(sum(map(math.exp, logits)))
    expected = total - (logits[0] + logits[1] + logits[3]) / 3
    assert cross_info_nce(u, v, 1, tau, context=True).item() == pytest.approx(expected)


def test_the_queues_are_filled_in_step():
    method = CrosSCLR(**MOCO)
    moco, made = step(method)
    moco.enqueue(made.keys)
    assert [int(queue.position) for queue in queues(moco)] == [8, 8, 8]
    for name, one in moco.mocos().items():
        assert torch.equal(one.queue.keys[:8], made.keys[name])


def test_stage_one_is_the_sum_of_the_streams():
    method = CrosSCLR(mining_from=3, **MOCO)
    moco, together = step(method, epoch=3)
    views = method.views(view(samples=8, frames=16))
    alone = [SkeletonCLR(**MOCO).loss(one, views, epoch=3).loss for one in moco.mocos().values()]
    torch.testing.assert_close(together.loss, sum(alone))


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_keys_stop_all_but_motion_in_stage_two(frozen):
    moco = model(CrosSCLR(mining_from=3, frozen_keys=frozen, key_init="independent", **MOCO))
    before = {name: one.key.head[0].weight.clone() for name, one in moco.mocos().items()}
    moco.update_key(4)
    moved = {name for name, one in moco.mocos().items() if not torch.equal(one.key.head[0].weight, before[name])}
    assert moved == ({"motion"} if frozen else {"joint", "motion", "bone"})


def test_released_heads_end_in_the_first_ones():
    shared, separate = (model(CrosSCLR(shared_head=flag, **MOCO)) for flag in (True, False))
    first, *others = shared.mocos().values()
    assert all(other.query.head[2] is first.query.head and other.key.head[2] is first.key.head for other in others)
    wide = STGCN(dropout=0.0)
    counts = [
        sum(p.numel() for p in model(CrosSCLR(shared_head=flag), backbone=wide).query.parameters()) for flag in (True, False)
    ]
    assert counts == [2_694_412, 2_760_204]  # methods.md, 5.2
    assert separate.mocos()["bone"].query.head is not separate.mocos()["joint"].query.head


@pytest.mark.parametrize(
    ("method", "stream", "said"),
    [
        (CrosSCLR(**MOCO), "joint", "at least two"),
        (CrosSCLR(frozen_keys=True, **MOCO), "joint+bone", "keys leave those of motion"),
        (SkeletonCLR(**MOCO), "joint+bone", "trains one stream"),
        (AimCLR(**MOCO), "joint+bone", "trains one stream"),
        (HiCo(**MOCO), "joint+bone", "one stream"),
    ],
)
def test_streams_that_a_method_cannot_train_are_refused(method, stream, said):
    with pytest.raises(ValueError, match=said):
        model(method, stream=stream)


# HiCo


def test_each_level_is_removable():
    whole = step(HiCo(levels=("clip", "part", "domain", "instance"), **MOCO), backbone=LONG)[1]
    assert set(whole.parts) == {"clip", "part", "temporal", "spatial", "instance"}
    torch.testing.assert_close(whole.loss, sum(whole.parts.values()))
    for level, named in (("clip", {"clip"}), ("domain", {"temporal", "spatial"}), ("instance", {"instance"})):
        moco, alone = step(HiCo(levels=(level,), **MOCO), backbone=LONG)
        assert set(alone.parts) == set(alone.keys) == set(moco.queues) == named


def test_a_query_is_held_to_the_other_domain():
    """InfoNCE of the temporal query reads the spatial key and queue, and the other way round."""
    moco, made = step(HiCo(levels=("domain",), **MOCO), backbone=LONG)
    method = HiCo(levels=("domain",), **MOCO)
    views = method.views(view(samples=8, frames=16))
    z = moco.embed(moco.query, views.queries[0])
    for name, other in (("temporal", "spatial"), ("spatial", "temporal")):
        found = Candidates.of(z[name][:, 0], made.keys[other][:, 0], moco.queues[other].keys, method.tau)
        torch.testing.assert_close(info_nce(found), made.parts[name])


@pytest.mark.parametrize("short", [True, False])
def test_the_short_queue_never_reaches_its_end(short):
    method = HiCo(short_queue=short, **{**MOCO, "queue": 16})
    moco, made = step(method, backbone=LONG)
    start = moco.queues["clip"].keys.clone()
    for _ in range(4):
        moco.enqueue(made.keys)
    touched = int((moco.queues["clip"].keys != start).any(dim=1).sum())
    assert len(start) == 32
    assert touched == (16 if short else 32)


def test_hico_says_what_its_backbone_lacks():
    with pytest.raises(ValueError, match="Hierarchical"):
        model(HiCo(**MOCO), backbone=BACKBONE)
    spatial = replace(LEVELLED, branches=("spatial",))
    with pytest.raises(ValueError, match="temporal branch"):
        model(HiCo(levels=("clip",), **MOCO), backbone=spatial)
    model(HiCo(levels=("instance", "part"), **MOCO), backbone=spatial)


def test_a_view_that_rewires_is_refused_by_hico():
    moco = model(HiCo(**MOCO), backbone=LONG)
    with pytest.raises(ValueError, match="rewires"):
        moco.embed(moco.query, DAE(view(frames=64)))


# Strong augmentations of HiCLR


@pytest.mark.parametrize("strong", [Mask, DAE, AdaIN], ids=str)
def test_every_strong_augmentation_trains_an_arrangement(strong):
    moco, made = step(HiCLR(arrangement=(BA, NA, strong), **MOCO), backbone=BACKBONE)
    made.loss.backward()
    assert all(p.grad.isfinite().all() for p in moco.query.parameters())


@pytest.mark.parametrize("strong", [Mask, DAE, AdaIN], ids=str)
def test_a_strong_augmentation_changes_what_the_encoder_makes_of_a_view(strong):
    moco = model(SkeletonCLR(**MOCO), backbone=BACKBONE, dtype=F64).eval()
    with torch.no_grad():
        moco.mask_value.fill_(0.5)
    fresh = view(sequences(samples=6, frames=16, dtype=F64))
    assert not torch.allclose(moco.embed(fresh), moco.embed(strong(fresh)))


def test_extreme_is_basic_normal_and_time_reversed():
    names = [type(a).__name__ for a in EA.augmentations]
    assert names == ["Crop", "Shear", "Flip", "Rotate", "TimeFlip", "Noise", "Blur", "AxisMask"]
