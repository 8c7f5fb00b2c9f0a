"""Finetuning, on all labels, on a share of them and from nothing: the schedule, the gradients, and what must not leak."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BACKBONE, DSTA_BACKBONE, LEVELLED, MOCO, TRIAL, dataset, same_state, splits
from torch import nn
from torch.nn import functional as F

from skelray import papers
from skelray.augment import BA, DAE, EA, HICO, NA, AdaIN, AugmentationSet, Draws, Mask, View, to_stream
from skelray.evaluation import (
    Diverged,
    Finetune,
    FrozenEncoder,
    Linear,
    SemiSupervised,
    Supervised,
    draw_labelled,
    top_k_accuracy,
)
from skelray.evaluation.classifier import Classifier
from skelray.evaluation.finetune import Network
from skelray.methods import CrosSCLR, HiCLR, HiCo
from skelray.training import Pretraining

CPU = torch.device("cpu")
SHORT = Finetune(epochs=3, warmup=0, milestones=(), lr=0.05, batch_size=8)
WHOLE = [SHORT, SemiSupervised(labels=0.5, epochs=2, batch_size=8), Supervised(epochs=2, batch_size=8)]
every = pytest.mark.parametrize("evaluation", WHOLE, ids=lambda evaluation: evaluation.name)


class Probe(nn.Module):
    """The mean of each coordinate, mapped, behind a batch norm; keeps what it was given and in which mode."""

    def __init__(self):
        super().__init__()
        self.dim = 6
        self.norm, self.layer, self.dropout = nn.BatchNorm1d(60), nn.Linear(60, 6), nn.Dropout(0.5)
        self.seen, self.modes = [], []

    def forward(self, x, present, rewire=None):
        self.seen.append(x.detach().clone())
        self.modes.append(self.training)
        return self.dropout(self.layer(self.norm(x[..., 0].mean(dim=2).flatten(1))))


def pretraining(**changes):
    return Pretraining(replace(TRIAL, **changes), splits(), CPU)


def probe(seed=0):
    torch.manual_seed(0)
    encoder = Probe()
    return FrozenEncoder({"joint": encoder}, CPU, seed=seed), encoder


def watched(monkeypatch):
    """The networks that evaluations train, as they are made."""
    made = []
    monkeypatch.setattr("skelray.evaluation.finetune.Network", lambda *given: made.append(Network(*given)) or made[-1])
    return made


# Start and end


@every
def test_the_same_twice_bit_for_bit_and_another_under_another_seed(evaluation):
    data = splits()
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = evaluation(pretraining().frozen_encoder(), data.train, data.test)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(evaluation(pretraining().frozen_encoder(), data.train, data.test), first)
    assert not torch.equal(evaluation(pretraining(seed=1).frozen_encoder(), data.train, data.test), first)


@every
def test_the_encoder_of_the_trial_stays_as_it_is(evaluation):
    data, trained = splits(), pretraining()
    trained.train_epoch()
    before = {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}
    gradients = {name: p.grad is None for name, p in trained.model.named_parameters()}
    evaluation(trained.frozen_encoder(), data.train, data.test)
    assert same_state(before, dict(trained.model.state_dict()))
    assert gradients == {name: p.grad is None for name, p in trained.model.named_parameters()}
    assert {name for name, p in trained.model.named_parameters() if p.requires_grad} >= {"query.encoder.layer.weight"}


def test_it_starts_from_the_encoder(monkeypatch):
    made, data = watched(monkeypatch), splits()
    trained = pretraining()
    trained.train_epoch()
    replace(SHORT, lr=1e-12, weight_decay=0.0, epochs=1, mode="eval")(trained.frozen_encoder(), data.train, data.test)
    for name, tensor in trained.model.query.encoder.state_dict().items():
        torch.testing.assert_close(made[0].encoders["joint"].state_dict()[name], tensor)


def test_without_pretraining_it_starts_from_what_pretraining_starts_from():
    """Of an untrained encoder, finetuning and supervised training of one schedule are the same."""
    data, trained = splits(), pretraining()
    schedule = {"epochs": 2, "warmup": 0, "milestones": (), "batch_size": 8}
    from_nothing = Supervised(**schedule)(trained.frozen_encoder(), data.train, data.test)
    assert torch.equal(Finetune(**schedule)(trained.frozen_encoder(), data.train, data.test), from_nothing)
    trained.train_epoch()
    assert torch.equal(Supervised(**schedule)(trained.frozen_encoder(), data.train, data.test), from_nothing)
    assert not torch.equal(Finetune(**schedule)(trained.frozen_encoder(), data.train, data.test), from_nothing)


def test_an_easy_problem_is_solved():
    data = splits(samples=72)
    evaluation = replace(SHORT, epochs=12)
    scores = evaluation(pretraining().frozen_encoder(), data.train, data.test)
    assert top_k_accuracy(scores, torch.from_numpy(data.test.labels.copy())) == 1.0


def test_by_hand():
    """Two epochs of one batch of everything: momentum, weight decay and nesterov are torch's, the rest is ours."""
    data, (frozen, _) = splits(), probe()
    evaluation = Finetune(epochs=2, warmup=0, milestones=(2,), batch_size=100, dropout=0.0, weight_decay=0.01)
    scores = evaluation(frozen, data.train, data.test)
    torch.manual_seed(0)
    ours = Probe()
    ours.dropout.p = 0.0
    network = Network({"joint": ours}, {"joint": torch.zeros(1)}, 3, ("default", 0.02), frozen)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    x, labels = torch.from_numpy(data.train.batch(np.arange(len(data.train)))), torch.from_numpy(data.train.labels.copy())
    for rate in (0.1, 0.01):
        optimizer.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(network.classifier([ours(x, None)]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    expected = network.classifier([ours(torch.from_numpy(data.test.batch(np.arange(len(data.test)))), None)])
    torch.testing.assert_close(scores, expected.detach(), rtol=1e-4, atol=1e-5)


# The schedule


def test_the_rate_warms_up_and_falls_with_its_milestones():
    rate = [Finetune().lr_at(epoch) for epoch in range(1, 71)]
    assert rate[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rate[28:30] == pytest.approx([0.1, 0.01])  # epochs 29 and 30: with the milestone, not after it
    assert rate[53:55] == pytest.approx([0.01, 0.001])
    assert Supervised().lr_at(10) == 0.1
    assert Supervised().lr_at(11) == pytest.approx(0.01)


def test_a_schedule_stretches_whole():
    short = papers.HICLR_FINETUNE.lasting(14)
    assert (short.epochs, short.warmup, short.milestones) == (14, 1, (7, 12))
    rates = {epochs: [papers.HICLR_FINETUNE.lasting(epochs).lr_at(epoch) for epoch in range(1, 4)] for epochs in (3, 70)}
    assert rates[3] == pytest.approx([0.1, 0.01, 0.001])  # an epoch at each rate, where there are three
    assert papers.HICLR_FINETUNE.lasting(70) == papers.HICLR_FINETUNE


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_mode_decides_batch_norm_and_dropout(monkeypatch, mode):
    made, data, (frozen, encoder) = watched(monkeypatch), splits(), probe()
    replace(SHORT, epochs=1, mode=mode)(frozen, data.train, data.test)
    trained = made[0].encoders["joint"]
    steps = -(-len(data.train) // 8)
    assert trained.modes == [mode == "train"] * steps + [False] * (len(trained.modes) - steps)
    moved = not torch.equal(trained.norm.running_mean, encoder.norm.running_mean)
    assert moved == (mode == "train")
    assert trained.norm.weight.ne(encoder.norm.weight).any()  # learned in either mode


def test_training_sequences_are_augmented_and_test_sequences_are_not(monkeypatch):
    made, data, (frozen, _) = watched(monkeypatch), splits(), probe()
    replace(SHORT, epochs=1, batch_size=100, augmentation=BA)(frozen, data.train, data.test)
    training, test = made[0].encoders["joint"].seen
    plain = torch.from_numpy(data.train.batch(np.arange(len(data.train))))
    assert training.shape == plain.shape
    assert not any(torch.equal(one, other) for one in training for other in plain)
    assert torch.equal(test, torch.from_numpy(data.test.batch(np.arange(len(data.test)))))


@dataclass(frozen=True)
class Severed:
    """An augmentation as a study file may define it: the second person goes, and no joint hears of another."""

    def __call__(self, view: View) -> View:
        alone = view.present & torch.tensor([True, False])
        return replace(view, present=alone, rewire=lambda a: a * torch.eye(a.shape[-1], dtype=a.dtype))


AUGMENTATIONS = [BA, NA, EA, Mask, DAE, AdaIN, NA + Mask, DAE + AdaIN, AugmentationSet("own", (Severed(),))]
MODELS = {
    "stgcn": {"backbone": BACKBONE},
    "dsta": {"backbone": DSTA_BACKBONE, "stream": "bone"},
    "streams": {"backbone": BACKBONE, "method": CrosSCLR(**MOCO), "stream": "joint+motion"},
}
augmented = pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=str)


@pytest.fixture(scope="module")
def plain_scores():
    """What finetuning without augmentation ends in, for each kind."""
    return {e.name: e(pretraining(backbone=BACKBONE).frozen_encoder(), splits().train, splits().test) for e in WHOLE}


@augmented
@every
def test_every_augmentation_changes_what_is_trained(plain_scores, evaluation, augmentation):
    data = splits()
    changed = replace(evaluation, augmentation=augmentation)(
        pretraining(backbone=BACKBONE).frozen_encoder(), data.train, data.test
    )
    assert not torch.equal(changed, plain_scores[evaluation.name])


def given_to(encoder, monkeypatch):
    """What an encoder is given from now on; of what rewires, what it makes of a graph."""
    seen, forward = [], type(encoder).forward

    def note(self, x, present, rewire=None):
        rewired = None if rewire is None else rewire(torch.eye(25))
        seen.append((x.detach().clone(), present.clone(), rewired))
        return forward(self, x, present, rewire)

    monkeypatch.setattr(type(encoder), "forward", note)
    return seen


@augmented
@pytest.mark.parametrize("name", MODELS)
def test_an_encoder_gets_in_finetuning_what_it_gets_in_pretraining(monkeypatch, name, augmentation):
    """Streams, masks, persons and rewired graphs, after a step that gave masked joints a value of their own."""
    data, trained = splits(), pretraining(**MODELS[name])
    mocos = trained.model.mocos().values() if name == "streams" else [trained.model]
    for value, moco in enumerate(mocos, start=3):
        torch.nn.init.constant_(moco.mask_value, value)
    encoder = next(iter(trained.model.encoders().values()))
    seen = given_to(encoder, monkeypatch)
    replace(SHORT, epochs=1, batch_size=100, augmentation=augmentation)(trained.frozen_encoder(), data.train, data.test)
    tuned = seen[: len(trained.model.encoders())]
    seen.clear()
    encoder.train()
    order = torch.randperm(len(data.train), generator=Draws(0, 1)["tuning"]).numpy()
    view = augmentation(trained.frozen_encoder().view(data.train, order, Draws(0, 1)).on("tuned"))
    for moco in mocos:
        moco.embed(view)
    assert len(seen) == len(tuned)
    for expected, found in zip(seen, tuned, strict=True):
        assert all(same_state(a, b) for a, b in zip(expected, found, strict=True))


def test_a_mask_is_learned_in_finetuning_and_starts_from_what_pretraining_learned(monkeypatch):
    made, data = watched(monkeypatch), splits()
    trained = pretraining(method=HiCLR(arrangement=(BA, Mask), **MOCO))
    trained.train_epoch()
    learned = trained.model.mask_value.item()
    assert learned != 0
    tiny = replace(SHORT, epochs=1, lr=1e-12, weight_decay=0.0, augmentation=Mask)
    tiny(trained.frozen_encoder(), data.train, data.test)
    replace(tiny, lr=0.1)(trained.frozen_encoder(), data.train, data.test)
    Supervised(epochs=1)(trained.frozen_encoder(), data.train, data.test)
    started, moved, fresh = (network.masks["joint"].item() for network in made)
    assert started == pytest.approx(learned)
    assert moved != pytest.approx(learned)
    assert fresh == 0
    assert trained.model.mask_value.item() == learned


@pytest.mark.parametrize("augmentation", [Mask, AdaIN, BA + Mask, HICO, HICO + Mask], ids=str)
def test_what_acts_on_the_stream_fits_the_clip_of_the_encoder(monkeypatch, augmentation):
    """HiCo reads clips of 64 frames, whatever the length of the sequences."""
    data = splits()
    trained = pretraining(method=HiCo(queue=32, dim=8, m=0.9), backbone=replace(LEVELLED, frames=64))
    torch.nn.init.constant_(trained.model.mask_value, 77.0)
    seen = given_to(trained.model.query.encoder, monkeypatch)
    replace(SHORT, epochs=1, batch_size=100, augmentation=augmentation)(trained.frozen_encoder(), data.train, data.test)
    masked = (seen[0][0] == 77.0).all(dim=1)[..., 0].sum(dim=2)  # (N, 64)
    assert (masked == (2 if "Mask" in augmentation.name else 0)).all()


def test_the_gradient_is_clipped(monkeypatch):
    lengths, whole = [], nn.utils.clip_grad_norm_

    def clip(parameters, limit):
        whole(parameters, limit)
        lengths.append(torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm().item())

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip)
    data = splits()
    replace(SHORT, epochs=1, clip_norm=1e-3)(pretraining().frozen_encoder(), data.train, data.test)
    assert len(lengths) == 3
    assert lengths == pytest.approx([1e-3] * 3, rel=1e-3)


def test_a_loss_that_is_no_number_has_diverged():
    data = splits()
    with pytest.raises(Diverged, match="the loss of finetune is"):
        replace(SHORT, lr=1e20, epochs=4)(pretraining().frozen_encoder(), data.train, data.test)


def test_it_trains_in_the_precision_of_the_trial(monkeypatch):
    data, dtypes = splits(), []

    def note(module, given, out):
        dtypes.append(out.dtype)

    trained = pretraining(precision="bfloat16")
    frozen = trained.frozen_encoder()
    monkeypatch.setattr(
        Finetune, "_settle", lambda self, network: network.encoders["joint"].layer.register_forward_hook(note)
    )
    replace(SHORT, epochs=1)(frozen, data.train, data.test)
    assert dtypes == [torch.bfloat16] * 3 + [torch.float32]  # and is read as a frozen encoder is


# Gradients


def test_the_gradient_reaches_every_part_of_the_encoder_and_the_classifier(monkeypatch):
    for backbone in (BACKBONE, DSTA_BACKBONE):
        made, data = watched(monkeypatch), splits()
        trained = pretraining(backbone=backbone)
        SHORT(trained.frozen_encoder(), data.train, data.test)
        before = trained.model.query.encoder.state_dict()
        for name, parameter in made[0].encoders["joint"].named_parameters():
            assert parameter.grad is not None, name
            if parameter.dim() > 1:  # a bias before a batch norm has nothing to learn
                assert not torch.equal(parameter, before[name]), name
        assert made[0].classifier.maps[0].weight.grad.abs().sum() > 0


def test_what_is_frozen_gets_none_and_stays(monkeypatch):
    made, data = watched(monkeypatch), splits()
    trained = pretraining(backbone=DSTA_BACKBONE)
    before = {name: tensor.clone() for name, tensor in trained.model.query.encoder.state_dict().items()}
    replace(papers.HICLR_DSTA_FINETUNE, epochs=2, batch_size=8)(trained.frozen_encoder(), data.train, data.test)
    encoder = made[0].encoders["joint"]
    for name, parameter in encoder.named_parameters():
        fixed = name in ("linear.weight", "linear.bias")
        assert (parameter.grad is None) == fixed, name
        if fixed or parameter.dim() > 1:  # a bias before a batch norm has nothing to learn
            assert torch.equal(parameter, before[name]) == fixed, name
    assert all(module.p == 0 for module in encoder.modules() if hasattr(module, "p"))
    assert all(p.requires_grad for p in trained.model.query.encoder.parameters())


def test_a_part_that_there_is_not_is_refused():
    data = splits()
    with pytest.raises(ValueError, match="frozen 'conv' is no part of the encoder; it has norm, layer, dropout"):
        replace(SHORT, frozen=("conv",))(pretraining().frozen_encoder(), data.train, data.test)


# Every kind of model


@pytest.mark.parametrize(
    "changes",
    [
        {"method": CrosSCLR(**MOCO), "stream": "joint+motion+bone"},
        {"method": HiCo(queue=32, dim=8, m=0.9), "backbone": replace(LEVELLED, frames=64)},
        {"backbone": DSTA_BACKBONE},
        {"stream": "motion"},
    ],
    ids=["CrosSCLR", "HiCo", "DSTA", "motion"],
)
def test_every_model_is_finetuned_by_the_same_code(changes):
    data, trained = splits(), pretraining(**changes)
    for evaluation in (replace(SHORT, epochs=1), replace(SHORT, epochs=1, labels=0.3), Supervised(epochs=1)):
        scores = evaluation(trained.frozen_encoder(), data.train, data.test)
        assert scores.shape == (len(data.test), 3)
        assert scores.isfinite().all()


def test_streams_are_trained_on_the_mean_of_their_logits(monkeypatch):
    made, data = watched(monkeypatch), splits()
    trained = pretraining(method=CrosSCLR(**MOCO), stream="joint+motion")
    scores = replace(SHORT, epochs=1)(trained.frozen_encoder(), data.train, data.test)
    x = torch.from_numpy(data.test.batch(np.arange(len(data.test))))
    present = x.ne(0).flatten(1, 3).any(dim=1)
    logits = [
        linear(encoder(to_stream(x, data.test.skeleton, stream), present))
        for linear, (stream, encoder) in zip(made[0].classifier.maps, made[0].encoders.items(), strict=True)
    ]
    torch.testing.assert_close(scores, (logits[0] + logits[1]) / 2)


# Labels


@given(st.integers(1, 200), st.integers(1, 6), st.floats(0.01, 1.0), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_share_of_each_class_and_at_least_one(samples, classes, share, seed):
    data = dataset(samples=samples, frames=1, classes=classes)
    subset = draw_labelled(data, share, seed)
    for label in range(classes):
        there, taken = (int((d.labels == label).sum()) for d in (data, subset))
        assert taken == (max(1, round(share * there)) if there else 0)
    assert len(np.unique(subset.rows)) == len(subset)
    assert np.isin(subset.rows, data.rows).all()


def test_labels_are_the_same_for_every_arm_and_grow_with_their_share():
    data = dataset(samples=300, frames=1)
    ten, one = draw_labelled(data, 0.1, 0), draw_labelled(data, 0.01, 0)
    assert np.array_equal(ten.rows, draw_labelled(data, 0.1, 0).rows)
    assert np.isin(one.rows, ten.rows).all()
    assert not np.array_equal(ten.rows, draw_labelled(data, 0.1, 1).rows)
    assert draw_labelled(data, 1.0, 0) is data


def test_only_labelled_samples_are_seen_in_training(monkeypatch):
    """The others' sequences are poisoned, and nothing changes."""
    data, evaluation = splits(samples=72), SemiSupervised(labels=0.25, epochs=2, batch_size=8)
    expected = evaluation(pretraining().frozen_encoder(), data.train, data.test)
    chosen = np.isin(data.train.rows, draw_labelled(data.train, 0.25, 0).rows)
    sequences = np.array(data.train.sequences)
    sequences[data.train.rows[~chosen]] = np.nan
    poisoned = replace(data.train, sequences=sequences)
    assert torch.equal(evaluation(pretraining().frozen_encoder(), poisoned, data.test), expected)


def test_an_epoch_of_few_labels_is_as_long_as_asked(monkeypatch):
    made, data = watched(monkeypatch), splits(samples=72)
    for whole in (True, False):
        frozen, _ = probe()
        evaluation = SemiSupervised(labels=0.25, epochs=1, batch_size=4, whole_epochs=whole)
        evaluation(frozen, data.train, data.test)
        given = sum(
            len(x)
            for x, training in zip(made[-1].encoders["joint"].seen, made[-1].encoders["joint"].modes, strict=True)
            if training
        )
        assert given == (len(data.train) if whole else len(draw_labelled(data.train, 0.25, 0)))
        assert evaluation.trained(len(data.train)) == given


# The test split


@every
def test_test_samples_reach_nothing_that_is_fitted(monkeypatch, evaluation):
    made, data = watched(monkeypatch), splits()
    expected = evaluation(pretraining().frozen_encoder(), data.train, data.test)
    fitted = {name: tensor.clone() for name, tensor in made[0].state_dict().items()}
    other = replace(data.test, samples=data.test.samples.drop(columns="label"))
    assert torch.equal(evaluation(pretraining().frozen_encoder(), data.train, other), expected)
    sequences = np.array(data.test.sequences)
    sequences[data.test.rows] += 100
    evaluation(pretraining().frozen_encoder(), data.train, replace(data.test, sequences=sequences))
    assert same_state(fitted, dict(made[-1].state_dict()))


@pytest.mark.parametrize("evaluation", [SHORT, Linear(epochs=6, lr=0.5, milestones=())], ids=["finetune", "linear"])
def test_best_on_test_is_the_best_epoch_read_and_says_so(evaluation):
    data = splits()
    hard = replace(data.test, samples=data.test.samples.assign(label=np.roll(data.test.labels, 3)))  # no easy end
    labels = torch.from_numpy(hard.labels.copy())
    lasting = [
        replace(evaluation, epochs=n)(pretraining().frozen_encoder(), data.train, hard)
        for n in range(1, evaluation.epochs + 1)
    ]
    best = replace(evaluation, selection="released", every=1)(pretraining().frozen_encoder(), data.train, hard)
    accuracies = [top_k_accuracy(scores, labels) for scores in lasting]
    assert top_k_accuracy(best, labels) == max(accuracies)
    assert torch.equal(best, lasting[max(i for i, a in enumerate(accuracies) if a == max(accuracies))])
    rarely = replace(evaluation, selection="released", every=100)(pretraining().frozen_encoder(), data.train, hard)
    assert torch.equal(rarely, lasting[-1])
    assert replace(evaluation, selection="released").name == f"{evaluation.name} (best on test)"


# The classifier


@pytest.mark.parametrize("init", ["normal", "xavier", "default"])
def test_classifiers_start_as_their_init_says(init):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    linear = Classifier([400], 100, torch.Generator().manual_seed(0), init, 0.02).maps[0]
    assert torch.equal(torch.random.get_rng_state(), state)
    bound = 400**-0.5
    expected = {"normal": 0.02, "xavier": (2 / 500) ** 0.5, "default": bound / 3**0.5}[init]
    assert linear.weight.std().item() == pytest.approx(expected, rel=0.03)
    if init == "default":
        assert linear.weight.abs().max() <= bound
        assert 0 < linear.bias.abs().max() <= bound
    else:
        assert not linear.bias.any()


# What is wrong is said where it is given


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": 0.0}, "labels 0.0"),
        ({"labels": 10}, "labels 10: the share of the labels, above 0 and at most 1"),
        ({"lr": 0.0}, "lr 0.0"),
        ({"epochs": 0}, "epochs 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"warmup": -1}, "warmup -1"),
        ({"milestones": 30}, r"milestones 30: a tuple is needed, as in milestones=\(30, 55\)"),
        ({"milestones": (30.5,)}, r"milestones \(30.5,\): a tuple"),
        ({"frozen": "linear"}, r"frozen 'linear': a tuple is needed, as in frozen=\(\"linear\",\)"),
        ({"weight_decay": -1.0}, "weight_decay -1.0: a number, at least 0"),
        ({"mode": "test"}, "mode 'test' is none of train, eval"),
        ({"init": "zero"}, "init 'zero' is none of normal, xavier, default"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"clip_norm": 0.0}, "clip_norm 0.0"),
        ({"selection": "best"}, "selection 'best' is none of last, released"),
        ({"every": 0}, "every 0"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_setting_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Finetune(**changes)


def test_names_tell_share_and_kind():
    names = [Finetune(), Finetune(labels=0.1), *papers.HICLR_SEMI, Supervised(), Supervised(labels=0.01)]
    assert [e.name for e in names] == ["finetune", "finetune 10%", "semi 1%", "semi 10%", "supervised", "supervised 1%"]
