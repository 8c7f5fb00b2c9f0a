"""Stopping rules and samplers replayed on curves that are there: what each would have found, and at what cost.

Curves are of samples, or arms, that were trained to their end. One after another they are taken up, read at every multiple
of a rule's grace, and stopped, paused or trained on as the rule says, as by one slot of a sweep; nothing is trained.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from skelray.checks import UserError
from skelray.search.ranges import Range, range_of
from skelray.study.samplers import Random, Sampler
from skelray.study.stopping import ASHA, HyperBand, Median, Never, Patience, Percentile, Rule
from skelray.study.stopping.rule import ON, PAUSE, checked_verdict

PUBLISHED = "published"  # the arm that a sweep starts with and never stops


@dataclass(frozen=True)
class Curve:
    """A sample trained to its end. readings: held-out accuracy by epoch; the last is what it is worth.

    params, distributions: where it lies in its space, for a sampler to find it.
    """

    name: str
    readings: Mapping[int, float]
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        return max(self.readings)

    @property
    def value(self) -> float:
        return self.readings[self.epochs]


@dataclass(frozen=True)
class Replay:
    """One search under a rule. spent: epochs when each sample left its slot; found: the value, at its end, of what then had
    the best last reading, None before any had ended. read: how many samples were taken up.
    """

    spent: tuple[int, ...]
    found: tuple[float | None, ...]
    read: int


@dataclass(frozen=True)
class Outcome:
    """A rule over many replays, as means. regret: of the best value there is minus what was found, at each share of the
    epochs that all curves take; spent: the share when every curve had been taken up; kept: how often the best was found.
    """

    rule: Rule
    sampler: Sampler
    regret: tuple[float, ...]
    spread: tuple[float, ...]
    spent: float
    kept: float

    @property
    def last(self) -> float:
        return self.regret[-1]


def simulate(
    pools: Sequence[Sequence[Curve]],
    rules: Sequence[Rule],
    samplers: Sequence[Sampler] = (Random(),),
    replays: int = 50,
    points: int = 60,
) -> list[Outcome]:
    """Returns each rule's outcome under each sampler, over so many searches in each pool of comparable curves.

    Random takes curves up in random order. Another sampler proposes a point, and the nearest curve that is left stands for
    it. A curve called "published" comes first and is never stopped. Raises UserError where there is nothing to choose from,
    and for a rule that reads at other epochs than the curves have.
    """
    _check(pools, rules)
    shares = np.linspace(0, 1, points)
    outcomes = []
    for sampler in samplers:
        for rule in rules:
            regrets, spent, kept = [], [], []
            for pool in pools:
                total, best = sum(curve.epochs for curve in pool), max(curve.value for curve in pool)
                for number in range(replays):
                    replayed = replay(rule, pool, _proposing(sampler, pool, number))
                    regrets.append(_regret(replayed, pool, shares * total))
                    spent.append(replayed.spent[-1] / total)
                    kept.append(replayed.found[-1] == best)
            mean, spread = np.mean(regrets, axis=0), np.std(regrets, axis=0)
            outcomes.append(Outcome(rule, sampler, tuple(mean.tolist()), tuple(spread.tolist()), fmean(spent), fmean(kept)))
    return outcomes


def candidates(pools: Sequence[Sequence[Curve]]) -> list[Rule]:
    """Returns the rules worth trying on these curves, Never first, with graces at which all curves are read."""
    curves = [curve for pool in pools for curve in pool]
    every = math.gcd(*(epoch for curve in curves for epoch in curve.readings if epoch < curve.epochs))
    epochs = min(curve.epochs for curve in curves)
    if not every:
        raise UserError("these curves have no reading before their last, so no rule could have stopped them")
    graces = sorted({max(every, round(epochs * share / every) * every) for share in (1 / 12, 1 / 6, 1 / 3)})
    graces = [grace for grace in graces if grace < epochs]
    first = graces[0] if graces else every
    return [
        Never(grace=every),
        *(ASHA(grace=grace, reduction=reduction) for grace in graces for reduction in (2, 3, 4)),
        ASHA(grace=first, reduction=3, promotion=True),
        HyperBand(grace=first, reduction=3, brackets=2),
        *(Median(grace=grace, startup=3) for grace in graces),
        Percentile(keep=25.0, grace=first, startup=3),
        Patience(readings=3, grace=first),
    ]


def recommended_rule(outcomes: Sequence[Outcome], margin: float) -> Outcome:
    """Returns the rule that spends least of those within ``margin`` of the least regret; of equals, the better."""
    least = min(outcome.last for outcome in outcomes)
    within = [outcome for outcome in outcomes if outcome.last <= least + margin]
    return min(within, key=lambda outcome: (outcome.spent, outcome.last))


Propose = Callable[[Mapping[int, Mapping[int, float]], Sequence[int], Container[int]], int | None]


def replay(rule: Rule, pool: Sequence[Curve], propose: Propose) -> Replay:
    """Replays one search. propose: gives the place of the next curve, or None at the end, from the readings so far, the
    places of curves taken up and the numbers of waiting samples.
    """
    taken: list[int] = []  # places in the pool, by the samples' numbers
    readings: dict[int, dict[int, float]] = {}
    waiting: dict[int, int] = {}  # where a paused sample waits
    ended: dict[int, float] = {}
    spent, trace = 0, []
    while True:
        number = _next(rule, readings, waiting)
        if number is None:
            if (place := propose(readings, taken, waiting)) is None:
                break
            number = len(taken)
            taken.append(place)
        start = waiting.pop(number, 0)
        curve = pool[taken[number]]
        reached = _trained(rule, curve, number, start, readings, waiting)
        spent += reached - start
        if reached == curve.epochs:
            ended[number] = curve.value
        trace.append((spent, max(ended.values()) if ended else None))
    return Replay(tuple(s for s, _ in trace), tuple(f for _, f in trace), len(taken))


def _trained(
    rule: Rule,
    curve: Curve,
    number: int,
    start: int,
    readings: dict[int, dict[int, float]],
    waiting: dict[int, int],
) -> int:
    """Trains a sample on from an epoch until the rule has it leave its slot; returns the epoch then."""
    own = readings.setdefault(number, {})
    for epoch in range(start + rule.grace - start % rule.grace, curve.epochs, rule.grace):
        own[epoch] = curve.readings[epoch]
        if number == 0 and curve.name == PUBLISHED:
            continue
        if (verdict := checked_verdict(rule, readings, number, epoch)) != ON:
            if verdict == PAUSE:
                waiting[number] = epoch
            return epoch
    own[curve.epochs] = curve.value
    return curve.epochs


def _next(rule: Rule, readings: Mapping[int, Mapping[int, float]], waiting: Mapping[int, int]) -> int | None:
    """Returns the paused sample that may go on: among those that came furthest the best, then the earliest."""
    for number in sorted(waiting, key=lambda n: (-waiting[n], -readings[n][waiting[n]], n)):
        if checked_verdict(rule, readings, number, waiting[number]) == ON:
            return number
    return None


def _proposing(sampler: Sampler, pool: Sequence[Curve], number: int) -> Propose:
    """Returns a function that picks the next curve of a pool in one replay, the published one first."""
    rest = [place for place, curve in enumerate(pool) if curve.name != PUBLISHED]
    first = [place for place in range(len(pool)) if place not in rest]
    if isinstance(sampler, Random):
        random.Random(f"{sampler.seed}/{number}").shuffle(rest)
        order = iter([*first, *rest])
        return lambda readings, taken, waiting: next(order, None)
    return _Nearest(sampler, pool, number, first)


class _Nearest:
    """A sampler of Optuna's over curves: the nearest one that is left stands for the point that it proposes."""

    def __init__(self, sampler: Sampler, pool: Sequence[Curve], number: int, first: Sequence[int]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(np.random.SeedSequence([sampler.seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study = optuna.create_study(direction="maximize", sampler=sampler.build(seed))
        self.pool, self.first, self.told = pool, list(first), set[int]()
        self.reads_stopped = sampler.reads_stopped
        self.space = {name: one for curve in pool for name, one in curve.distributions.items()}
        self.ranges = {name: range_of(name, [one], []) for name, one in self.space.items()}
        if not self.space:
            raise UserError(
                f"{type(sampler).__name__} needs to know where samples lie, and these curves do not say: take Random"
            )

    def __call__(
        self, readings: Mapping[int, Mapping[int, float]], taken: Sequence[int], waiting: Container[int]
    ) -> int | None:
        for number, place in enumerate(taken):
            if number not in self.told and number not in waiting:  # one that waits may still go on
                self._tell(self.pool[place], readings[number])
                self.told.add(number)
        left = [place for place in range(len(self.pool)) if place not in taken]
        if not left:
            return None
        if not taken and self.first:
            return self.first[0]
        trial = self.study.ask(self.space)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)  # the point itself is not read
        return min(left, key=lambda place: (_distance(self.pool[place], trial.params, self.ranges), place))

    def _tell(self, curve: Curve, readings: Mapping[int, float]) -> None:
        """Tells Optuna's study of a sample as a search does: a stopped one is complete to a sampler that needs it."""
        ended = max(readings) == curve.epochs or not self.reads_stopped
        state = optuna.trial.TrialState.COMPLETE if ended else optuna.trial.TrialState.PRUNED
        self.study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params=dict(curve.params),
                distributions=dict(curve.distributions),
                value=readings[max(readings)],
                intermediate_values=dict(readings),
            )
        )


def _distance(curve: Curve, params: Mapping[str, Any], space: Mapping[str, Range]) -> float:
    """Returns the mean distance of two points over the parameters: 0 or 1 for a category, a share of a number's range."""
    apart = [
        float(value != params[name])
        if space[name].choices
        else abs(space[name].fraction(value) - space[name].fraction(params[name]))
        for name, value in curve.params.items()
    ]
    return fmean(apart) if apart else 0.0


def _regret(replayed: Replay, pool: Sequence[Curve], at: np.ndarray) -> np.ndarray:
    """Returns (points,) the regret at each number of epochs; before any sample ended, as if one were guessed."""
    best, blind = max(curve.value for curve in pool), fmean(curve.value for curve in pool)
    found = np.array([blind, *(blind if value is None else value for value in replayed.found)])
    return best - found[np.searchsorted(replayed.spent, at, side="right")]


def _check(pools: Sequence[Sequence[Curve]], rules: Sequence[Rule]) -> None:
    if not pools or any(len(pool) < 2 for pool in pools):
        raise UserError("a search chooses between samples: two curves at least are needed, each trained to its end")
    for rule in rules:
        for curve in (curve for pool in pools for curve in pool):
            missing = [epoch for epoch in range(rule.grace, curve.epochs, rule.grace) if epoch not in curve.readings]
            if missing:
                raise UserError(
                    f"{rule} reads at epoch {missing[0]}, where {curve.name} has no reading: it has {_spacing(curve)}"
                )


def _spacing(curve: Curve) -> str:
    epochs = sorted(curve.readings)
    return ", ".join(map(str, epochs[:4])) + (", ..." if len(epochs) > 4 else "")
