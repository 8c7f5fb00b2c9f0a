"""The engine's static step on a CPU: it is the plain loop's step, its tensors stay, and what it cannot hold it says."""

import copy
import re
from dataclasses import dataclass, replace

import pytest
import tiny
import torch
from every_method import METHODS, NegativesOnly

from skelray import machine
from skelray.augment import BA, DAE, AugmentationSet, CannotCapture, Clock, CounterDraws, Draws, view_of
from skelray.backbones import GRU, LSTM
from skelray.backbones.dropout import drawing
from skelray.checks import UserError
from skelray.engine import preflight
from skelray.engine.descent import Descent
from skelray.engine.resident import Resident
from skelray.engine.waits import refusing_waits
from skelray.methods import HiCLR, SkeletonCLR
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining, optimisation_step
from skelray.trial import SGD

CPU = torch.device("cpu")
SHAPE = (4, 3, 14, 25, 2)


# Nothing in a step waits


FAST = ("skeletonclr", "hiclr", "aimclr", "crossclr mined", "hico")  # the others differ from these in a line or two


@pytest.mark.parametrize(
    "method", [pytest.param(m, id=n, marks=() if n in FAST else pytest.mark.slow) for n, m in METHODS.items()]
)
def test_no_step_waits_for_its_device(method):
    """Views, loss, gradient, momentum and queue of every method, in either stage, on tensors that have no numbers."""
    backbone = tiny.backbone_for(method)
    if getattr(method, "eadm", None):
        backbone = replace(tiny.DSTA_BACKBONE, layers=((2, 4, 2, 1),))  # a small one that has a feature map
    model = method.build(backbone, KINECT_V2, tiny.streams_for(method)[0])
    stage = getattr(method, "stage", lambda epoch: 0)
    for epoch in {stage(epoch): epoch for epoch in (1, 200)}.values():
        preflight.try_step(method, model, KINECT_V2, SHAPE, epoch)


@pytest.mark.parametrize("backbone", [tiny.BACKBONE, tiny.DSTA_BACKBONE], ids=["stgcn", "dsta"])
def test_no_encoder_waits(backbone):
    method = SkeletonCLR(query=BA + DAE, **tiny.MOCO)
    preflight.try_step(method, method.build(backbone, KINECT_V2, "bone"), KINECT_V2, SHAPE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("s2s", [GRU(), LSTM()], ids=["gru", "lstm"])
def test_no_recurrence_waits(s2s):
    method = METHODS["hico"]
    model = method.build(replace(tiny.LEVELLED, s2s=s2s), KINECT_V2, "joint")
    preflight.try_step(method, model, KINECT_V2, SHAPE, 1)


WAITS = {
    "item waits": lambda x: x.sum().item(),
    "waits for its numbers": lambda x: bool(x.sum() > 0),
    "tolist waits": lambda x: x.tolist(),
    "nonzero waits": lambda x: x.nonzero(),
    "masked_select waits": lambda x: x.masked_select(x > 0),
    "by a mask": lambda x: x[x > 0],
    "by a list": lambda x: x[[1, 0]],
    "takes a tensor of the host": lambda x: x + torch.ones(2),
    "sends numbers of the host": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "moves between host and device": lambda x: torch.ones(2).to(x.device),
    "draws from a torch.Generator": lambda x: torch.rand(2, device=x.device, generator=torch.Generator()),
}


@pytest.mark.parametrize("said", WAITS)
def test_what_waits_is_refused_with_its_line(said):
    x = torch.empty(2, device="meta")
    with refusing_waits(), pytest.raises(CannotCapture, match=rf"{said}.*\(test_engine.py, line \d+\)"):
        WAITS[said](x)


def test_what_a_graph_may_hold_is_not_refused():
    x = torch.empty(2, device="meta")
    with refusing_waits():
        x = x * 2 + torch.tensor(0.5)  # a number of the host is written into the graph
        x[torch.arange(2, device="meta")] += torch.rand_like(x)
        torch.where(x > 0, x, 0.0).topk(1)


# The static step is the plain step


def by_calls(trial, data, epochs):
    """The model after the epochs, and their mean losses, by torch's own SGD on batches from the host."""
    pretraining = Pretraining(trial, tiny.Splits(data, data, data), CPU, static=False)
    model, optimizer, losses = pretraining.model.train(), pretraining.optimizer, []
    clock = Clock.of(trial.seed, CPU)
    for epoch in range(1, epochs + 1):
        clock.epoch.fill_(epoch)
        optimizer.param_groups[0]["lr"] = trial.optimizer.lr_at(epoch)
        draws = CounterDraws(trial.seed, epoch, clock)
        order = torch.randperm(len(data), generator=Draws(trial.seed, epoch)["order"]).numpy()
        of_epoch = []
        for step in range(len(order) // trial.batch_size):
            clock.step.fill_(step)
            draws.begin()
            positions = order[step * trial.batch_size : (step + 1) * trial.batch_size]
            views = trial.method.views(view_of(data, positions, draws, trial.frames))
            with drawing(draws):
                of_epoch.append(optimisation_step(trial.method, model, optimizer, views, epoch).loss.item())
        losses.append(sum(of_epoch) / len(of_epoch))
    return model, losses


STAGED = HiCLR(**tiny.MOCO, mining_from=1)


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [
        (STAGED, SGD(lr=0.02, milestones=(1,))),
        (SkeletonCLR(**tiny.MOCO), SGD(lr=0.02, nesterov=True, weight_decay=0.1)),
        (METHODS["crossclr mined"], SGD(lr=0.02, momentum=0.0, weight_decay=0.0)),
        (METHODS["hico"], SGD(lr=0.02)),
    ],
    ids=["hiclr", "skeletonclr", "crossclr", "hico"],
)
def test_an_epoch_of_the_engine_is_that_of_the_plain_loop(method, optimizer):
    """Over a change of stage and of rate; numbers to single precision's rounding."""
    streams = tiny.streams_for(method)[0]
    trial = replace(tiny.TRIAL, method=method, optimizer=optimizer, stream=streams, backbone=tiny.backbone_for(method))
    trial = replace(trial, frames=16)
    data = tiny.dataset(skeleton=KINECT_V2)
    expected, losses = by_calls(trial, data, 2)
    pretraining = Pretraining(trial, tiny.Splits(data, data, data), CPU, static=True)
    found = [pretraining.train_epoch().metrics["loss"] for _ in range(2)]
    assert found == pytest.approx(losses, rel=1e-4)
    state = pretraining.model.state_dict()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("settings", [{}, {"nesterov": True}, {"momentum": 0.0}, {"weight_decay": 0.0}], ids=str)
def test_a_descent_is_that_of_torch(settings):
    sides = []
    for ours in (True, False):
        parameters = [torch.nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64)) for _ in range(2)]
        optimizer = SGD(**settings).build(parameters)
        descent = Descent(optimizer) if ours else None
        for step, rate in enumerate((0.5, 0.5, 0.05)):
            parameters[0].grad = torch.arange(6, dtype=torch.float64) * (step + 1)
            optimizer.param_groups[0]["lr"] = rate
            if descent:
                descent.rate.fill_(rate)
                descent.step()
            else:
                optimizer.step()
        sides.append(parameters)
    for one, other in zip(*sides, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


def test_a_resident_batch_is_that_of_the_host():
    splits, positions = tiny.splits(), torch.tensor([3, 0, 5])
    for frames in (None, 9):
        there = Resident(splits.reduced, frames, CPU).view(positions, Draws(0, 1))
        here = view_of(splits.reduced, positions.numpy(), Draws(0, 1), frames)
        for name in ("x", "present", "lengths"):
            torch.testing.assert_close(getattr(there, name), getattr(here, name))


def test_a_precision_is_what_it_says():
    """Strict float32 has neither products nor convolutions in TF32, which torch's own setting has the latter in."""
    flags = (torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")
    flags += (torch.backends.cudnn, "deterministic"), (torch.backends.cudnn, "benchmark")
    before = [getattr(*flag) for flag in flags]
    try:
        for precision, tf32 in (("float32", False), ("tf32", True), ("bfloat16", False)):
            machine.compute_in(precision, torch.device("cuda"))
            assert [getattr(*flag) for flag in flags] == [tf32, tf32, True, False]
    finally:
        for (module, name), value in zip(flags, before, strict=True):
            setattr(module, name, value)
    with pytest.raises(UserError, match="precision tf32: only a CUDA device"):
        Pretraining(replace(tiny.TRIAL, precision="tf32"), tiny.splits(), CPU)
    assert machine.precisions(CPU) == ("float32", "bfloat16")


# States


def test_a_run_cut_and_resumed_is_the_uncut_one_to_the_last_bit():
    trial, splits = replace(tiny.TRIAL, method=STAGED), tiny.splits()
    uncut = Pretraining(trial, splits, CPU, static=True)
    states = []
    for _ in range(3):
        uncut.train_epoch()
        states.append(copy.deepcopy(uncut.state()))
    for used in (False, True):  # a fresh process, and one that has trained other epochs before
        cut = Pretraining(trial, splits, CPU, static=True)
        if used:
            cut.train_epoch()
        cut.load_state(copy.deepcopy(states[0]))
        cut.train_epoch()
        cut.train_epoch()
        assert [report.metrics for report in cut.history] == [report.metrics for report in uncut.history]
        assert tiny.same_state(cut.state()["model"], states[2]["model"])
        assert tiny.same_state(cut.state()["optimizer"], states[2]["optimizer"])


def test_a_state_is_read_by_the_plain_loop_and_the_other_way_round():
    splits = tiny.splits()
    sides = [Pretraining(tiny.TRIAL, splits, CPU, static=static) for static in (True, False)]
    for one, other in (sides, sides[::-1]):
        one.train_epoch()
        other.load_state(copy.deepcopy(one.state()))
        assert other.train_epoch().metrics["loss"] > 0
        assert other.epoch == one.epoch + 1


def test_no_tensor_of_the_state_moves_in_memory():
    """Over steps, stages and loading: a graph reads and writes where they were when it was captured."""
    trial, splits = replace(tiny.TRIAL, method=STAGED), tiny.splits()
    pretraining = Pretraining(trial, splits, CPU, static=True)
    pretraining.train_epoch()

    def addresses():
        state = pretraining.optimizer.state.values()
        named = {**pretraining.model.state_dict(), **{f"momentum {i}": s["momentum_buffer"] for i, s in enumerate(state)}}
        return {name: tensor.data_ptr() for name, tensor in named.items()}

    before, state = addresses(), copy.deepcopy(pretraining.state())
    pretraining.train_epoch()
    pretraining.load_state(state)
    pretraining.train_epoch()
    assert addresses() == before


def test_weights_that_are_no_numbers_end_a_trial():
    pretraining = Pretraining(replace(tiny.TRIAL, optimizer=SGD(lr=1e38)), tiny.splits(), CPU, static=True)
    with pytest.raises(ArithmeticError, match="epoch 1"):
        pretraining.train_epoch()


# What cannot be captured


@dataclass(frozen=True)
class Jitter:
    """An augmentation as a study file may define it, drawing from a generator of its own."""

    def __call__(self, view):
        return view.with_x(view.x + torch.randn(view.x.shape, generator=view.draws["jitter"], device=view.x.device))


@dataclass(frozen=True)
class Shorten:
    """Another, that looks at the numbers it changes."""

    def __call__(self, view):
        return view.with_x(view.x / 2 if view.x.max().item() > 0 else view.x)


@dataclass(frozen=True)
class Halve:
    """One that a graph may hold."""

    def __call__(self, view):
        return view.with_x(view.x / 2)


def engine(method):
    splits = tiny.splits(skeleton=KINECT_V2)
    pretraining = Pretraining(replace(tiny.TRIAL, method=method), splits, CPU, static=True)
    report = pretraining.train_epoch()
    assert report.metrics["loss"] > 0
    return pretraining._engine


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            SkeletonCLR(**tiny.MOCO, query=AugmentationSet("own", (Jitter(),))),
            "with Jitter, Small: .*draws from a torch.Generator",
        ),
        (SkeletonCLR(**tiny.MOCO, query=AugmentationSet("own", (Shorten(),))), r"item waits .*\(test_engine.py, line"),
        (NegativesOnly(**tiny.MOCO), "NegativesOnly.*no stage"),
    ],
    ids=["generator", "looks", "own method"],
)
def test_what_cannot_be_captured_runs_call_by_call_and_says_why(caplog, method, said):
    assert not engine(method).captured
    (record,) = caplog.records
    assert "call by call" in record.message
    assert "\n" not in record.message
    assert re.search(said, record.message), record.message


def test_own_parts_that_can_be_captured_are(caplog):
    assert engine(SkeletonCLR(**tiny.MOCO, query=BA + AugmentationSet("own", (Halve(),)))).captured
    assert caplog.records == []


@dataclass(frozen=True)
class Adam(SGD):
    """An optimizer as a study file may define it."""

    def build(self, parameters):
        return torch.optim.Adam(parameters, lr=1e-3)


def test_an_optimizer_of_another_kind_trains_by_the_plain_loop(caplog):
    trained = Pretraining(replace(tiny.TRIAL, optimizer=Adam()), tiny.splits(), CPU, static=True)
    assert trained.train_epoch().metrics["loss"] > 0
    assert "Adam, not torch's SGD" in caplog.text
