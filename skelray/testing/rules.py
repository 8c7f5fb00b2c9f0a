"""The contract of a stopping rule, checked on sweeps whose readings are made up."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import replace

from skelray.study.stopping.rule import ON, PAUSE, STOP, Readings, Rule, Verdict
from skelray.testing.contract import check_settings, require

WORDS = (ON, PAUSE, STOP)


def check_rule(rule: Rule, samples: int = 24, readings: int = 9, seeds: int = 3) -> None:
    """Raises ContractBroken, in one sentence, where a rule breaks its contract.

    It is a frozen dataclass with a ``grace``; its verdict is "on", "pause" or "stop"; the verdict depends on its arguments
    alone, neither on the order of the samples nor on what was asked before, and leaves them as they are; what is no number
    is never good; and in a bracket, if the rule has such, nobody goes on where a better one may not.

    samples, readings, seeds: of each made-up sweep, of each sample, and how many sweeps.
    """
    check_settings(rule)
    require(isinstance(rule, Rule), f"{type(rule).__name__} lacks grace or verdict(readings, sample, epoch)")
    require(isinstance(rule.grace, int) and rule.grace >= 1, f"grace {rule.grace!r}: a whole number, at least 1, is needed")
    short = replace(rule, grace=1)
    require(short.grace == 1 and type(short) is type(rule), "a rule at another grace is no longer the same rule")
    for seed in range(seeds):
        asked = [_check_verdict(rule, *one) for one in _arrivals(rule.grace, samples, readings, random.Random(seed))]
        again = [replace(rule).verdict(*one) for one, _ in reversed(asked)]
        same = again == [verdict for _, verdict in reversed(asked)]
        require(same, f"{type(rule).__name__} answers otherwise when it is asked in another order: it keeps something")
        if hasattr(rule, "bracket"):
            _check_brackets(rule, asked[-1][0][0])


Question = tuple[Readings, int, int]


def _arrivals(grace: int, samples: int, readings: int, rng: random.Random) -> Iterator[Question]:
    """Readings as they come in, whichever sample is next; each question with all that has come so far."""
    come: dict[int, dict[int, float]] = {}
    quality = [rng.random() for _ in range(samples)]
    under_way = list(range(samples))
    while under_way:
        number = rng.choice(under_way)
        own = come.setdefault(number, {})
        epoch = grace * (len(own) + 1)
        own[epoch] = round(quality[number] * (1 - 0.5 ** len([*own, epoch])) + 0.05 * rng.random(), 4)
        if len(own) == readings:
            under_way.remove(number)
        else:
            yield copy.deepcopy(come), number, epoch


def _check_verdict(rule: Rule, readings: Readings, sample: int, epoch: int) -> tuple[Question, Verdict]:
    name, question = type(rule).__name__, (readings, sample, epoch)
    before = copy.deepcopy(readings)
    verdict = rule.verdict(*question)
    require(verdict in WORDS, f"{name} says {verdict!r}: 'on', 'pause' or 'stop' is needed")
    require(readings == before, f"{name} writes to the readings that it is given")
    require(rule.verdict(*question) == verdict, f"{name} says {verdict!r} and, asked again, otherwise")
    turned = dict(reversed(list(readings.items())))
    require(rule.verdict(turned, sample, epoch) == verdict, f"{name} depends on the order in which samples are given")
    others = [number for number, own in readings.items() if number != sample and epoch in own]
    for rival in others[:1]:
        allowed = {rule.verdict(_with(readings, rival, epoch, value), sample, epoch) for value in (None, -1.0)}
        found = rule.verdict(_with(readings, rival, epoch, math.nan), sample, epoch)
        require(found in allowed, f"{name} takes a reading of NaN for a good one: it says {found!r} of one beside it")
    return question, verdict


def _with(readings: Readings, number: int, epoch: int, value: float | None) -> Readings:
    """Returns the readings with another reading of one sample at an epoch, or without it."""
    own = {at: read for at, read in readings[number].items() if at != epoch}
    return {**readings, number: own if value is None else {**own, epoch: value}}


def _check_brackets(rule: Rule, readings: Readings) -> None:
    """Raises ContractBroken where a sample may go on though a better one of its bracket at this epoch may not."""
    for epoch in sorted({epoch for own in readings.values() for epoch in own}):
        refused = set[int]()
        for number in sorted((n for n, own in readings.items() if epoch in own), key=lambda n: (-readings[n][epoch], n)):
            bracket = rule.bracket(number)  # type: ignore[attr-defined]
            if rule.verdict(readings, number, epoch) != ON:
                refused.add(bracket)
            else:
                said = "lets a sample go on though a better one of its bracket at this epoch may not"
                require(bracket not in refused, f"{type(rule).__name__} {said}")
