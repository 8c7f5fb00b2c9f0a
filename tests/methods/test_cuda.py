"""A GPU computes what the CPU does: views, losses, gradients, evaluations; and a trial goes on across devices.

Random numbers are the one thing that differs between devices, so where values are compared they are drawn on the CPU.
"""

import copy
from dataclasses import replace

import pytest
import tiny
import torch
from every_method import METHODS
from torch.overrides import TorchFunctionMode

from skelray.augment import Draws, View
from skelray.backbones import GRU, LSTM, Hierarchical, Transformer
from skelray.bench.bench import METHODS as PUBLISHED
from skelray.evaluation import KNN, Finetune, Linear
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining, optimisation_step
from skelray.trial import SGD

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


class DrawnOnTheCPU(TorchFunctionMode):
    """Within it, what a CPU generator draws for a tensor on the GPU is drawn on the CPU and moved."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        generator = kwargs.get("generator")
        if generator is None or generator.device.type != "cpu":
            return func(*args, **kwargs)
        if args and isinstance(args[0], torch.Tensor):  # in place
            return args[0].copy_(func(args[0].cpu(), *args[1:], **kwargs))
        device = kwargs.pop("device", "cpu")
        return func(*args, **kwargs).to(device)


@pytest.fixture(autouse=True)
def whole_float32():
    """Without TF32, whose products have ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def step_on(device, method, model, x, steps=1):
    """The last step's loss and the gradients of the first, on a device, from the same draws everywhere."""
    model = model.to(device).train()
    optimizer = SGD(lr=0.01).build([p for p in model.parameters() if p.requires_grad])
    gradients = None
    for i in range(steps):
        with DrawnOnTheCPU():
            views = method.views(View.of(x.to(device), KINECT_V2, Draws(0, i)))
            step = optimisation_step(method, model, optimizer, views, epoch=1)
        if gradients is None:
            gradients = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    return step.loss.item(), gradients


def apart(here, there):
    """The largest distance of two gradients of one name, in lengths of the longest gradient."""
    assert here.keys() == there.keys()
    longest = max(g.norm() for g in here.values())
    return max((here[name] - there[name]).norm() / longest for name in here)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("which", range(3))
def test_steps_of_every_method_are_those_of_the_cpu(method, which):
    if which >= len(tiny.streams_for(method)):
        pytest.skip("a method across streams has fewer choices of them")
    x = tiny.sequences(samples=8, dtype=torch.float64)
    sides = [tiny.model(method, stream=tiny.streams_for(method)[which], dtype=torch.float64) for _ in range(2)]
    (here, gradients), (there, others) = (
        step_on(device, method, model, x, steps=3) for device, model in zip(("cpu", "cuda"), sides, strict=True)
    )
    assert there == pytest.approx(here, rel=1e-9)
    assert apart(gradients, others) < 1e-9


@pytest.mark.parametrize("backbone", [tiny.BACKBONE, tiny.DSTA_BACKBONE], ids=["stgcn", "dsta"])
@pytest.mark.parametrize("method", ["hiclr", "hiclr DAE, AdaIN", "aimclr across", "crossclr mined"])
def test_either_backbone_steps_as_on_the_cpu(backbone, method):
    method, x = METHODS[method], tiny.sequences(samples=8, frames=50, dtype=torch.float64)
    sides = [tiny.model(method, backbone=backbone, dtype=torch.float64) for _ in range(2)]
    (here, gradients), (there, others) = (
        step_on(device, method, model, x) for device, model in zip(("cpu", "cuda"), sides, strict=True)
    )
    assert there == pytest.approx(here, rel=1e-9)
    assert apart(gradients, others) < 1e-9


@pytest.mark.parametrize("s2s", [GRU(), LSTM(), Transformer(dropout=0.0)], ids=["gru", "lstm", "transformer"])
def test_every_sequence_encoder_steps_as_on_the_cpu(s2s):
    method, x = METHODS["hico"], tiny.sequences(samples=8, dtype=torch.float64)
    backbone = Hierarchical(hidden_dim=8, granularity=3, frames=16, s2s=s2s)
    sides = [tiny.model(method, backbone=backbone, dtype=torch.float64) for _ in range(2)]
    (here, gradients), (there, others) = (
        step_on(device, method, model, x) for device, model in zip(("cpu", "cuda"), sides, strict=True)
    )
    assert there == pytest.approx(here, rel=1e-9)
    assert apart(gradients, others) < 1e-9


def published(name):
    """A published trial's method and its model, without dropout."""
    trial = PUBLISHED[name]
    method = replace(trial.method, queue=512)
    backbone = trial.backbone
    if isinstance(backbone, Hierarchical) and isinstance(backbone.s2s, Transformer):
        backbone = replace(backbone, s2s=replace(backbone.s2s, dropout=0.0))
    return method, tiny.model(method, backbone=backbone, stream=trial.stream), trial.frames


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_size_in_single_precision(name):
    (method, here, frames), (_, there, _) = published(name), published(name)
    x = tiny.sequences(samples=4, frames=frames)
    loss, gradients = step_on("cpu", method, here, x)
    other, others = step_on("cuda", method, there, x)
    assert other == pytest.approx(loss, rel=1e-4)
    assert apart(gradients, others) < 5e-3  # a ReLU whose input is zero to rounding goes either way


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_size_in_bfloat16(name):
    (method, here, frames), (_, there, _) = published(name), published(name)
    x = tiny.sequences(samples=4, frames=frames)
    loss, _ = step_on("cpu", method, here, x)
    there.autocast = torch.bfloat16
    other, gradients = step_on("cuda", method, there, x)
    assert other == pytest.approx(loss, rel=0.05)
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in gradients.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("backbone", [tiny.BACKBONE, tiny.DSTA_BACKBONE, tiny.Small()], ids=["stgcn", "dsta", "small"])
def test_a_trial_goes_on_on_the_other_device(backbone, precision):
    splits = tiny.splits()
    trial = replace(tiny.TRIAL, backbone=backbone, precision=precision)
    there = Pretraining(trial, splits, torch.device("cuda"))
    there.train_epoch()
    here = Pretraining(trial, splits, torch.device("cpu"))
    here.load_state(there.state())
    assert here.epoch == 1
    assert here.train_epoch().metrics["loss"] == pytest.approx(there.train_epoch().metrics["loss"], rel=0.2)


@pytest.mark.parametrize("backbone", [tiny.BACKBONE, tiny.DSTA_BACKBONE, tiny.Small()], ids=["stgcn", "dsta", "small"])
def test_a_trial_cut_and_resumed_equals_the_uncut_one(backbone):
    splits, device = tiny.splits(), torch.device("cuda")
    trial = replace(tiny.TRIAL, backbone=backbone)
    uncut = Pretraining(trial, splits, device)
    first = uncut.train_epoch()
    cut = Pretraining(trial, splits, device)
    assert cut.train_epoch().metrics == first.metrics
    cut.load_state(copy.deepcopy(uncut.state()))
    assert cut.train_epoch().metrics == uncut.train_epoch().metrics
    assert tiny.same_state(cut.state()["model"], uncut.state()["model"])


@pytest.mark.parametrize("evaluation", [KNN(), Linear(epochs=5, milestones=(3,)), Finetune(epochs=1)], ids=lambda e: e.name)
def test_evaluations_run_there(evaluation):
    splits = tiny.splits()
    trained = Pretraining(tiny.TRIAL, splits, torch.device("cuda"))
    scores = evaluation(trained.frozen_encoder(), splits.train, splits.test)
    assert scores.shape == (len(splits.test), len(splits.test.classes))
    assert torch.as_tensor(scores).isfinite().all()


def test_neighbours_are_those_of_the_cpu():
    splits = tiny.splits()
    there = Pretraining(tiny.TRIAL, splits, torch.device("cuda"))
    here = Pretraining(tiny.TRIAL, splits, torch.device("cpu"))
    here.load_state(there.state())
    expected, actual = (torch.as_tensor(KNN()(one.frozen_encoder(), splits.train, splits.test)) for one in (here, there))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-4, atol=1e-4)
