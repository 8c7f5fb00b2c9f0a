"""Searches: the published point first, and a search that was killed ends like one that ran through."""

import json
import random
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import TRIAL

from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN
from skelray.methods import SIMILARITIES, HiCLR, SkeletonCLR
from skelray.search.search import Search
from skelray.search.space import example_trial
from skelray.store.store import Store, StoreError
from skelray.study.racing import Racing
from skelray.study.samplers import TPE
from skelray.study.scale import Scale
from skelray.study.stopping import ASHA
from skelray.study.sweep import Sweep

PUBLISHED = {"lambda_h": 0.5, "similarity": "kl", "k": 3}


def space(trial):
    method = HiCLR(
        arrangement=HiCLR().arrangement[: trial.suggest_int("k", 1, 3)],
        lambda_h=trial.suggest_float("lambda_h", 0.01, 10.0, log=True),
        similarity=SIMILARITIES[trial.suggest_categorical("similarity", list(SIMILARITIES))],
        queue=32,
    )
    return replace(TRIAL, method=method, epochs=9, evaluations=(KNN(),))


def other_space(trial):
    return space(trial)


def other_cost(trial):
    return trial.method.lambda_h


SWEEP = Sweep(space=space, published=PUBLISHED, samples=7, sampler=TPE(startup=3), stopping=ASHA(grace=1, reduction=2))


def search(store, sweep=SWEEP, name="s", scale=None, data="d"):
    return Search(name, sweep, scale or Scale(), store, data)


def read(searching, sample, epoch, value, source):
    """As a run does after a report."""
    verdict = searching.verdict(sample, epoch, value)
    searching.record_reading(sample, epoch, value, verdict, source)
    return verdict == "on"


def accuracy(sample, epoch):
    """What training would have found: a hump over lambda_h that grows clearer with the epochs."""
    p = sample.params
    return round(1 / (1 + abs(p["lambda_h"] - 1) / epoch) - 0.01 * p["k"] + 0.001 * len(p["similarity"]), 6)


def train(searching, sample, until=None):
    """A sample is trained, or goes on: readings that were there are reported again."""
    trial = searching.trial(sample)
    for epoch in range(1, trial.epochs + 1):
        if epoch == until:
            return
        if trial.monitor.due(epoch, trial.epochs) and not read(searching, sample, epoch, accuracy(sample, epoch), {}):
            searching.end_sample(sample, "stopped")
            return
    searching.end_sample(sample, "done")


def drive(searching):
    """As a run does, one sample after the other."""
    for sample in searching.unfinished():
        searching.restart(sample)
        train(searching, sample)
    while (sample := searching.propose()) is not None:
        train(searching, sample)


def ledger(searching):
    """What a search knows, without the moments at which it learned it."""
    return [{**asdict(s), "started": None, "ended": None} for _, s in sorted(searching.samples.items())]


# What a search does


def test_the_published_point_comes_first_and_is_never_stopped(undisturbed):
    first = undisturbed.samples[0]
    assert first.params == PUBLISHED
    assert first.status == "done"
    assert undisturbed.arm_label(first) == "published"
    assert undisturbed.arm_label(undisturbed.samples[1]) == "sample 1"


def test_as_many_samples_as_the_sweep_says_all_different(undisturbed):
    assert list(undisturbed.samples) == list(range(7))
    assert len({json.dumps(s.params, sort_keys=True) for s in undisturbed.samples.values()}) == 7
    assert undisturbed.propose() is None
    assert {s.status for s in undisturbed.samples.values()} == {"done", "stopped"}


def test_without_a_published_point_all_are_samples(store):
    searching = search(store, replace(SWEEP, published={}))
    sample = searching.propose()
    assert sample.params != PUBLISHED
    assert searching.arm_label(sample) == "sample 0"


def test_a_published_point_may_leave_parameters_to_the_sampler(store):
    sample = search(store, replace(SWEEP, published={"k": 2})).propose()
    assert sample.params["k"] == 2
    assert set(sample.params) == set(PUBLISHED)


def test_stopped_samples_were_beaten_at_their_last_rung(undisturbed):
    for sample in undisturbed.samples.values():
        if sample.status == "stopped":
            rung = max(sample.rungs)
            seen = {n: s.rungs for n, s in undisturbed.samples.items() if n <= sample.number}
            assert rung in (1, 2, 4, 8)
            assert SWEEP.stopping.verdict(seen, sample.number, rung) == "stop"
        else:
            assert max(sample.rungs) == 9


@pytest.mark.parametrize("status", ["done", "stopped", "paused"])
def test_the_sampler_learns(status):
    """Samples after the start depend on what was read, of stopped and waiting ones too, and the first ones do not."""

    def params(value, tmp):
        searching = search(memory(tmp))
        while (sample := searching.propose()) is not None:
            read(searching, sample, 9, value(sample), {})
            searching.end_sample(sample, status)
        return [s.params for s in searching.samples.values()]

    low, high = params(lambda s: -s.params["lambda_h"], "low"), params(lambda s: s.params["lambda_h"], "high")
    assert low[:3] == high[:3]
    assert low[3:] != high[3:]


def memory(name):
    """A store in memory."""
    from pyarrow import fs

    store = Store("/nowhere")
    store.files, store.path, store.local = fs._MockFileSystem(), name, False
    return store


def test_the_seed_decides_the_samples(store):
    def params(seed):
        searching = search(store, replace(SWEEP, sampler=TPE(seed=seed)))
        return [searching.propose().params for _ in range(4)]

    one, other = params(0), params(1)
    assert one[0] == other[0]
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))


def test_samples_under_way_at_once_differ(store):
    searching = search(store)
    proposed = [searching.propose() for _ in range(7)]
    assert len({json.dumps(s.params, sort_keys=True) for s in proposed}) == 7


def test_the_best_is_the_best_last_reading_of_the_finished(store):
    searching = search(store)
    assert searching.best() is None
    for number, (status, rungs) in enumerate(
        [("done", {1: 0.9, 9: 0.5}), ("stopped", {1: 0.99}), ("done", {9: 0.6}), ("done", {9: 0.6}), ("failed", {8: 1.0})]
    ):
        sample = searching.propose()
        assert sample.number == number
        for epoch, value in rungs.items():
            read(searching, sample, epoch, value, {})
        searching.end_sample(sample, status)
    searching.propose()
    assert searching.best().number == 2


def test_searching_never_evaluates_on_the_test_split(undisturbed):
    for sample in undisturbed.samples.values():
        searched, final = undisturbed.trial(sample), undisturbed.final(sample)
        assert searched.evaluations == ()
        assert final.evaluations == (KNN(),)
        assert searched.id("d") == final.id("d")
        assert searched.method.lambda_h == sample.params["lambda_h"]


def test_a_sample_is_not_its_own_rival(store):
    """The second of three at a rung is not among the best half; counted with itself it would be."""
    searching = search(store)
    for value, goes_on in ((0.9, True), (0.1, False), (0.5, False)):
        sample = searching.propose()
        assert read(searching, sample, 1, value, {}) is goes_on
        assert read(searching, sample, 1, value, {}) is goes_on  # as after a restart


def test_readings_between_rungs_stop_nobody(store):
    searching = search(store)
    for _ in range(3):
        sample = searching.propose()
        read(searching, sample, 3, 0.9, {})
    assert read(searching, searching.propose(), 3, 0.0, {})
    assert read(searching, sample, 9, 0.0, {})  # after the last epoch there is nothing to save


def test_grace_follows_the_scale(store):
    sweep = replace(SWEEP, stopping=ASHA(grace=3, reduction=2))
    searching = search(store, sweep, scale=Scale(epochs=27))
    published, best, worst = (searching.propose() for _ in range(3))
    for sample, value in ((published, 0.5), (best, 0.9)):
        assert read(searching, sample, 9, value, {})
    assert read(searching, worst, 3, 0.1, {})  # a third of the first rung at this scale
    assert not read(searching, worst, 9, 0.1, {})


def test_an_example_is_recorded_nowhere(store):
    assert example_trial(SWEEP, Scale()).benchmark == "tiny"
    assert example_trial(SWEEP, Scale(benchmark="other")).benchmark == "other"
    assert search(store).samples == {}


def test_a_space_that_takes_from_elsewhere_is_another_search_when_that_changes(store, monkeypatch):
    search(store).propose()
    monkeypatch.setitem(globals(), "TRIAL", replace(TRIAL, batch_size=9))
    assert search(store).samples == {}
    monkeypatch.undo()
    assert len(search(store).samples) == 1


# In a fixed order

ORDERED = Scale(ordered=3)


def drive_at_once(searching, slots, seed):
    """As Ray does: whichever of the samples under way ends a rung next."""
    rng = random.Random(seed)
    under_way = {s.number: 0 for s in searching.unfinished()}
    for number in under_way:
        searching.restart(searching.samples[number])
    while True:
        while len(under_way) < slots and searching.may_propose() and (sample := searching.propose()) is not None:
            under_way[sample.number] = 0
        if not under_way:
            return
        sample = searching.samples[rng.choice(sorted(under_way))]
        under_way[sample.number] += 1
        epoch, trial = under_way[sample.number], searching.trial(sample)
        stopped = trial.monitor.due(epoch, 9) and not read(searching, sample, epoch, accuracy(sample, epoch), {})
        if stopped or epoch == 9:
            searching.end_sample(sample, "stopped" if stopped else "done")
            del under_way[sample.number]


@given(slots=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_ordered_search_is_the_same_whatever_ends_first(tmp_path_factory, slots, seed):
    one = search(Store(tmp_path_factory.mktemp("one")), replace(SWEEP, samples=12), scale=ORDERED)
    drive_at_once(one, 1, 0)
    other = search(Store(tmp_path_factory.mktemp("other")), replace(SWEEP, samples=12), scale=ORDERED)
    drive_at_once(other, slots, seed)
    assert ledger(one) == ledger(other)
    assert {"stopped", "done"} == {s.status for s in one.samples.values()}


def test_with_a_lag_of_one_it_decides_as_one_slot_does(store, undisturbed):
    searching = search(store, scale=Scale(ordered=1))
    drive(searching)
    assert ledger(searching) == ledger(undisturbed)


def test_an_ordered_search_keeps_its_lag_of_samples_under_way(store):
    searching = search(store, scale=ORDERED)
    for _ in range(3):
        assert searching.may_propose()
        searching.propose()
    assert not searching.may_propose()
    searching.end_sample(searching.samples[1], "done")
    assert not searching.may_propose()
    searching.end_sample(searching.samples[0], "failed")
    assert searching.may_propose()


def test_an_ordered_search_has_a_ledger_of_its_own(store):
    assert search(store, scale=ORDERED).ledger.folder != search(store).ledger.folder


@pytest.mark.parametrize(
    "error", [StopIteration(), SystemExit(0), GeneratorExit(), KeyError("k")], ids=lambda e: type(e).__name__
)
def test_a_space_that_fails_is_told_with_its_line(store, error):
    def failing(trial):
        if trial.number:
            raise error
        return space(trial)

    searching = search(store, replace(SWEEP, space=failing, published={}))
    searching.propose()
    with pytest.raises(ValueError, match=r"test_search.py, line \d+: space\(\) fails for sample 1"):
        searching.propose()
    assert set(search(store, replace(SWEEP, space=failing, published={})).samples) == {0}


@pytest.mark.parametrize("error", [StopIteration, SystemExit, GeneratorExit, KeyError], ids=lambda e: e.__name__)
def test_a_space_that_ends_the_program_at_a_point_does_so_nowhere_else(store, error):
    """Some points are drawn to see what a scale does to them, and are no samples."""

    def failing(trial):
        tau = trial.suggest_float("tau", 0.05, 0.3)
        if tau > 0.2:
            raise error
        return replace(TRIAL, method=HiCLR(queue=32, tau=tau))

    sweep = replace(SWEEP, space=failing, published={"tau": 0.1})
    assert search(store, sweep, scale=Scale(epochs=2)).propose().params == {"tau": 0.1}


def test_a_second_run_of_a_sweep_is_refused_and_the_ledger_read_anew_when_it_is_free(store):
    one, other = search(store), search(store)
    with one.claim():
        one.propose()
        with pytest.raises(StoreError, match="in use by another run"), other.claim():
            pass
    assert other.samples == {}
    with other.claim():
        assert set(other.samples) == {0}


@pytest.mark.parametrize(
    ("published", "said"),
    [({"lamda_h": 0.5}, "'lamda_h', which the space does not suggest"), ({"lambda_h": 99.0}, "outside the space")],
)
def test_a_published_point_that_the_space_does_not_hold_is_refused(store, published, said):
    with pytest.raises(UserError, match=said):
        search(store, replace(SWEEP, published=published))


@pytest.mark.parametrize(
    ("across", "said"),
    [({"streem": ["joint"]}, "no field 'streem'"), ({"stream": ["joint", "bones"]}, "stream 'bones' is none of")],
)
def test_what_the_finals_go_across_is_checked_before_anything_runs(store, across, said):
    with pytest.raises(UserError, match=said):
        search(store, replace(SWEEP, across=across))


COVERED = {  # what the name of a ledger covers, as it decides what is proposed or read
    "space": other_space,
    "published": {"lambda_h": 0.4},
    "sampler": TPE(seed=1),
    "stopping": ASHA(grace=2),
    "monitor": KNN(k=5),
    "seeds": (1,),
    "objectives": {"cost": other_cost},
}
BESIDE = {  # what a search may have more or less of, and go on
    "samples": 99,
    "racing": Racing(best=2),
    "across": {"stream": ["joint"]},
    "ensemble": Ensemble({"joint": 1.0}),
}


@pytest.mark.parametrize("field", [field.name for field in fields(Sweep)])
def test_the_name_of_a_ledger_covers_every_field_or_is_known_not_to(store, field):
    """A field that is added to Sweep belongs into one of the two lists."""
    changes = {field: {**COVERED, **BESIDE}[field]}
    if field == "ensemble":
        changes["across"] = BESIDE["across"]
    same = search(store, replace(SWEEP, **changes)).ledger.folder == search(store).ledger.folder
    assert same == (field in BESIDE)


# Scales


def wide_space(trial):
    method = HiCLR(
        queue=trial.suggest_categorical("queue", [64, 128]),
        tau=trial.suggest_float("tau", 0.05, 0.3),
        mining_from=trial.suggest_int("mining_from", 140, 160),
    )
    return replace(TRIAL, method=method, epochs=300, batch_size=trial.suggest_categorical("batch_size", [16, 64]))


def two_methods(trial):
    own = {"lambda_h": trial.suggest_float("lambda_h", 0.1, 1.0)} if trial.suggest_categorical("h", [True, False]) else {}
    return replace(TRIAL, method=HiCLR(queue=32, **own) if own else SkeletonCLR(queue=32), epochs=9)


def mined_space(trial):
    return replace(TRIAL, method=HiCLR(queue=32, mining_from=trial.suggest_int("mining_from", 140, 160)), epochs=300)


@pytest.mark.parametrize(
    ("space", "scale", "said"),
    [
        (wide_space, {"changes": (("tau", "0.1"),)}, "suggests method.tau, which would be the same in all .* --set tau=0.1"),
        (wide_space, {"changes": (("method.tau", 0.1),)}, "suggests method.tau"),
        (wide_space, {"changes": (("queue", 64),)}, "suggests method.queue"),
        (wide_space, {"changes": (("batch_size", 64),)}, "suggests batch_size"),
        (
            wide_space,
            {"small": True},
            "suggests batch_size, which would be the same in all samples with --demo",
        ),
        (mined_space, {"epochs": 4}, "suggests method.mining_from, in which samples would no longer differ with --epochs 4"),
        (two_methods, {"changes": (("lambda_h", 1.0),)}, "no field 'lambda_h'"),
    ],
)
def test_no_scale_makes_the_samples_of_a_search_alike(store, space, scale, said):
    with pytest.raises(UserError, match=said):
        search(store, Sweep(space=space, samples=3), scale=Scale(**scale))


def test_a_scale_may_set_what_the_space_leaves_alone(store):
    made = search(store, Sweep(space=wide_space, samples=3), scale=Scale(changes=(("dim", 8), ("m", 0.9))))
    assert made.trial(made.propose()).method.dim == 8


def test_a_ledger_is_of_the_space_with_all_that_it_reads(store, monkeypatch):
    """Another constant is another search: its samples are others, whatever their parameters."""
    before = search(store).ledger.folder
    assert search(store).ledger.folder == before
    monkeypatch.setitem(SIMILARITIES, "another", SIMILARITIES["kl"])
    assert search(store).ledger.folder != before
