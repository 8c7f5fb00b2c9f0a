"""Methods: a contract for every one, MoCo's state, and the losses by hand."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from every_method import METHODS
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, MOCO, Small, flat, model, queues, sequences, streams_for, view
from torch.nn import functional as F

from skelray.augment import BA, NA, Mask
from skelray.augment.strong import MaskJoints
from skelray.methods import (
    SIMILARITIES,
    AimCLR,
    Candidates,
    CrosSCLR,
    HiCLR,
    HiCo,
    SkeletonCLR,
    Views,
    cosine,
    cross_entropy,
    info_nce,
    kl,
    l1,
)
from skelray.methods.queue import Queue
from skelray.methods.similarity import mined_info_nce, nearest_keys
from skelray.skeleton import KINECT_V1, KINECT_V2
from skelray.training import optimisation_step
from skelray.trial import SGD

F64 = torch.float64

every = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
METHODS_USING_MASK = ("hiclr", "hiclr k=4", "hiclr mask first")


def batch(method, samples=8, **shape):
    return method.views(view(samples=samples, **shape))


def sides(moco):
    """The parameters of the query side and of the key side by name; masks belong to neither."""
    named = {name: p for name, p in moco.named_parameters(remove_duplicate=False) if not name.endswith("mask_value")}
    key = {name: p for name, p in named.items() if "key" in name.split(".")}
    return {name: p for name, p in named.items() if name not in key}, key


# Contracts


@every
@pytest.mark.parametrize("which", range(3))
def test_gradients_reach_the_query_side_and_never_the_key_side(method, which):
    if which >= len(streams_for(method)):
        pytest.skip("a method across streams has fewer choices of them")
    moco = model(method, stream=streams_for(method)[which]).train()
    step = method.loss(moco, batch(method), epoch=1)
    step.loss.backward()
    query, key = sides(moco)
    assert {name.replace("query", "key") for name in query} == set(key)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in query.values())
    assert all(p.grad.any() for name, p in query.items() if not name.endswith("bias"))
    assert all(p.grad is None and not p.requires_grad for p in key.values())
    assert not flat(step.keys).requires_grad


@every
def test_a_step_is_a_scalar_with_unit_keys_and_named_parts(method):
    moco = model(method).train()
    step = method.loss(moco, batch(method), epoch=1)
    assert step.loss.shape == ()
    assert step.loss.isfinite()
    keys = flat(step.keys)
    assert keys.shape[1] == MOCO["dim"]
    assert len(keys) % 8 == 0
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(len(keys)))
    assert step.parts
    assert all(part.shape == () and not part.requires_grad for part in step.parts.values())


@every
def test_the_loss_writes_nothing_but_running_statistics(method):
    moco = model(method).train()
    before = {name: tensor.clone() for name, tensor in moco.state_dict().items()}
    method.loss(moco, batch(method), epoch=1).loss.backward()
    changed = {name for name, tensor in moco.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed or not any("running" in name for name in before)
    assert all("running" in name or "num_batches" in name for name in changed)


@every
def test_views_leave_the_batch_alone_and_are_drawn_apart(method):
    original = view(samples=8)
    kept = original.x.clone()
    views = method.views(original)
    assert torch.equal(original.x, kept)
    branches = [views.key.branch, *(query.branch for query in views.queries)]
    assert len(set(branches)) == len(branches)
    if BA in (getattr(method, "key", None), getattr(method, "arrangement", (None,))[0]):
        assert not torch.equal(views.key.x, views.queries[0].x)


@every
def test_the_same_model_and_views_make_the_same_loss(method):
    losses = [method.loss(model(method).train(), batch(method), epoch=1).loss for _ in range(2)]
    assert torch.equal(*losses)


@every
def test_steps_of_optimisation_lower_the_loss_against_the_same_candidates(method):
    method = replace(method, m=1.0, tau=0.5, key_init="independent")
    moco, views = model(method).train(), batch(method)
    kept = [queue.keys.clone() for queue in queues(moco)]
    optimizer = SGD(lr=0.01, milestones=()).build([p for p in moco.parameters() if p.requires_grad])
    losses = []
    for _ in range(4):
        losses.append(optimisation_step(method, moco, optimizer, views, epoch=1).loss.item())
        for queue, keys in zip(queues(moco), kept, strict=True):
            queue.keys.copy_(keys)
    assert losses[-1] < losses[0]


@every
@pytest.mark.parametrize("skeleton", [KINECT_V1, KINECT_V2], ids=["v1", "v2"])
def test_the_state_is_built_for_the_skeleton_and_goes_round(method, skeleton):
    one, other = model(method, skeleton, seed=1), model(method, skeleton, seed=2)
    for queue in queues(one):
        assert queue.keys.shape[1] == 8
        assert len(queue.keys) % 32 == 0
        torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(len(queue.keys)))
    other.load_state_dict(one.state_dict())
    views = method.views(view(samples=4, skeleton=skeleton))
    assert torch.equal(method.loss(one, views, epoch=1).loss, method.loss(other, views, epoch=1).loss)


@every
def test_the_mask_value_learns_where_a_mask_is_used(method):
    moco = model(method).train()
    views = batch(method)
    method.loss(moco, views, epoch=1).loss.backward()
    uses_mask = any(isinstance(op, MaskJoints) for query in views.queries for op in query.stream_ops)
    grads = [p.grad for name, p in moco.named_parameters() if name.endswith("mask_value")]
    if uses_mask:
        assert all(grad.abs() > 0 for grad in grads)
    else:
        assert all(grad is None for grad in grads)


def test_the_mask_is_used_where_the_arrangement_says():
    using = {name for name, method in METHODS.items() if any(q.stream_ops for q in batch(method).queries)}
    assert {*METHODS_USING_MASK, "own method"} <= using
    assert not using & {"skeletonclr", "hiclr k=1"}
    assert [len(q.stream_ops) for q in batch(METHODS["hiclr k=4"]).queries] == [0, 0, 1, 2]


# MoCo


@given(m=st.floats(0, 1), seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_the_key_follows_the_query(m, seed):
    moco = model(SkeletonCLR(**{**MOCO, "m": m}, key_init="independent"), seed=seed, dtype=F64)
    old = [p.clone() for p in moco.key.parameters()]
    query = [p.clone() for p in moco.query.parameters()]
    moco.update_key(1)
    for new, before, q in zip(moco.key.parameters(), old, query, strict=True):
        torch.testing.assert_close(new, m * before + (1 - m) * q)
    assert all(torch.equal(a, b) for a, b in zip(moco.query.parameters(), query, strict=True))


def test_statistics_are_not_averaged_into_the_key():
    moco = model(SkeletonCLR(**{**MOCO, "m": 0.0})).train()
    moco.embed(view())
    before = {name: buffer.clone() for name, buffer in moco.key.named_buffers()}
    moco.update_key(1)
    assert all(torch.equal(buffer, before[name]) for name, buffer in moco.key.named_buffers())


@given(size=st.integers(1, 9), pushes=st.lists(st.integers(1, 14), max_size=6))
@settings(max_examples=50, deadline=None)
def test_the_queue_holds_the_latest_keys(size, pushes):
    """First in, first out, whatever the size of a batch, even one that is larger than the queue."""
    queue = Queue(size, 2)
    queue.keys.copy_(torch.arange(-size, 0.0)[:, None].repeat(1, 2))
    expected = list(range(-size, 0))
    count = 0
    for push in pushes:
        keys = torch.arange(count, count + push, dtype=torch.float32)
        queue.push(keys[:, None].repeat(1, 2))
        expected += keys.int().tolist()
        count += push
    assert int(queue.position) == count % size
    oldest_first = queue.keys.roll(-int(queue.position), dims=0)
    assert oldest_first[:, 0].int().tolist() == expected[-size:]
    assert torch.equal(queue.keys[:, 0], queue.keys[:, 1])


def test_the_key_starts_as_a_copy_or_of_its_own():
    copied = model(SkeletonCLR(key_init="copy", **MOCO))
    pairs = list(zip(copied.query.parameters(), copied.key.parameters(), strict=True))
    assert all(torch.equal(q, k) and q is not k for q, k in pairs)
    independent = model(SkeletonCLR(key_init="independent", **MOCO))
    weights = [(q, k) for q, k in zip(independent.query.parameters(), independent.key.parameters(), strict=True)]
    assert not any(torch.equal(q, k) for q, k in weights if q.ndim > 1 and q.std() > 0)
    # the choice decides nothing else
    assert all(torch.equal(a, b) for a, b in zip(copied.query.parameters(), independent.query.parameters(), strict=True))
    assert torch.equal(copied.queue.keys, independent.queue.keys)


def test_weights_start_as_released():
    moco = model(SkeletonCLR(), backbone=replace(BACKBONE, hidden_channels=16, hidden_dim=256))
    weights = {name: p for name, p in moco.query.named_parameters() if p.numel() > 4000 and name.endswith("weight")}
    assert len(weights) > 10
    for name, p in weights.items():
        assert p.std().item() == pytest.approx(0.02, rel=0.1), name
    for name, p in moco.query.named_parameters():
        if name.endswith("bias"):
            assert not p.any(), name
        elif "norm" in name:
            assert p.mean().item() == pytest.approx(1, abs=0.02), name
        elif name.endswith("importance"):
            assert (p == 1).all(), name
    assert moco.mask_value.tolist() == [0.0]


@pytest.mark.parametrize("backbone", [BACKBONE, Small()], ids=["stgcn", "own"])
def test_weights_of_he_have_a_variance_of_two_over_the_inputs(backbone):
    wide = replace(backbone, hidden_dim=256)
    normal, he = (model(SkeletonCLR(init=init), backbone=wide) for init in ("normal", "he"))
    pairs = {n: (p, q) for (n, p), q in zip(normal.query.named_parameters(), he.query.parameters(), strict=True)}
    assert pairs["head.2.weight"][1].std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)
    for name, (p, q) in pairs.items():
        if torch.equal(p, q):
            assert p.ndim == 1 or name.endswith(("bias", "importance")), name
        else:
            torch.testing.assert_close(q / q.std(), p / p.std())  # the same draws
    if backbone is BACKBONE:
        temporal = pairs["encoder.blocks.9.temporal.weight"][1]  # nine taps of 256 channels
        assert temporal.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
def test_the_encoder_reads_the_models_stream(stream):
    moco = model(SkeletonCLR(**MOCO), stream=stream, dtype=F64).eval()
    still = sequences(frames=1, dtype=F64).expand(-1, -1, 14, -1, -1)
    shifted = still + still.ne(0) * torch.tensor([1.0, 2.0, 3.0], dtype=F64)[:, None, None, None]
    a, b = moco.embed(view(still)), moco.embed(view(shifted))
    assert torch.allclose(a, b) is (stream != "joint")
    moving = view(sequences(dtype=F64))
    assert torch.allclose(a, moco.embed(moving)) is False


def test_embeddings_are_of_unit_length_in_any_precision():
    moco = model(SkeletonCLR(**MOCO))
    moco.autocast = torch.bfloat16
    z = moco.embed(view())
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(6))


# Losses by hand: three unit vectors in the plane, two candidates in the queue


TAU = 0.5
Z = [[1.0, 0.0], [0.6, 0.8]]
KEYS = [[0.8, 0.6], [0.0, 1.0]]
QUEUE = [[0.0, 1.0], [-1.0, 0.0]]
LOGITS = [[1.6, 0.0, -2.0], [1.6, 1.6, -1.2]]  # (z . key, z . queue) / tau


def branch(z, keys=KEYS, queue=QUEUE, tau=TAU):
    leaf = torch.tensor(z, dtype=F64, requires_grad=True)
    return leaf, Candidates.of(leaf, torch.tensor(keys, dtype=F64), torch.tensor(queue, dtype=F64), tau)


def softmax(row):
    total = sum(map(math.exp, row))
    return [math.exp(x) / total for x in row]


def angle(degrees):
    return [[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees]


def test_candidates_are_the_key_and_the_queue():
    _, found = branch(Z)
    logits = torch.cat((found.positive[:, None], found.negatives), dim=1)
    torch.testing.assert_close(logits, torch.tensor(LOGITS, dtype=F64))
    torch.testing.assert_close(found.normaliser, logits.logsumexp(dim=1))


def test_info_nce_by_hand():
    leaf, found = branch(Z)
    loss = info_nce(found)
    shares = [softmax(row) for row in LOGITS]
    assert loss.item() == pytest.approx(-sum(math.log(share[0]) for share in shares) / 2)
    loss.backward()
    candidates = [[KEYS[n], *QUEUE] for n in range(2)]
    expected = [
        [
            sum((p - (i == 0)) * c[axis] for i, (p, c) in enumerate(zip(shares[n], candidates[n], strict=True)))
            for axis in (0, 1)
        ]
        for n in range(2)
    ]
    torch.testing.assert_close(leaf.grad, torch.tensor(expected, dtype=F64) / TAU / 2)


def test_info_nce_survives_a_low_temperature():
    _, found = branch(Z, tau=1e-4)
    assert info_nce(found).isfinite()


def test_kl_by_hand():
    weak_leaf, weak = branch(Z)
    strong_leaf, strong = branch(angle([30, -45]))
    loss = kl(weak, strong)
    p = [softmax(row) for row in LOGITS]
    logits = torch.cat((strong.positive[:, None], strong.negatives), dim=1).tolist()
    q = [softmax(row) for row in logits]
    by_hand = sum(a * math.log(a / b) for x, y in zip(p, q, strict=True) for a, b in zip(x, y, strict=True)) / 2
    assert loss.item() == pytest.approx(by_hand)
    entropy = -sum(a * math.log(a) for x in p for a in x) / 2
    assert cross_entropy(weak, strong).item() == pytest.approx(by_hand + entropy)
    loss.backward()
    expected = [
        [sum((q[n][i] - p[n][i]) * [KEYS[n], *QUEUE][i][axis] for i in range(3)) for axis in (0, 1)] for n in range(2)
    ]
    torch.testing.assert_close(strong_leaf.grad, torch.tensor(expected, dtype=F64) / TAU / 2)
    assert weak_leaf.grad is None


def test_cosine_and_l1_by_hand():
    weak_leaf, weak = branch(Z)
    strong_leaf, strong = branch([[0.0, 1.0], [0.8, 0.6]])
    assert cosine(weak, strong).item() == pytest.approx(-(0 + 0.96) / 2)
    assert l1(weak, strong).item() == pytest.approx((1 + 1 + 0.2 + 0.2) / 4)
    l1(weak, strong).backward()
    assert strong_leaf.grad.tolist() == [[-0.25, 0.25], [0.25, -0.25]]
    strong_leaf.grad = None
    cosine(weak, strong).backward()  # what is left of the weak vector beside the strong one
    torch.testing.assert_close(strong_leaf.grad, -torch.tensor([[1.0, 0.0], [-0.168, 0.224]], dtype=F64) / 2)
    assert weak_leaf.grad is None


def test_mined_neighbours_are_positives_too():
    leaf, found = branch(Z)
    mined = torch.tensor([[True, False], [False, False]])
    loss = mined_info_nce(found, mined)
    p = [softmax(row) for row in LOGITS]
    by_hand = (-(math.log(p[0][0]) + math.log(p[0][1])) / 2 - math.log(p[1][0])) / 2
    assert loss.item() == pytest.approx(by_hand)
    loss.backward()
    share = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], dtype=F64)
    candidates = torch.tensor([[KEYS[n], *QUEUE] for n in range(2)], dtype=F64)
    expected = torch.einsum("nk,nkd->nd", torch.tensor(p, dtype=F64) - share, candidates) / TAU / 2
    torch.testing.assert_close(leaf.grad, expected)


def test_mining_nothing_is_info_nce():
    _, found = branch(Z)
    assert mined_info_nce(found, torch.zeros(2, 2, dtype=torch.bool)).item() == pytest.approx(info_nce(found).item())


def test_nearest_is_the_union_over_branches():
    queue = angle([0, 90, 180, 270])
    first, second = (branch(angle(degrees), queue=queue)[1] for degrees in ([10, 100], [80, 110]))
    assert nearest_keys([first], 1).tolist() == [[True, False, False, False], [False, True, False, False]]
    assert nearest_keys([first, second], 1).tolist() == [[True, True, False, False], [False, True, False, False]]
    assert nearest_keys([first], 2).sum(dim=1).tolist() == [2, 2]
    assert nearest_keys([first], 4).all()


@given(
    weak=st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    strong=st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    tau=st.floats(0.05, 2),
)
@settings(max_examples=60, deadline=None)
def test_a_divergence_is_not_negative_and_nought_between_equals(weak, strong, tau):
    keys, queue = angle([0, 50, 200]), angle([10, 120, 250, 300])
    a, b = branch(angle(weak), keys, queue, tau)[1], branch(angle(strong), keys, queue, tau)[1]
    assert kl(a, b).item() >= -1e-9
    assert kl(a, a).item() == pytest.approx(0, abs=1e-9)


# What every similarity must do


each_similarity = pytest.mark.parametrize("similarity", [*SIMILARITIES.values(), cross_entropy], ids=lambda f: f.__name__)


@each_similarity
def test_a_similarity_is_least_between_equals_and_moves_the_stronger_branch_only(similarity):
    generator = torch.Generator().manual_seed(0)

    def drawn(rows):
        return F.normalize(torch.randn(rows, 8, generator=generator, dtype=F64), dim=1)

    z, other, keys, queue = drawn(5).requires_grad_(), drawn(5).requires_grad_(), drawn(5), drawn(20)
    weak, strong = (Candidates.of(t, keys, queue, 0.1) for t in (z, other))
    loss = similarity(weak, strong)
    assert loss.shape == ()
    assert loss > similarity(weak, weak)
    loss.backward()
    assert z.grad is None
    assert other.grad.abs().sum() > 0
    near = F.normalize(other.detach() - 1e-3 * other.grad, dim=1)
    assert similarity(weak, Candidates.of(near, keys, queue, 0.1)) < loss


@each_similarity
def test_a_similarity_is_a_mean_over_the_batch(similarity):
    _, weak = branch(Z)
    _, strong = branch(angle([30, -45]))
    twice_weak, twice_strong = (branch(z * 2, KEYS * 2)[1] for z in (Z, angle([30, -45])))
    torch.testing.assert_close(similarity(twice_weak, twice_strong), similarity(weak, strong))


def test_similarities_by_name():
    assert {"kl": kl, "cosine": cosine, "l1": l1} == SIMILARITIES


# HiCLR


def test_without_the_hierarchy_hiclr_is_skeletonclr():
    baseline, hiclr = SkeletonCLR(**MOCO), HiCLR(lambda_h=0.0, **MOCO)
    views = batch(hiclr)
    first = baseline.views(view(samples=8))
    assert torch.equal(views.key.x, first.key.x)  # even their draws are the same
    assert torch.equal(views.queries[0].x, first.queries[0].x)
    one, other = model(baseline).train(), model(hiclr).train()
    expected, found = baseline.loss(one, first, 1), hiclr.loss(other, views, 1)
    torch.testing.assert_close(found.loss, expected.loss)
    assert torch.equal(found.keys, expected.keys)
    expected.loss.backward()
    found.loss.backward()
    for (name, p), q in zip(one.query.named_parameters(), other.query.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("weights", [False, True])
def test_the_loss_is_the_sum_of_its_parts(k, weights):
    weights = tuple(0.3 * i + 0.2 for i in range(k - 1)) if weights else None
    method = HiCLR(arrangement=(BA, NA, Mask, Mask)[:k], lambda_h=0.7, weights=weights, **MOCO)
    step = method.loss(model(method).train(), batch(method), epoch=1)
    assert list(step.parts) == ["infonce", *(f"hierarchical{i}" for i in range(1, k))]
    terms = [step.parts[f"hierarchical{i}"] for i in range(1, k)]
    total = step.parts["infonce"] + 0.7 * sum(w * t for w, t in zip(weights or [1.0] * (k - 1), terms, strict=True))
    torch.testing.assert_close(step.loss.detach(), torch.as_tensor(total))


def test_each_branch_is_held_to_its_weaker_neighbour():
    """With orthogonal embeddings planted, the terms name the pairs that were compared."""
    pairs = []

    def spy(weak, strong):
        pairs.append((weak.z.argmax().item(), strong.z.argmax().item()))
        return strong.z.sum() * 0

    class Planted:
        queue = SimpleNamespace(keys=torch.eye(4))

        def embed(self, number):
            return F.one_hot(torch.tensor([number]), 4).float().requires_grad_()

        def embed_each(self, numbers):
            return list(map(self.embed, numbers))

        embed_key = embed

    HiCLR(similarity=spy, **MOCO).loss(Planted(), Views(key=3, queries=[0, 1, 2]), epoch=1)
    assert pairs == [(0, 1), (1, 2)]


@pytest.mark.parametrize("mining_from", [None, 0, 5])
def test_mining_starts_after_its_epoch(mining_from):
    method = HiCLR(mining_from=mining_from, **MOCO)
    moco, views = model(method).train(), batch(method)
    started = [epoch for epoch in range(1, 9) if "mined" in method.loss(moco, views, epoch).parts]
    assert started == ([] if mining_from is None else list(range(mining_from + 1, 9)))


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_mining_counts_the_branches_it_is_told(branches):
    """Each branch lies nearest to another key of the queue."""

    class Planted:
        queue = SimpleNamespace(keys=torch.tensor(angle([0, 90, 180, 270]), dtype=F64))

        def embed(self, degrees):
            return torch.tensor(angle([degrees]), dtype=F64)

        def embed_each(self, angles):
            return list(map(self.embed, angles))

        embed_key = embed

    method = HiCLR(mining_from=0, mining_branches=branches, tau=0.5, **MOCO)
    found = method.loss(Planted(), Views(key=20, queries=[10, 80, 170]), epoch=1).parts["mined"].item()
    logits = [math.cos(math.radians(10 - d)) / 0.5 for d in (20, 0, 90, 180, 270)]
    positives = logits[: 1 + branches]
    assert found == pytest.approx(math.log(sum(map(math.exp, logits))) - sum(positives) / len(positives))


# What is wrong is said where it is given


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SkeletonCLR(tau=0.0), "tau 0.0"),
        (lambda: SkeletonCLR(tau=math.nan), "tau nan"),
        (lambda: SkeletonCLR(tau=math.inf), "tau inf: a number above 0"),
        (lambda: SkeletonCLR(m=1.5), "m 1.5"),
        (lambda: SkeletonCLR(queue=0), "queue 0"),
        (lambda: SkeletonCLR(queue=1.5), "queue 1.5: a whole number"),
        (lambda: SkeletonCLR(dim=0), "dim 0"),
        (lambda: SkeletonCLR(dim=1.5), "dim 1.5: a whole number"),
        (lambda: SkeletonCLR(key_init="kopy"), "'kopy' is none of copy, independent"),
        (lambda: SkeletonCLR(init="xavier"), "'xavier' is none of normal, he"),
        (lambda: HiCLR(arrangement=()), r"arrangement \(\): a tuple of at least one augmentation set"),
        (lambda: HiCLR(arrangement=BA), r"arrangement BA: a tuple .* as in \(BA, NA, Mask\)"),
        (lambda: HiCLR(arrangement=("BA", "NA")), "arrangement .'BA', 'NA'.: a tuple of"),
        (lambda: HiCLR(similarity="kl"), "similarity 'kl': a function is needed, as in similarity=kl"),
        (lambda: HiCLR(lambda_h=math.inf), "lambda_h inf: a number"),
        (lambda: HiCLR(weights=(1.0, math.nan)), "weights nan: a number"),
        (lambda: HiCLR(mining_k=1.5), "mining_k 1.5: a whole number"),
        *[
            (partial(method, mining_from=start), f"mining_from {start}: a whole number, at least 0")
            for method in (AimCLR, CrosSCLR, HiCLR)
            for start in (-3, 1.5)
        ],
        (lambda: AimCLR(beta=math.nan), "beta nan: a number, at least 0"),
        (lambda: HiCo(levels=("clip", "clip")), r"levels \('clip', 'clip'\): .* each once"),
        (lambda: HiCo(levels=("year",)), "clip, part, domain, instance"),
        (lambda: HiCLR(weights=(1.0,)), "1 weights for 2 pairs"),
        (lambda: HiCLR(queue=4, mining_k=5), "mining_k 5"),
        (lambda: HiCLR(mining_branches=0), "mining_branches 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_given(make, said):
    with pytest.raises(ValueError, match=said):
        make()
