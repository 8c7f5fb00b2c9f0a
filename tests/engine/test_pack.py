"""Lanes of a pack are each the trial alone: gradients, descent, queues, statistics and draws, over several epochs."""

from dataclasses import dataclass, replace

import pytest
import tiny
import torch
from every_method import METHODS

from skelray.augment import BA, AugmentationSet, Crop, Shear
from skelray.backbones import DSTA, GRU, LSTM, STGCN
from skelray.bench import bench, launches
from skelray.engine.numbers import shape_digest
from skelray.engine.pack import Pack
from skelray.engine.resident import Resident
from skelray.methods import HiCLR
from skelray.training import Pretraining
from skelray.trial import SGD

CPU = torch.device("cpu")
SPLITS = tiny.splits()


@dataclass(frozen=True)
class NativeSTGCN(STGCN):
    """In the form for a GPU on every device, as lanes have it."""

    def build(self, skeleton, form=None):
        return super().build(skeleton, "gpu")


@dataclass(frozen=True)
class NativeDSTA(DSTA):
    def build(self, skeleton, form=None):
        return super().build(skeleton, "gpu")


NATIVE = NativeSTGCN(hidden_channels=2, hidden_dim=4, dropout=0.5)
BASE = replace(tiny.TRIAL, backbone=NATIVE)


@pytest.fixture(autouse=True)
def sequences_in_double_precision(monkeypatch):
    view = Resident.view
    monkeypatch.setattr(Resident, "view", lambda *given: (found := view(*given)).with_x(found.x.double()))


def training(trial):
    """In double precision, so that what differs is more than rounding."""
    trained = Pretraining(trial, SPLITS, CPU, static=True)
    trained.model.double()
    return trained


def packed(trials, lanes=None):
    trained = [training(trial) for trial in trials]
    pack = Pack(lanes or len(trials), trials[0], trained[0].data, trained[0].model, CPU)
    for one in trained:
        assert pack.fits(one.trial, one.data)
        one.join(pack)
    return pack, trained


def epoch(pack, trained):
    pack.train({one._engine: one.epoch + 1 for one in trained})
    for one in trained:
        one.train_epoch()


def close(one, other):
    for name, expected in one.state()["model"].items():
        torch.testing.assert_close(
            other.state()["model"][name], expected, rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )
    for mine, theirs in zip(one.history, other.history, strict=True):
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-6)


def varied(base, changes):
    """Three trials of one structure: seed, rate, decay, tau and m of their own."""
    methods = [replace(base.method, **{name: values[i] for name, values in changes.items()}) for i in range(3)]
    optimizers = (
        SGD(lr=2**-6),
        SGD(lr=10 * 2**-10, weight_decay=0.1, momentum=0.8, milestones=(1,)),
        SGD(lr=2**-5, weight_decay=0),
    )
    return [replace(base, seed=i, method=methods[i], optimizer=optimizers[i]) for i in range(3)]


CASES = {
    "skeletonclr": (METHODS["skeletonclr"], BASE.backbone, {"tau": (0.07, 0.2, 0.5), "m": (0.9, 0.99, 0.5)}),
    "hiclr": (HiCLR(**tiny.MOCO, mining_from=1), BASE.backbone, {"lambda_h": (0.5, 2.0, 0.0)}),
    "hiclr DAE, AdaIN": (METHODS["hiclr DAE, AdaIN"], BASE.backbone, {"tau": (0.07, 0.2, 0.5)}),
    "aimclr": (METHODS["aimclr"], BASE.backbone, {"beta": (1.0, 0.1, 3.0)}),
    "crossclr mined": (METHODS["crossclr mined"], tiny.Small(), {"tau": (0.07, 0.2, 0.5)}),
    "crossclr released": (METHODS["crossclr released"], tiny.Small(), {"m": (0.9, 0.99, 0.5)}),
    "dsta": (METHODS["skeletonclr"], NativeDSTA(tiny.DSTA_BACKBONE.layers, 2), {"tau": (0.07, 0.2, 0.5)}),
    "hico": (METHODS["hico"], tiny.LEVELLED, {"tau": (0.07, 0.2, 0.5)}),
    "hico gru": (METHODS["hico"], replace(tiny.LEVELLED, s2s=GRU()), {"tau": (0.07, 0.2, 0.5)}),
    "hico lstm": (METHODS["hico"], replace(tiny.LEVELLED, s2s=LSTM(layers=2), shared=False), {"m": (0.9, 0.99, 0.5)}),
}

FAST = ("crossclr released", "hico")


@pytest.mark.filterwarnings("ignore:There is a performance drop.*flash_attention_for_cpu")  # a GPU's attention has a rule
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CASES])
def test_each_lane_is_the_trial_alone(name):
    method, backbone, changes = CASES[name]
    base = replace(BASE, method=method, backbone=backbone, stream=tiny.streams_for(method)[0], frames=16)
    trials = varied(base, changes)
    alone = [training(trial) for trial in trials]
    pack, together = packed(trials)
    for _ in range(2):
        epoch(pack, together)
        for one in alone:
            one.train_epoch()
    for one, other in zip(alone, together, strict=True):
        close(one, other)


def test_a_lane_is_filled_again_and_the_others_go_on():
    """Whoever comes late trains another stage beside them; who has left keeps what it had, and goes on alone."""
    base = replace(BASE, method=HiCLR(arrangement=(BA,), **tiny.MOCO, mining_from=1), backbone=tiny.Small())
    first, second, late = varied(base, {"lambda_h": (0.5, 2.0, 0.1)})
    alone = [training(trial) for trial in (first, second, late)]
    pack, together = packed([first, second])
    epoch(pack, together)
    together[0].leave()
    together[0].train_epoch()
    joining = training(late)
    joining.join(pack)
    epoch(pack, [together[1], joining])
    for one, epochs in zip(alone, (2, 2, 1), strict=True):
        for _ in range(epochs):
            one.train_epoch()
    for one, other in zip(alone, [*together, joining], strict=True):
        close(one, other)


def test_a_trial_is_the_same_in_any_lane():
    """To rounding; one whose state was of a lane goes on in that one, unless another trial has it."""
    base = replace(BASE, backbone=tiny.Small())
    first, second = replace(base, seed=1), replace(base, seed=2)
    pack, (other, one) = packed([first, second], lanes=3)
    epoch(pack, [one])
    state = one.state()
    one.leave()
    other.leave()
    there, elsewhere = training(second), training(second)
    for again in (there, elsewhere):
        again.load_state(state)
        again.join(pack)
    assert (there.lane.place, elsewhere.lane.place) == (1, 0)
    epoch(pack, [there, elsewhere])
    close(there, elsewhere)


def test_a_lane_without_numbers_costs_itself_alone():
    base = replace(BASE, backbone=tiny.Small())
    trials = [replace(base, optimizer=SGD(lr=lr)) for lr in (2**-6, 1e300)]
    alone = training(trials[0])
    pack, together = packed(trials)
    pack.train({one._engine: 1 for one in together})
    with pytest.raises(ArithmeticError, match="epoch 1"):
        together[1].train_epoch()
    together[0].train_epoch()
    alone.train_epoch()
    close(alone, together[0])


def test_the_state_of_a_lane_holds_no_other_lanes_numbers():
    base = replace(BASE, backbone=tiny.Small())
    pack, together = packed([replace(base, seed=seed) for seed in (0, 1)])
    epoch(pack, together)
    state = together[0].state()
    tensors = [*state["model"].values(), *(own["momentum_buffer"] for own in state["optimizer"]["state"].values())]
    assert all(one.untyped_storage().nbytes() == one.nbytes for one in tensors)
    before = [one.clone() for one in tensors]
    epoch(pack, together)
    assert all(map(torch.equal, before, tensors))


def test_trials_that_differ_in_more_than_numbers_are_not_alike():
    same = [BASE, *varied(BASE, {"tau": (0.1, 0.2, 0.3)}), replace(BASE, epochs=9)]
    assert len({shape_digest(trial) for trial in same}) == 1
    shear = AugmentationSet("BA", (Crop(), Shear(amplitude=0.1)))
    assert shape_digest(replace(BASE, method=replace(BASE.method, query=shear))) == shape_digest(BASE)
    others = {"stream": "bone", "batch_size": 4, "frames": 9, "optimizer": SGD(nesterov=True)}
    changed = [replace(BASE, **{name: value}) for name, value in others.items()]
    changed.append(replace(BASE, method=replace(BASE.method, queue=64)))
    assert shape_digest(BASE) not in {shape_digest(trial) for trial in changed}


@pytest.mark.parametrize("name", ["skeletonclr", pytest.param("aimclr", marks=pytest.mark.slow)])
def test_more_lanes_launch_no_more_operators(name):
    """Nor in a later stage: where vmap has no rule for an operator, it is called for each lane."""
    trial = replace(bench.METHODS[name].small(), frames=8)
    for epoch in (1, 1000):
        two, eight = (launches.count_lane_step(trial, lanes, epoch) for lanes in (2, 8))
        assert two == eight
        assert two.total() < 1.25 * launches.count_step(trial, epoch).total()
