"""Stopping rules by hand and beside Optuna's, and searches under each of them that were killed at any write."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mortal import Dies, Killed
from test_search import SWEEP, accuracy, ledger, search
from tiny import TRIAL

from skelray import (
    ASHA,
    CMAES,
    NSGAII,
    QMC,
    Grid,
    HiCLR,
    HyperBand,
    Median,
    Never,
    Patience,
    Percentile,
    Pruner,
    Random,
    Threshold,
)
from skelray.checks import UserError
from skelray.study.enough import Budget, Stable
from skelray.study.scale import Scale
from skelray.testing.memory import MemoryStore

values = st.floats(0, 1)


def verdict(rule, value, others, epoch=25):
    """Of the last to arrive at a rung."""
    readings = {number: {epoch: other} for number, other in enumerate(others)} | {len(others): {epoch: value}}
    return rule.verdict(readings, len(others), epoch)


@given(values, st.lists(values, max_size=30), st.integers(2, 5))
@settings(deadline=None)
def test_the_best_always_goes_on_and_so_does_the_first(value, others, reduction):
    assert verdict(ASHA(reduction=reduction), max([value, *others]), others) == "on"
    assert verdict(ASHA(reduction=reduction), value, []) == "on"


@given(values, values, st.lists(values, max_size=30), st.integers(2, 5))
@settings(deadline=None)
def test_who_is_better_goes_on_where_the_worse_does(a, b, others, reduction):
    for rule in (ASHA(reduction=reduction), ASHA(reduction=reduction, promotion=True), Median(), Percentile()):
        if verdict(rule, min(a, b), others) == "on":
            assert verdict(rule, max(a, b), others) == "on"


@given(st.lists(values, min_size=1, max_size=40), st.integers(2, 5))
@settings(deadline=None)
def test_a_share_of_those_at_a_rung_is_promoted_and_the_others_wait(rung, reduction):
    rule, readings = ASHA(reduction=reduction, promotion=True), {n: {25: value} for n, value in enumerate(rung)}
    said = {n: rule.verdict(readings, n, 25) for n in readings}
    promoted = [rung[n] for n in said if said[n] == "on"]
    assert len(promoted) == len(rung) // reduction
    assert sorted(promoted) == sorted(rung)[len(rung) - len(promoted) :]
    assert {said[n] for n in said} <= {"on", "pause"}


@pytest.mark.parametrize(
    ("rule", "rungs"),
    [(ASHA(25, 3), [25, 75, 225]), (ASHA(1, 2), [1, 2, 4, 8, 16, 32, 64, 128, 256]), (ASHA(100, 4), [100])],
)
def test_a_rung_is_grace_times_a_power_of_the_reduction(rule, rungs):
    judged = [e for e in range(rule.grace, 300, rule.grace) if verdict(rule, 0.1, [0.9] * 9, e) == "stop"]
    assert judged == rungs


def test_brackets_share_the_epochs_and_judge_within_their_own():
    rule = HyperBand(grace=5, reduction=3, brackets=3)
    counts = [[rule.bracket(n) for n in range(26)].count(b) for b in range(3)]
    assert counts == [18, 6, 2]
    late = next(n for n in range(13) if rule.bracket(n) == 2)
    readings = {n: {5: 0.9, 15: 0.9, 45: 0.9} for n in range(12)} | {late: {5: 0.1, 15: 0.1, 45: 0.1}}
    assert [rule.verdict(readings, late, epoch) for epoch in (5, 15, 45)] == ["on"] * 3  # alone in its bracket
    worse = next(n for n in range(1, 9) if rule.bracket(n) == 0)
    assert rule.verdict({**readings, worse: {5: 0.1}}, worse, 5) == "stop"


def test_threshold_patience_and_never_by_hand():
    own = {0: {25: 0.1, 50: 0.3, 75: 0.3, 100: 0.29}}
    assert [Threshold(least=0.2).verdict(own, 0, e) for e in own[0]] == ["stop", "on", "on", "on"]
    assert Threshold(least=0.2, after=1).verdict(own, 0, 25) == "on"
    with pytest.raises(UserError, match="keep"):
        Percentile(keep=0)
    with pytest.raises(UserError, match=r"least 20: a fraction is needed, as 0.2 for 20 %"):
        Threshold(least=20)
    assert [Patience(readings=2).verdict(own, 0, e) for e in own[0]] == ["on", "on", "on", "stop"]
    assert Patience(readings=3, gain=0.25).verdict(own, 0, 100) == "stop"
    assert {Never().verdict(own, 0, e) for e in own[0]} == {"on"}


def median_pruner():
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=3, n_warmup_steps=26)


def percentile_pruner():
    from optuna.pruners import PercentilePruner

    return PercentilePruner(30.0, n_startup_trials=3)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (Median(startup=3, after=1), Pruner(median_pruner)),
        (Percentile(keep=30.0, startup=3), Pruner(percentile_pruner)),
    ],
    ids=["median", "percentile"],
)
def test_the_percentile_rules_say_what_optunas_pruners_do(mine, theirs):
    import random

    rng, said = random.Random(0), []
    for _ in range(40):
        epochs = [25 * e for e in range(1, rng.randint(3, 5))]
        readings = {n: {e: rng.random() for e in epochs} for n in range(rng.randint(1, 9))}
        sample = rng.choice(list(readings))
        said.append(mine.verdict(readings, sample, epochs[-1]))
        assert said[-1] == theirs.verdict(readings, sample, epochs[-1])
    assert {"on", "stop"} <= set(said)


# Whole searches


def height(sample, epoch):
    """What training would have found."""
    return accuracy(sample, epoch) if "lambda_h" in sample.params else 0.5 - 0.1 / epoch


def known(searching):
    """What a search knows, but for the bytes of what its sampler has pickled."""
    return [{**line, "notes": sorted(line["notes"].get("trial", {}))} for line in ledger(searching)]


def drive(searching):
    """As a run does: what is unfinished, then what may go on, then new samples; each under each of its seeds."""
    for sample in searching.unfinished():
        searching.restart(sample)
        train(searching, sample)
    while (sample := searching.promote() or searching.propose()) is not None:
        train(searching, sample)


def train(searching, sample):
    for seed in searching.seeds_left(sample):
        for epoch in range(1, 10):
            value = round(height(sample, epoch) + 0.002 * seed, 6)
            verdict = searching.verdict(sample, epoch, value, seed)
            searching.record_reading(sample, epoch, value, verdict, {}, seed)
            if verdict != "on":
                return searching.end_sample(sample, {"stop": "stopped", "pause": "paused"}[verdict])
    return searching.end_sample(sample, "done")


def cost(trial):
    return trial.method.lambda_h


SWEEPS = {
    "promotion": replace(SWEEP, stopping=ASHA(grace=1, reduction=2, promotion=True), samples=9),
    "brackets": replace(SWEEP, stopping=HyperBand(grace=1, reduction=2, brackets=2)),
    "brackets, promotion": replace(SWEEP, stopping=HyperBand(grace=1, reduction=2, brackets=2, promotion=True), samples=9),
    "median": replace(SWEEP, stopping=Median(grace=1, startup=2)),
    "percentile": replace(SWEEP, stopping=Percentile(keep=50, grace=1, startup=2)),
    "threshold": replace(SWEEP, stopping=Threshold(least=0.4, grace=3)),
    "patience": replace(SWEEP, stopping=Patience(readings=1, gain=0.05, grace=1)),
    "never": replace(SWEEP, stopping=Never(grace=3), sampler=QMC()),
    "pruner": replace(SWEEP, stopping=Pruner(median_pruner, grace=3), sampler=Random()),
    "seeds": replace(SWEEP, seeds=range(3)),
    "seeds, promotion": replace(SWEEP, seeds=range(2), stopping=ASHA(grace=1, reduction=2, promotion=True)),
    "generations": replace(SWEEP, sampler=NSGAII(population=3), objectives={"cost": cost}, samples=9),
    "evolution": replace(SWEEP, sampler=CMAES(population=4), samples=9),
}


class MortalMemory(Dies, MemoryStore):
    """A store in memory that dies, with what it has kept."""

    def __init__(self, content, at, after):
        super().__init__()
        self.kept, self.at, self.after = content, at, after


@pytest.mark.parametrize("kind", SWEEPS)
@given(kills=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=3))
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_under_every_rule_a_search_killed_at_any_write_ends_like_one_that_ran_through(kind, kills):
    whole = search(MemoryStore(), SWEEPS[kind])
    drive(whole)
    content = {}
    for at, after in kills:
        try:
            drive(search(MortalMemory(content, at, after), SWEEPS[kind]))
        except Killed:
            continue
        break
    again = search(MortalMemory(content, -1, False), SWEEPS[kind])
    drive(again)
    assert known(again) == known(whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SWEEPS)
def test_under_every_rule_a_search_may_be_killed_at_each_single_write(kind):
    whole = search(MemoryStore(), SWEEPS[kind])
    drive(whole)
    at = 0
    while True:
        content, at = {}, at + 1
        try:
            drive(search(MortalMemory(content, at, at % 2 == 0), SWEEPS[kind]))
            break  # there is no write of this number
        except Killed:
            again = search(MortalMemory(content, -1, False), SWEEPS[kind])
            drive(again)
            assert known(again) == known(whole)
    assert at > 20


def test_a_paused_sample_goes_on_when_it_is_among_the_best():
    searching = search(MemoryStore(), SWEEPS["promotion"])
    drive(searching)
    published, *others = searching.samples.values()
    assert published.status == "done"
    assert {sample.status for sample in others} <= {"done", "paused"}
    assert all("stop" not in own.values() for s in others for own in s.verdicts.values())
    further = {n for n, s in searching.samples.items() if max(s.rungs) > 1}
    ranked = sorted(searching.samples, key=lambda n: (-searching.samples[n].rungs[1], n))
    assert further - {0} <= {n for n in further if searching.samples[n].verdicts[0][1] == "on"}
    assert set(ranked[: len(ranked) // 2]) <= further  # the best half has been promoted, and some that were it before
    assert len(further) < len(ranked)
    assert searching.is_over()
    more = search(searching.ledger.store, replace(SWEEPS["promotion"], samples=15))
    drive(more)
    assert {n for n, s in more.samples.items() if max(s.rungs) > 1} >= further
    assert more.is_over()


def test_a_rung_judges_the_mean_over_the_seeds_and_a_seed_that_stops_stops_all():
    searching = search(MemoryStore(), SWEEPS["seeds"])
    first, good, bad = (searching.propose() for _ in range(3))

    def read(sample, seed, value):
        verdict = searching.verdict(sample, 1, value, seed)
        searching.record_reading(sample, 1, value, verdict, {}, seed)
        return verdict

    assert [list(sample.trials) for sample in (first, good, bad)] == [[0, 1, 2]] * 3
    assert len({*first.trials.values(), *good.trials.values()}) == 6
    for seed in range(3):
        assert read(first, seed, 0.5) == "on"
        assert read(good, seed, (0.3, 0.9, 0.6)[seed]) == (
            "stop" if seed == 0 else "stop" if good.status == "stopped" else "on"
        )
    assert good.rungs == {1: pytest.approx(0.6)}
    assert read(bad, 0, 0.1) == "stop"
    searching.end_sample(bad, "stopped")
    assert read(bad, 1, 0.99) == "stop"  # under another of its seeds it has been


def test_a_reading_that_is_no_number_costs_its_sample_and_counts_nowhere():
    searching = search(MemoryStore(), SWEEP)
    searching.propose()
    sample = searching.propose()
    with pytest.raises(UserError, match="the monitor reads nan for sample 1 at epoch 1"):
        searching.verdict(sample, 1, float("nan"))
    assert sample.rungs == {}


def test_a_suggestion_of_a_trial_that_is_there_spends_no_sample():
    searching = search(MemoryStore(), replace(SWEEP, space=small_space, published={}, sampler=Random(), samples=50))
    drive(searching)
    assert len(searching.samples) == 6  # of ten points, which are six trials
    assert searching.is_over()
    assert len({sample.trials[0] for sample in searching.samples.values()}) == 6


def small_space(trial):
    """Ten points, five of which are one trial."""
    method = HiCLR(queue=32, dim=8 * min(trial.suggest_int("k", 1, 10), 6))
    return replace(TRIAL, method=method, epochs=9)


def test_a_grid_ends_when_every_point_is_there():
    searching = search(MemoryStore(), replace(SWEEP, space=grid_space, published={}, sampler=Grid(), samples=99))
    drive(searching)
    assert len(searching.samples) == 6
    assert searching.propose() is None


def grid_space(trial):
    tau = trial.suggest_float("tau", 0.1, 0.3, step=0.1)
    return replace(TRIAL, method=HiCLR(queue=32, tau=tau, dim=8 * trial.suggest_int("dim", 1, 2)), epochs=9)


def test_the_front_has_what_nothing_beats():
    searching = search(MemoryStore(), SWEEPS["generations"])
    drive(searching)
    front = searching.front()
    assert front
    for sample in front:
        assert sample.figures == {"cost": sample.params["lambda_h"]}
        others = [s for s in searching.samples.values() if s.status == "done" and s is not sample]
        assert not any(s.value > sample.value and s.figures["cost"] < sample.figures["cost"] for s in others)


# Enough


@pytest.mark.parametrize(
    ("text", "budget"),
    [("8h", Budget(hours=8)), ("30m", Budget(hours=0.5)), ("2d", Budget(hours=48)), ("500epochs", Budget(epochs=500))],
)
def test_budgets_are_read(text, budget):
    assert Budget.of(text) == budget


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "1.5epochs", "0h", "0epochs", "8 hours"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UserError):
        Budget.of(text)


def test_a_budget_ends_a_search_and_a_larger_one_goes_on_as_if_there_had_been_none():
    store, whole = MemoryStore(), search(MemoryStore())
    drive(whole)
    few = search(store, scale=Scale(budget=Budget(epochs=12)))
    drive(few)
    assert few.is_over()
    assert sum(s.epochs for s in few.samples.values()) >= 12 > sum(s.epochs for s in list(few.samples.values())[:-1])
    ended = store.read_json(f"{few.ledger.folder}/about/end.json")
    assert ended == {"why": "the budget of 12 epochs is spent", "samples": len(few.samples)}
    more = search(store, scale=Scale(budget=Budget(epochs=10_000)))
    drive(more)
    assert ledger(more) == ledger(whole)


def test_hours_are_those_of_training():
    searching = search(MemoryStore(), scale=Scale(budget=Budget(hours=1)))
    for number in range(3):
        sample = searching.propose()
        searching.record_reading(sample, 9, 0.5, "on", {}, seconds=1300.0)
        searching.end_sample(sample, "done")
        assert searching.is_budget_spent() is (number == 2)
    assert searching.propose() is None


def test_a_search_is_stable_when_the_best_has_gained_less_than_the_seed_noise():
    rule = Stable(last=2, noise=0.01)
    assert not rule.reached([0.5, 0.6], [])
    assert not rule.reached([0.5, 0.5, 0.6], [])
    assert rule.reached([0.5, 0.5, 0.505], [])
    assert rule.reached([0.5, 0.5, 0.55], [[0.5, 0.7], [0.4, 0.6]])  # sd 0.14 of 2 seeds: 0.1
    searching = search(MemoryStore(), replace(SWEEP, samples=50), scale=Scale(until=Stable(last=3)))
    drive(searching)
    assert 3 < len(searching.samples) < 50
    assert searching.is_over()
