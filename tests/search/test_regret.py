"""Where the optimum is planted, each stopping rule finds the best decile at under half the epochs of random search.

With random points; Threshold and Patience at settings that were picked on the same curves (docs/search.md).
"""

import pytest
from search_regret import RULES, best_decile, searched

from skelray import Random

SAMPLES, EPOCHS, SEARCHES = 60, 300, 3


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "no stopping"])
def test_a_rule_finds_the_best_decile_at_under_half_the_epochs_of_random_search(rule):
    found = [searched(RULES[rule], Random(seed=seed), SAMPLES) for seed in range(SEARCHES)]
    assert all(value >= best_decile() for _, value in found)
    assert all(epochs < SAMPLES * EPOCHS / 2 for epochs, _ in found)
