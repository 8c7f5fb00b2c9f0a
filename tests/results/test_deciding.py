"""Looking more than once: the schedule, its p values, which contrast comes next, and how often a table is wrong."""

import math

import numpy as np
import pytest

from skelray.results.deciding import Open, cheapest, likely_look, looks_for, next_look
from skelray.results.inference import ALPHA, floor, sign_flip
from skelray.results.looks import always_valid, least, schedule, spending
from skelray.results.verdicts import DECIDED, judge


def test_all_looks_together_spend_the_level():
    assert spending(1) == 0.5
    assert sum(spending(k) for k in range(1, 10_000)) == pytest.approx(1, abs=2e-4)
    looks = schedule(8)
    assert looks[:4] == (8, 12, 18, 27)
    assert len(looks) == 12


def test_a_p_value_counts_its_looks():
    d = np.random.default_rng(0).normal(1, 1, 12)
    assert always_valid(d, ()) == sign_flip(d)
    assert always_valid(d[:7], (8, 12)) == 1
    assert always_valid(d, (8, 12)) == min(1, 2 * sign_flip(d[:8]), 6 * sign_flip(d))
    assert always_valid(d, (8, 12, 18)) == always_valid(d, (8, 12))
    assert least(12, (8, 12)) == 6 * floor(12)


def test_the_first_look_is_where_a_p_can_pass():
    (first, *_) = looks_for([4], [3])
    assert 4 * 2 * floor(first) < ALPHA <= 4 * 2 * floor(first - 1)
    assert looks_for([4], [20])[0] == 20


def test_the_cheapest_comes_next_and_the_hopeless_never():
    looks = schedule(8)
    clear = Open(8, 0.05, 0.02, 4, 0.01, cost=10)
    dear = Open(8, 0.05, 0.02, 4, 0.01, cost=100)
    hopeless = Open(8, 0.012, 0.4, 4, 0.01, cost=1)
    assert likely_look(hopeless, looks) is None
    assert cheapest([hopeless, dear, clear], looks) == 2
    assert cheapest([hopeless, dear, clear], looks, afford=1) is None
    assert likely_look(Open(3, 0.0, math.nan, 4, 0.01, 1), looks) == 8  # before the first look it is the first
    assert likely_look(Open(8, 0.0, 0.02, 4, 0.01, 1), looks) is not None  # equivalence decides, too
    assert next_look(27, looks) == 41
    assert next_look(looks[-1], looks) is None


def grown_table(rng, arms=4, effect=0.0, sd=0.02, margin=0.0, most=60):
    """The words of a table whose seeds are added by the rule until nothing is left to do."""
    draws = rng.normal(0, sd, (arms + 1, most))
    draws[1] += effect
    pairs, looks = [3] * arms, looks_for([arms], [3] * arms)
    looks = tuple(look for look in looks if look <= most)
    while True:
        found = judge([(draws[i + 1][:n], draws[0][:n]) for i, n in enumerate(pairs)], margin, looks=looks)
        left = [i for i, one in enumerate(found) if one.word not in DECIDED]
        ones = [Open(found[i].n, found[i].mean, found[i].sd, arms, margin, 1.0) for i in left]
        number = cheapest(ones, looks)
        if number is None:
            return [one.word for one in found]
        pairs[left[number]] = next_look(ones[number].n, looks)


def wrong(simulations, rng):
    return np.mean([any(word in ("helps", "hurts") for word in grown_table(rng)) for _ in range(simulations)])


def test_added_seeds_find_what_is_there_and_rarely_what_is_not():
    rng = np.random.default_rng(1)
    assert [grown_table(rng, effect=0.06)[0] for _ in range(3)] == ["helps"] * 3
    assert wrong(12, rng) <= 0.2  # a level of 5 %, by few tables


@pytest.mark.slow
def test_the_false_alarm_rate_stays_at_most_one_in_twenty():
    """Without a margin nothing is ever equivalent, so that every contrast is looked at as often as the rule allows."""
    rate = wrong(1500, np.random.default_rng(3))
    assert 0 < rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1500)
    looked_at_each_time = np.mean([naive(np.random.default_rng(seed)) for seed in range(300)])
    assert looked_at_each_time > 0.08  # what the correction is for


def naive(rng, sd=0.02):
    """Whether a table is ever wrong that is judged anew, uncorrected, at each look."""
    draws = rng.normal(0, sd, (5, 24))
    words = [one.word for n in (8, 12, 18, 24) for one in judge([(row[:n], draws[0][:n]) for row in draws[1:]], 0.0)]
    return any(word in ("helps", "hurts") for word in words)
