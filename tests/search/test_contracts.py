"""Every sampler and every stopping rule keeps its contract, and the contract finds those that do not."""

import random
from dataclasses import dataclass, field

import pytest

from skelray import (
    ASHA,
    CMAES,
    GP,
    NSGAII,
    QMC,
    TPE,
    Grid,
    HyperBand,
    Median,
    Never,
    OptunaSampler,
    Patience,
    Percentile,
    Pruner,
    Random,
    Threshold,
)
from skelray.study.samplers import Sampler
from skelray.testing import ContractBroken, check_rule, check_sampler


def median_pruner():
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=2)


RULES = [
    ASHA(grace=2, reduction=2),
    ASHA(reduction=3, promotion=True),
    HyperBand(grace=2, reduction=2),
    HyperBand(brackets=2, promotion=True),
    Median(grace=3, startup=2),
    Percentile(keep=40, startup=3, after=1),
    Threshold(least=0.3, after=1),
    Patience(readings=2, gain=0.01),
    Never(),
    Pruner(median_pruner),
]


@pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: f"{type(rule).__name__}{'+' if getattr(rule, 'promotion', 0) else ''}"
)
def test_every_rule_keeps_the_contract(rule):
    check_rule(rule, samples=6 if isinstance(rule, Pruner) else 12, seeds=1)


def partial_tpe(draw):
    import optuna

    return optuna.samplers.TPESampler(seed=draw, n_startup_trials=4)


SAMPLERS = [
    TPE(startup=4),
    Random(),
    Grid(),
    CMAES(population=4),
    pytest.param(GP(startup=4), marks=pytest.mark.slow),
    QMC(seed=3),
    NSGAII(population=5),
    OptunaSampler(make=partial_tpe),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_every_sampler_keeps_the_contract(sampler):
    check_sampler(sampler, samples=9)


# What breaks it


@dataclass(frozen=True)
class Broken:
    how: str
    grace: int = 25
    kept: list = field(default_factory=list, compare=False)

    def verdict(self, readings, sample, epoch):
        self.kept.append(epoch)
        value, others = readings[sample][epoch], [own[epoch] for n, own in readings.items() if n != sample and epoch in own]
        match self.how:
            case "word":
                return True
            case "random":
                return random.choice(["on", "stop"])
            case "counts":
                return "on" if len(self.kept) % 7 else "stop"
            case "writes":
                readings[sample][epoch] = 1.0
            case "order":
                return "on" if next(iter(readings)) == sample else "stop"
            case "nan":
                return "on" if all(other <= value for other in others) else "stop"
        return "on"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("word", "says True"),
        ("random", "asked again, otherwise|in another order|depends on the order|takes a reading of NaN"),
        ("counts", "asked again, otherwise|in another order|depends on the order|takes a reading of NaN"),
        ("writes", "writes to the readings"),
        ("order", "depends on the order"),
        ("nan", "takes a reading of NaN for a good one"),
    ],
)
def test_a_rule_that_breaks_it_is_found(how, said):
    random.seed(0)
    with pytest.raises(ContractBroken, match=said):
        check_rule(Broken(how))


@dataclass(frozen=True)
class Whimsical:
    """Has one bracket, though it lets the even ones go on."""

    grace: int = 25

    def bracket(self, sample):
        return 0

    def verdict(self, readings, sample, epoch):
        return "pause" if sample % 2 else "on"


def test_a_bracket_in_which_a_worse_one_goes_on_is_found():
    with pytest.raises(ContractBroken, match="lets a sample go on though a better one of its bracket"):
        check_rule(Whimsical())


@dataclass
class Thawed:
    grace: int = 25

    def verdict(self, readings, sample, epoch):
        return "on"


def test_what_is_no_frozen_dataclass_is_no_rule():
    with pytest.raises(ContractBroken, match="Thawed is not frozen"):
        check_rule(Thawed())
    with pytest.raises(ContractBroken, match="lacks grace or verdict"):
        check_rule(TPE())


COUNT = []


@dataclass(frozen=True)
class Forgetful(Sampler):
    """Draws by how often it was asked, wherever that was."""

    def build(self, draw):
        import optuna

        COUNT.append(draw)  # which the class reads, so that it is another sampler now
        return optuna.samplers.RandomSampler(seed=len(COUNT))


def test_a_sampler_that_breaks_it_is_found():
    with pytest.raises(ContractBroken, match="has another name after a kill"):
        check_sampler(Forgetful(), samples=6)
