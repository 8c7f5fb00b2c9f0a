"""How many epochs a stopping rule can save at most."""

from __future__ import annotations

from skelray.contained import call_contained
from skelray.search.simulate import PUBLISHED, Curve, replay
from skelray.study.stopping.rule import Rule

STEP = 1e-9  # by which each sample is worse than the one before it: below what any rule asks for


def saved_at_most(rule: Rule, samples: int, epochs: int, published: bool = False) -> int | None:
    """Returns the epochs saved if no sample learns and each is worse than all before it; None for a rule that fails.

    rule: at its scale. published: the first one is never stopped. None for a rule that fails.
    """
    at = [*range(rule.grace, epochs, rule.grace), epochs]
    pool = [
        Curve(PUBLISHED if published and not number else str(number), dict.fromkeys(at, STEP * (samples - number)))
        for number in range(samples)
    ]
    order = iter(range(samples))
    try:
        replayed = call_contained(replay, rule, pool, lambda *so_far: next(order, None))
    except Exception:  # in a rule of the study's own: the run will say so
        return None
    return samples * epochs - (replayed.spent[-1] if samples else 0)
