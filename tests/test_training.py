"""Training: decided by its seed, resumable at any epoch to the last bit, and blind to labels, held-out and test data."""

import copy
import math
import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny import BACKBONE, DSTA_BACKBONE, LEVELLED, MOCO, TRIAL, Small, dataset, same_state, splits

from skelray import machine
from skelray.augment import BA, DAE, NA, AdaIN, AugmentationSet, Mask
from skelray.backbones import GRU
from skelray.evaluation import KNN, Linear
from skelray.methods import AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR, Step, l1
from skelray.store.store import Store
from skelray.training import HELD_OUT, Diverged, Pretraining, Report, optimisation_step, run
from skelray.trial import SGD, Monitor

CPU = torch.device("cpu")
HICLR = replace(TRIAL, method=HiCLR(mining_from=2, **MOCO))
STGCN = replace(HICLR, backbone=BACKBONE, epochs=2, batch_size=24, optimizer=SGD(milestones=(1,)))
TRIALS = {
    "stgcn": STGCN,
    "skeletonclr": TRIAL,
    "aimclr": replace(STGCN, method=AimCLR(mining_from=1, **MOCO)),
    "aimclr across": replace(
        TRIAL, stream="joint+motion", method=AimCLR(cross_streams=True, eadm=None, mining_from=1, **MOCO)
    ),
    "crossclr": replace(TRIAL, stream="joint+motion+bone", method=CrosSCLR(mining_from=2, **MOCO)),
    "crossclr released": replace(
        TRIAL, stream="joint+motion", method=CrosSCLR(mining_from=2, shared_head=True, frozen_keys=True, **MOCO)
    ),
    "hico": replace(TRIAL, backbone=replace(LEVELLED, frames=64, s2s=GRU()), method=HiCo(**MOCO), epochs=3),
    "dsta, edges and style": replace(STGCN, backbone=DSTA_BACKBONE, method=HiCLR(arrangement=(BA, DAE, AdaIN), **MOCO)),
    "hiclr": HICLR,
    "l1 without mining": replace(TRIAL, method=HiCLR(similarity=l1, mining_from=None, **MOCO)),
    "mask on bones": replace(TRIAL, stream="bone", method=HiCLR(arrangement=(BA, Mask), **MOCO)),
    "monitored": replace(HICLR, monitor=Monitor(KNN(), every=2)),
    "monitored by a probe": replace(TRIAL, monitor=Monitor(Linear(epochs=2), every=3)),
    "fewer frames": replace(TRIAL, frames=9, stream="motion"),
    "bfloat16": replace(HICLR, precision="bfloat16"),
    "nesterov, falling rate": replace(TRIAL, optimizer=SGD(nesterov=True, milestones=(1, 2))),
}
every = pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)


def trained(trial, data=None, epochs=None):
    """A trial trained for some epochs, to its end by default."""
    pretraining = Pretraining(trial, data or splits(), CPU)
    while pretraining.epoch < (trial.epochs if epochs is None else epochs):
        pretraining.train_epoch()
    return pretraining


def outcome(pretraining):
    """Everything that has to be equal between equal runs; how long they took does not."""
    state = pretraining.state()
    return {**state, "history": [[epoch, metrics] for epoch, metrics, _ in state["history"]]}


def weights(pretraining):
    return {name: tensor.clone() for name, tensor in pretraining.model.state_dict().items()}


# Deterministic, resumable, paired


@every
def test_a_trial_is_decided_by_its_content(trial):
    torch.manual_seed(1)
    first = outcome(trained(trial))
    torch.manual_seed(2)
    assert same_state(outcome(trained(trial)), first)


@every
def test_the_seed_matters(trial):
    assert not same_state(weights(trained(trial, epochs=1)), weights(trained(replace(trial, seed=1), epochs=1)))


@every
def test_a_run_cut_at_any_epoch_goes_on_as_if_it_had_not_been(trial, tmp_path):
    """Through a file, as after a kill: weights, queue, optimiser, history."""
    whole = outcome(trained(trial))
    stored = Store(tmp_path).trial("t")
    for cut in range(trial.epochs + 1) if trial is HICLR else {1, trial.epochs - 1}:
        stored.save_state(trained(trial, epochs=cut).state())
        torch.manual_seed(cut)
        later = Pretraining(trial, splits(), CPU)
        later.load_state(stored.state())
        assert later.epoch == cut
        while later.epoch < trial.epochs:
            later.train_epoch()
        assert same_state(outcome(later), whole)


def test_a_run_cut_at_every_epoch_does_too():
    whole, state = outcome(trained(HICLR)), None
    for epoch in range(1, HICLR.epochs + 1):
        pretraining = Pretraining(HICLR, splits(), CPU)
        if state is not None:
            pretraining.load_state(state)
        assert pretraining.train_epoch().epoch == epoch
        state = copy.deepcopy(pretraining.state())
    assert same_state(outcome(pretraining), whole)


def test_a_longer_trial_goes_on_where_a_shorter_one_ended():
    long = replace(HICLR, epochs=6)
    assert long.id("d") == HICLR.id("d")
    later = Pretraining(long, splits(), CPU)
    later.load_state(trained(HICLR).state())
    while later.epoch < 6:
        later.train_epoch()
    assert same_state(outcome(later), outcome(trained(long)))


def test_arms_with_the_same_seed_are_pairs():
    """The same initial weights and queue, the same order of the same data, the same draws for the same sets."""
    arms = [
        TRIAL,
        HICLR,
        replace(TRIAL, method=HiCLR(arrangement=(BA, NA + Mask), lambda_h=3.0, **MOCO)),
        replace(TRIAL, optimizer=SGD(lr=0.5)),
    ]
    runs = [Pretraining(arm, splits(), CPU) for arm in arms]
    assert all(same_state(weights(run), weights(runs[0])) for run in runs)
    for epoch in (1, 2):
        batches = [
            [(view.x, arm.method.views(view)) for view in run.batches(epoch)] for arm, run in zip(arms, runs, strict=True)
        ]
        for step in zip(*batches, strict=True):
            x, views = step[0]
            assert all(torch.equal(other, x) for other, _ in step)
            assert all(torch.equal(other.key.x, views.key.x) for _, other in step)
            assert all(torch.equal(other.queries[0].x, views.queries[0].x) for _, other in step)


def test_every_epoch_has_an_order_and_draws_of_its_own():
    pretraining = Pretraining(TRIAL, splits(), CPU)
    epochs = [torch.cat([view.x for view in pretraining.batches(epoch)]) for epoch in (1, 2, 1)]
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0], epochs[2])
    draws = [TRIAL.method.views(next(pretraining.batches(epoch))).key.uniform(3) for epoch in (1, 2)]
    assert not torch.equal(*draws)


def test_dropout_has_a_seed_for_each_epoch_that_arms_share():
    seeds = {}

    @dataclass(frozen=True, kw_only=True)
    class Spied(SkeletonCLR):
        def loss(self, model, views, epoch):
            seeds.setdefault((self.tau, epoch), torch.initial_seed())
            return super().loss(model, views, epoch)

    for tau in (0.07, 0.2):
        trained(replace(TRIAL, method=Spied(tau=tau, **MOCO)))
    assert [seeds[0.07, epoch] for epoch in range(1, 5)] == [seeds[0.2, epoch] for epoch in range(1, 5)]
    assert len(set(seeds.values())) == 4


def test_an_epoch_takes_every_sample_at_most_once_in_whole_batches():
    data = splits(samples=42)
    data = replace(data, train=data.train.subset(np.arange(21)))
    x = torch.cat([view.x for view in Pretraining(TRIAL, data, CPU).batches(1)])
    assert len(x) == 16
    assert len(x.flatten(1).unique(dim=0)) == 16


@every
def test_the_global_generator_is_left_as_it_was(trial):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    trained(trial, epochs=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_batch_outlasts_its_views(monkeypatch):
    """A step has the views in memory and not what they were made of."""
    pretraining, seen, alive = Pretraining(TRIAL, splits(), CPU), [], []
    batches = pretraining.batches

    def remembered(view):
        seen.append(weakref.ref(view))
        return view

    def step(*arguments):
        alive.append(seen[-1]() is not None)
        return optimisation_step(*arguments)

    monkeypatch.setattr(pretraining, "batches", lambda epoch: map(remembered, batches(epoch)))
    monkeypatch.setattr("skelray.training.optimisation_step", step)
    pretraining.train_epoch()
    assert alive
    assert not any(alive)


# What training must not see


class Watched:
    """Stands in for the array of sequences and notes which rows are read."""

    def __init__(self, array):
        self.array, self.read, self.shape = array, set(), array.shape

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.read |= set(np.atleast_1d(rows).tolist())
        return self.array[rows]


def watched_splits():
    data = dataset()
    watch = Watched(data.sequences)
    return splits(replace(data, sequences=watch)), watch


@every
def test_test_samples_are_never_read(trial):
    data, watch = watched_splits()
    trained(trial, data)
    assert watch.read
    assert not watch.read & set(data.test.rows.tolist())


@pytest.mark.parametrize("monitored", [False, True])
def test_held_out_subjects_train_only_where_there_is_no_monitor(monitored):
    data, watch = watched_splits()
    trial = replace(TRIAL, batch_size=6, monitor=Monitor(KNN(), every=99) if monitored else None)
    pretraining = Pretraining(trial, data, CPU)
    for epoch in range(1, 4):
        list(pretraining.batches(epoch))
    held_out, train = set(data.held_out.rows.tolist()), set(data.train.rows.tolist())
    assert watch.read == (train - held_out if monitored else train)


def test_poison_in_held_out_and_test_sequences_changes_no_weight():
    data = dataset()
    trial = replace(TRIAL, monitor=Monitor(KNN(), every=2))
    clean = trained(trial, splits(data))
    poisoned = data.sequences.copy()
    for part in (splits(data).held_out, splits(data).test):
        poisoned[part.rows] = 1000.0
    dirty = trained(trial, splits(replace(data, sequences=poisoned)))
    assert same_state(weights(dirty), weights(clean))


@every
def test_labels_change_no_weight(trial):
    data = dataset()
    shuffled = data.samples.assign(label=np.random.default_rng(0).permutation(data.labels))
    one, other = trained(trial, splits(data)), trained(trial, splits(replace(data, samples=shuffled)))
    assert same_state(weights(one), weights(other))


def test_without_a_monitor_labels_are_not_even_there():
    data = dataset()
    unlabelled = replace(data, samples=data.samples.drop(columns="label"))
    assert same_state(outcome(trained(TRIAL, splits(unlabelled))), outcome(trained(TRIAL, splits(data))))


def test_the_monitor_reads_held_out_against_the_rest():
    data, seen = splits(), []

    @dataclass(frozen=True)
    class Spy:
        name: str = "spy"

        def __call__(self, encoder, train, test):
            seen.append((set(train.rows.tolist()), set(test.rows.tolist())))
            return torch.eye(3)[test.labels.tolist()]

    pretraining = trained(replace(TRIAL, monitor=Monitor(Spy(), every=3)), data)
    held_out = set(data.held_out.rows.tolist())
    assert seen == [(set(data.train.rows.tolist()) - held_out, held_out)] * 2
    assert [report.epoch for report in pretraining.history if HELD_OUT in report.metrics] == [3, 4]
    assert pretraining.history[-1].metrics[HELD_OUT] == 1.0


def test_a_monitor_changes_nothing_but_the_data():
    """The weights of epoch 4 do not depend on how often the monitor has been read."""
    often, rarely = (trained(replace(HICLR, monitor=Monitor(KNN(), every=n))) for n in (1, 4))
    assert same_state(weights(often), weights(rarely))


# What training does


def test_reports_follow_the_epochs():
    reports = list(run(HICLR, splits()))
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert all(isinstance(report, Report) and not report.replayed and report.seconds > 0 for report in reports)
    assert set(reports[0].metrics) == {"loss", "infonce", "hierarchical1", "hierarchical2"}
    assert set(reports[3].metrics) == {"loss", "mined", "hierarchical1", "hierarchical2"}
    for report in reports:
        first = report.metrics.get("infonce", report.metrics.get("mined"))
        hierarchical = report.metrics["hierarchical1"] + report.metrics["hierarchical2"]
        assert report.metrics["loss"] == pytest.approx(first + 0.5 * hierarchical, rel=1e-5)


def test_a_run_can_be_left_at_any_epoch():
    reports = run(TRIAL, splits())
    assert next(reports).epoch == 1
    reports.close()


def test_the_loss_falls_below_that_of_not_knowing():
    """33 candidates that all look alike cost log 33; learning to tell three movements apart saves log 3."""
    method = SkeletonCLR(**{**MOCO, "m": 0.99}, tau=0.1, init="he")
    trial = replace(TRIAL, epochs=9, backbone=Small(hidden_dim=64), optimizer=SGD(lr=0.01), method=method)
    losses = [report.metrics["loss"] for report in run(trial, splits(samples=144))]
    assert np.mean(losses[-3:]) < min(math.log(33) - 0.7 * math.log(3), losses[0] - 0.3)


def test_the_rate_of_each_epoch_is_the_schedules():
    pretraining = Pretraining(replace(TRIAL, optimizer=SGD(lr=0.2, milestones=(2,))), splits(), CPU)
    rates = []
    for _ in range(4):
        pretraining.train_epoch()
        rates.append(pretraining.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.2, 0.2, 0.02, 0.02])


def test_a_step_moves_the_key_then_the_query_then_the_queue():
    method = SkeletonCLR(**{**MOCO, "m": 0.25}, key_init="independent")
    pretraining = Pretraining(replace(TRIAL, method=method), splits(), CPU)
    model, before = pretraining.model.train(), weights(pretraining)
    in_loss = {}

    class Spied(SkeletonCLR):
        def loss(self, model, views, epoch):
            in_loss.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
            return super().loss(model, views, epoch)

    spied = Spied(**{**MOCO, "m": 0.25})
    views = method.views(next(pretraining.batches(1)))
    step = optimisation_step(spied, model, pretraining.optimizer, views, epoch=1)
    after = model.state_dict()
    name = "head.0.weight"
    torch.testing.assert_close(
        after[f"key.{name}"], 0.25 * before[f"key.{name}"] + 0.75 * before[f"query.{name}"]
    )  # the query of before the step
    assert not torch.equal(after[f"query.{name}"], before[f"query.{name}"])
    assert torch.equal(in_loss[f"key.{name}"], after[f"key.{name}"])
    assert torch.equal(in_loss[f"query.{name}"], before[f"query.{name}"])
    assert torch.equal(in_loss["queue.keys"], before["queue.keys"])
    assert torch.equal(after["queue.keys"][:8], step.keys)
    assert torch.equal(after["queue.keys"][8:], before["queue.keys"][8:])
    assert after["queue.position"] == 8


def test_weight_decay_reaches_every_parameter_that_learns():
    pretraining = Pretraining(replace(TRIAL, optimizer=SGD(weight_decay=0.5)), splits(), CPU)
    (group,) = pretraining.optimizer.param_groups
    learning = [p for p in pretraining.model.parameters() if p.requires_grad]
    assert {id(p) for p in group["params"]} == {id(p) for p in learning}
    assert {id(p) for p in pretraining.model.query.parameters()} < {id(p) for p in learning}
    assert group["weight_decay"] == 0.5


def test_frames_of_the_trial_are_those_of_the_views():
    for frames in (None, 5, 14, 30):
        pretraining = Pretraining(replace(TRIAL, frames=frames), splits(), CPU)
        assert next(pretraining.batches(1)).x.shape == (8, 3, frames or 14, 20, 2)
        assert pretraining.frozen_encoder().frames == frames
    assert not same_state(weights(trained(TRIAL, epochs=1)), weights(trained(replace(TRIAL, frames=9), epochs=1)))


def test_bfloat16_keeps_weights_queue_and_momentum_in_float32():
    pretraining = trained(replace(HICLR, precision="bfloat16"))
    state = pretraining.state()
    floats = [t for t in state["model"].values() if t.is_floating_point()]
    floats += [entry["momentum_buffer"] for entry in state["optimizer"]["state"].values()]
    assert floats
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in floats)
    exact = trained(HICLR)
    assert not same_state(weights(pretraining), weights(exact))
    assert pretraining.history[0].metrics["loss"] == pytest.approx(exact.history[0].metrics["loss"], rel=0.05)


def test_the_frozen_encoder_is_the_query_encoder():
    pretraining = trained(replace(TRIAL, stream="bone", seed=5), epochs=1)
    frozen = pretraining.frozen_encoder()
    assert frozen.encoders == {"bone": pretraining.model.query.encoder}
    assert frozen.seed == 5


# What goes wrong


@dataclass(frozen=True, kw_only=True)
class Exploding(SkeletonCLR):
    """Its loss stops being a number in an epoch."""

    when: int = 2
    value: float = math.nan

    def loss(self, model, views, epoch):
        step = super().loss(model, views, epoch)
        return Step(step.loss * (self.value if epoch == self.when else 1.0), step.keys, step.parts)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_trial(value):
    reports = run(replace(TRIAL, method=Exploding(value=value, **MOCO)), splits())
    assert next(reports).epoch == 1
    with pytest.raises(Diverged, match=r"the loss is -?(nan|inf) in epoch 2"):
        next(reports)


def test_a_loss_that_is_no_number_is_found_before_the_monitor_reads():
    trial = replace(TRIAL, method=Exploding(when=1, **MOCO), monitor=Monitor(KNN(), every=1))
    pretraining = Pretraining(trial, splits(), CPU)
    with pytest.raises(Diverged):
        pretraining.train_epoch()
    assert pretraining.history == []
    assert pretraining.epoch == 0


def test_a_rate_that_is_far_too_high_diverges():
    trial = replace(TRIAL, optimizer=SGD(lr=1e30), epochs=9)
    with pytest.raises(Diverged):
        list(run(trial, splits()))


def test_sequences_that_are_no_numbers_diverge():
    data = dataset()
    data.sequences[splits(data).train.rows[0], 0, 0, 0, 0] = np.nan
    with pytest.raises(Diverged):
        list(run(TRIAL, splits(data)))


@pytest.mark.parametrize(("monitor", "left"), [(None, 24), (Monitor(KNN()), 18)])
def test_a_batch_larger_than_the_data_is_refused(monitor, left):
    Pretraining(replace(TRIAL, batch_size=left, monitor=monitor), splits(), CPU)
    with pytest.raises(ValueError, match=f"batch_size {left + 1}: tiny xsub has only {left} sequences to train on"):
        Pretraining(replace(TRIAL, batch_size=left + 1, monitor=monitor), splits(), CPU)


def test_an_error_in_an_augmentation_is_the_users_own():
    @dataclass(frozen=True)
    class Broken:
        def __call__(self, view):
            raise KeyError("mine")

    method = SkeletonCLR(query=AugmentationSet("X", (Broken(),)), **MOCO)
    with pytest.raises(KeyError, match="mine"):
        list(run(replace(TRIAL, method=method), splits()))


@pytest.mark.parametrize(
    ("files", "most"),
    [({}, 99), ({"cpu.max": "max 100000\n"}, 99), ({"cpu.max": "150000 100000\n"}, 2), ({"cpu.max": "1000 100000\n"}, 1),
     ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 99),
     ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1)],
)  # fmt: skip
def test_a_control_groups_share_of_the_cpus_counts(tmp_path, monkeypatch, files, most):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("skelray.machine._GROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(99)), raising=False)
    assert machine.cpus() == most
    machine.check_threads(most)
    with pytest.raises(ValueError, match=f"--threads {most + 1}: this process may use {most} CPUs"):
        machine.check_threads(most + 1)
    with pytest.raises(ValueError, match="threads 100000: a whole number, at most 1024"):
        machine.configure_process(100_000)
