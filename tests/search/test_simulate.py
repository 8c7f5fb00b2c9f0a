"""Rules replayed on curves: what each spends and misses, by hand and against a real search."""

import itertools
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from click.testing import CliRunner
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from result_rows import row
from sweeps import curves
from test_search import SWEEP, drive, search

from skelray import ASHA, TPE, HyperBand, Median, Never, Patience, Random
from skelray.checks import UserError
from skelray.cli.main import cli
from skelray.report import simulation
from skelray.results.tables import write_table
from skelray.search.simulate import Curve, candidates, recommended_rule, replay, simulate
from skelray.store.store import Store
from skelray.study.samplers import Sampler


def in_order(count):
    places = iter(range(count))
    return lambda readings, taken, waiting: next(places, None)


def curve(name, *values, **params):
    return Curve(name, dict(enumerate(values, start=1)), params)


POOL = [curve("a", 0.1, 0.2, 0.3, 0.4), curve("b", 0.2, 0.3, 0.4, 0.5), curve("c", 0.05, 0.1, 0.2, 0.9)]


def test_asha_by_hand():
    """a is the first and goes on; b beats it at both rungs; c is the worst of three at epoch 1 and is stopped."""
    replayed = replay(ASHA(grace=1, reduction=2), POOL, in_order(3))
    assert replayed.spent == (4, 8, 9)
    assert replayed.found == (0.4, 0.5, 0.5)
    assert replayed.read == 3


def test_never_spends_all_and_misses_nothing():
    replayed = replay(Never(grace=1), POOL, in_order(3))
    assert replayed.spent[-1] == 12
    assert replayed.found[-1] == 0.9


def test_a_paused_sample_goes_on_from_where_it_waits():
    """Promotion with reduction 2: a waits at 1; b is the better half there and goes on to 2, where it waits for another."""
    replayed = replay(ASHA(grace=1, reduction=2, promotion=True), POOL[:2], in_order(2))
    assert replayed.spent == (1, 3)
    assert replayed.found == (None, None)
    four = [*POOL[:2], curve("d", 0.3, 0.4, 0.5, 0.6), curve("e", 0.25, 0.35, 0.45, 0.55)]
    replayed = replay(ASHA(grace=1, reduction=2, promotion=True), four, in_order(4))
    assert replayed.found[-1] == 0.6  # d, which was better than b at 2
    assert replayed.spent == (1, 3, 7, 9)  # e waits at 2 behind d


def test_the_published_curve_is_never_stopped_and_comes_first():
    pool = [*POOL[:2], curve("published", 0.0, 0.0, 0.0, 0.1)]
    (outcome,) = simulate([pool], [ASHA(grace=1, reduction=4)], replays=8)
    assert outcome.spent >= 4 / 12
    assert outcome.regret[int(0.4 * 59)] <= 0.4


def test_regret_falls_and_never_ends_without_any():
    found = simulate([POOL], [Never(grace=1), ASHA(grace=1, reduction=2)], replays=20)
    for outcome in found:
        assert outcome.regret[0] == pytest.approx(0.9 - 0.6)  # one curve guessed
    assert found[0].last == 0
    assert found[0].spent == 1
    assert found[1].spent < 1
    assert found[1].last > 0  # the late one is stopped


def test_a_rule_is_chosen_by_what_it_misses_first_and_by_what_it_spends_then():
    frame, watched = curves()
    pools = simulation.trained_curves(frame, watched)
    found = simulate(pools, candidates(pools), replays=10)
    assert recommended_rule(found, 0.0).last == 0
    best = recommended_rule(found, 1.0)
    assert best.spent == min(outcome.spent for outcome in found)
    careful = recommended_rule(found, 0.01)
    assert careful.last <= 0.01
    assert all(o.spent >= careful.spent for o in found if o.last <= 0.01)


def test_the_same_twice():
    frame, watched = curves(noise=0.02)
    pools = simulation.trained_curves(frame, watched)
    rules = [ASHA(grace=2, reduction=2), HyperBand(grace=1, reduction=2), Median(grace=2), Patience(grace=1)]
    assert simulate(pools, rules, replays=5) == simulate(pools, rules, replays=5)


@pytest.mark.parametrize("rule", [ASHA(grace=1, reduction=2), HyperBand(1, 2, 2), Median(grace=1, startup=3)], ids=str)
def test_a_replay_stops_what_a_real_search_stops(rule, tmp_path):
    """The curves of a search that stopped nobody, replayed in its order, cost what the same search costs under the rule."""
    whole = replace(SWEEP, sampler=Random(), stopping=Never(grace=1), samples=10)
    all_read, stopping = (
        search(Store(tmp_path / "all"), whole),
        search(Store(tmp_path / "some"), replace(whole, stopping=rule)),
    )
    drive(all_read)
    drive(stopping)
    pool = [Curve(all_read.arm_label(sample), sample.rungs) for sample in all_read.samples.values()]
    replayed = replay(rule, pool, in_order(10))
    reached = [max(sample.rungs) for sample in stopping.samples.values()]
    assert replayed.spent == tuple(itertools.accumulate(reached))
    assert min(reached) < max(reached)
    assert replayed.found[-1] == stopping.best().value


@dataclass(frozen=True)
class Half:
    """A rule of one's own: stops at half of the way what is not the best."""

    grace: int = 5

    def verdict(self, readings, sample, epoch):
        others = [own[epoch] for number, own in readings.items() if number != sample and epoch in own]
        return "on" if readings[sample][epoch] >= max(others, default=0.0) else "stop"


def test_a_rule_of_ones_own_is_replayed_without_a_change():
    frame, watched = curves()
    (outcome,) = simulate(simulation.trained_curves(frame, watched), [Half()], replays=5)
    assert 0 < outcome.spent < 1


def test_a_sampler_finds_its_way_among_curves():
    """Under TPE, which learns where the good ones lie, fewer epochs go by before the best is found than at random."""
    space = {"x": FloatDistribution(0.0, 1.0)}
    pool = [
        Curve(f"sample {n}", {e: (1 - abs(n / 39 - 0.3)) * e / 4 for e in range(1, 5)}, {"x": n / 39}, space)
        for n in range(40)
    ]
    random, learnt = simulate([pool], [Never(grace=1)], [Random(), TPE(startup=5)], replays=12)
    late = len(random.regret) // 4
    assert sum(learnt.regret[late:]) < 0.8 * sum(random.regret[late:])
    with pytest.raises(UserError, match="take Random"):
        simulate([POOL], [Never(grace=1)], [TPE()])


def shown_to(monkeypatch, rule, reads_stopped):
    """The states of the samples that a sampler sees before its last draw under a rule."""
    seen, space = [], {"x": FloatDistribution(0.0, 1.0)}

    class Watched(RandomSampler):
        def infer_relative_search_space(self, study, trial):
            seen.append([t.state.name for t in study.get_trials(deepcopy=False) if t.intermediate_values])
            return {}

    @dataclass(frozen=True)
    class Watching(Sampler):
        def build(self, draw):
            return Watched(seed=draw)

    monkeypatch.setattr(Watching, "reads_stopped", reads_stopped)
    pool = [Curve(f"sample {n}", {e: n * e / 48 for e in range(1, 5)}, {"x": n / 11}, space) for n in range(12)]
    simulate([pool], [rule], [Watching()], replays=1)
    return seen[-1]


def test_a_sampler_sees_among_curves_what_it_sees_in_a_search(monkeypatch):
    """What was stopped is complete to a sampler that reads such alone; what waits is no reading until it has ended."""
    stopping, promotion = ASHA(grace=1, reduction=2), ASHA(grace=1, reduction=2, promotion=True)
    assert set(shown_to(monkeypatch, stopping, reads_stopped=True)) == {"COMPLETE", "PRUNED"}
    assert set(shown_to(monkeypatch, stopping, reads_stopped=False)) == {"COMPLETE"}
    assert set(shown_to(monkeypatch, promotion, reads_stopped=True)) == {"COMPLETE"}


def test_what_cannot_be_replayed_is_refused_in_a_sentence():
    frame, watched = curves(count=3)
    with pytest.raises(UserError, match="no curve of s has held-out accuracy"):
        simulation.trained_curves(frame, watched.assign(metric="loss"))
    with pytest.raises(UserError, match="no two samples or arms"):
        simulation.trained_curves(frame[:1], watched)
    pools = simulation.trained_curves(frame, watched[watched["epoch"] % 5 == 0])
    with pytest.raises(UserError, match="reads at epoch 2, where arm 0 has no reading: it has 5, 10"):
        simulate(pools, [ASHA(grace=2)])
    assert {rule.grace for rule in candidates(pools)} == {5}
    with pytest.raises(UserError, match="no reading before their last"):
        candidates(simulation.trained_curves(frame, watched[watched["epoch"] == 10]))


def test_seeds_of_an_arm_are_one_curve():
    frame, watched = curves(count=3)
    twice = frame.assign(trial=frame["trial"] + "b", seed=1)
    other = watched.assign(trial=watched["trial"] + "b", value=watched["value"] + 0.02)
    (pool,) = simulation.trained_curves(pd.concat([frame, twice]), pd.concat([watched, other]))
    assert len(pool) == 3
    assert pool[1].value == pytest.approx(watched["value"].iloc[19] + 0.01)


def test_the_command_says_what_each_rule_would_have_done(tmp_path):
    _, watched = curves(count=6)
    trials = [row(study="s", trial=f"t{n}", arm=f"arm {n}", epochs=10, epoch=10) for n in range(6)]
    write_table("s", trials, watched.to_dict("records"), tmp_path)
    own = tmp_path / "mine.py"
    own.write_text("from skelray import ASHA, Never\nrules = [Never(grace=1), ASHA(grace=2, reduction=2)]\n")
    command = ["simulate", "s", "--results", str(tmp_path), "--replays", "5"]
    done = CliRunner().invoke(cli, [*command, "--rules", str(own)])
    assert done.exit_code == 0, done.exception
    assert "6 curves, 60 epochs in all" in done.output
    assert "| ASHA(grace=2, reduction=2)" in done.output
    assert (tmp_path / "figures" / "s" / "simulation.png").is_file()
    own.write_text("x = 1\n")
    done = CliRunner().invoke(cli, [*command, "--rules", str(own)])
    assert "has no rules" in str(done.exception)
