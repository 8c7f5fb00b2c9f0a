"""What n pairs tell, by scipy, by the tables of reference, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from skelray.results.inference import (
    bca,
    detectable,
    holm,
    improvement,
    seeds_to_pass,
    seeds_to_see,
    sign_flip,
    t_interval,
)


@pytest.mark.parametrize(
    ("sd", "n", "alone", "of_four"),
    [(1, 3, 3.3, 6.55), (1, 5, 1.7, 2.5), (1, 8, 1.2, 1.5), (1, 20, 0.7, 0.8), (3, 5, 5.0, 7.4), (3, 10, 3.0, 3.9)],
)
def test_what_few_seeds_can_see(sd, n, alone, of_four):
    assert detectable(n, sd) == pytest.approx(alone, abs=0.05)
    assert detectable(n, sd, 0.05 / 4) == pytest.approx(of_four, abs=0.05)


def test_power_is_what_a_simulation_finds():
    shift = detectable(6, 2.0)
    draws = np.random.default_rng(0).normal(shift, 2.0, (20_000, 6))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("family", "seeds"), [(1, 6), (2, 7), (4, 8), (6, 8), (9, 9), (10, 9), (12, 9), (13, 10)])
def test_seeds_that_the_sign_flip_test_needs(family, seeds):
    assert seeds_to_pass(family) == seeds


def test_seeds_to_see_is_the_fewest():
    n = seeds_to_see(1.0, 3.0, family=4)
    assert detectable(n, 3.0, 0.05 / 4) <= 1.0 < detectable(n - 1, 3.0, 0.05 / 4)


def test_sign_flip_is_scipys_permutation_test_and_counts_ties():
    rng = np.random.default_rng(5)
    for n in (2, 3, 7, 10):
        for d in (rng.normal(0.5, 1, n), rng.integers(-3, 4, n) / 128):
            told = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
            assert sign_flip(d) == pytest.approx(told.pvalue, abs=1e-12)
    assert sign_flip(np.ones(24)) == 2**-23  # exact where all signs are too many to try one by one


def test_sign_flip_is_the_share_of_signs_that_are_as_far_out():
    d = np.array([0.3, -0.1, 0.4, 0.2])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    assert sign_flip(d) == pytest.approx((np.abs((signs * d).mean(1)) >= abs(d.mean()) - 1e-12).mean())
    assert sign_flip(np.array([0.5])) == 1.0
    assert math.isnan(sign_flip(np.array([])))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([math.nan, 0.02]) == pytest.approx([1.0, 0.04])
    assert holm([]) == []


def test_improvement_counts_pairs_of_runs():
    assert improvement([1, 2, 3], [0, 2, 2]) == pytest.approx(6 / 9)  # (1>0), (2>0, 2=2, 2=2: 2), (3: 3)
    assert improvement([1, 1], [1, 1]) == 0.5


def test_intervals_are_scipys():
    d = np.random.default_rng(0).normal(0.3, 1, 7)
    assert t_interval(d, 0.9) == pytest.approx(stats.t.interval(0.9, 6, d.mean(), stats.sem(d)))
    told = stats.bootstrap((d,), np.mean, method="BCa", rng=0).confidence_interval
    assert bca(d) == (told.low, told.high)
    assert np.isfinite(bca(d[:6])).all()
    assert np.isnan(bca(d[:5])).all()  # of so few pairs the random draws decide where an interval ends


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 6, 8, 20])
def test_the_interval_of_verdicts_covers_and_bca_does_not_at_few_pairs(n):
    """2000 simulated studies each; 0.015 is three standard errors of a share of 0.95."""
    draws = np.random.default_rng(n).normal(0, 1, (2000, n))
    covered = np.mean([low <= 0 <= high for low, high in map(t_interval, draws)])
    assert covered == pytest.approx(0.95, abs=0.01)
    if n in (6, 8):
        assert np.mean([low <= 0 <= high for low, high in map(bca, draws[:500])]) < 0.93
