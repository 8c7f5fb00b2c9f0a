"""Searches: the published point first, and a search that was killed ends like one that ran through."""

import json
import random
import shutil
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mortal import Killed, Mortal
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


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    searching = search(Store(tmp_path_factory.mktemp("whole")))
    drive(searching)
    return searching


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


# Killed and started again


@given(kills=st.lists(st.tuples(st.integers(1, 25), st.booleans()), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_search_killed_at_any_write_ends_like_one_that_ran_through(undisturbed, tmp_path_factory, kills):
    root = tmp_path_factory.mktemp("killed")
    for at, after in kills:
        try:
            drive(search(Mortal(root, at, after)))
        except Killed:
            continue
        break
    searching = search(Store(root))
    drive(searching)
    assert ledger(searching) == ledger(undisturbed)
    assert ledger(search(Store(root))) == ledger(undisturbed)  # and as read back


def test_a_rebuilt_search_proposes_the_same_next_sample(tmp_path):
    running = search(Store(tmp_path / "running"))
    for number in range(6):
        if number:
            shutil.copytree(tmp_path / "running", tmp_path / f"copy{number}")
        rebuilt = search(Store(tmp_path / f"copy{number}"))
        assert ledger(rebuilt) == ledger(running)
        sample = running.propose()
        assert rebuilt.propose().params == sample.params
        train(running, sample)


def test_verdicts_are_the_same_after_a_rebuild(store):
    running = search(store)
    for value in (0.5, 0.7, 0.6, 0.8):
        read(running, running.propose(), 1, value, {})
    verdicts = [read(running, s, 1, s.rungs[1], {}) for s in running.samples.values()]
    rebuilt = search(store)
    assert [read(rebuilt, s, 1, s.rungs[1], {}) for s in rebuilt.samples.values()] == verdicts
    assert verdicts == [True, True, False, True]  # the first is the published one


def test_samples_under_way_and_failed_are_taken_up_again(store):
    running = search(store)
    for status in ("done", "failed", "running", "stopped"):
        sample = running.propose()
        read(running, sample, 1, 0.3, {})
        if status != "running":
            running.end_sample(sample, status)
    later = search(store)
    unfinished = later.unfinished()
    assert [s.number for s in unfinished] == [1, 2]
    later.restart(unfinished[0])
    assert unfinished[0].status == "running"
    assert search(store).samples[1].status == "running"
    assert unfinished[0].params == running.samples[1].params
    assert unfinished[0].rungs == {1: 0.3}


def test_a_failed_sample_does_not_count_for_the_best_nor_disturb_the_sampler(store):
    running = search(store)
    for _ in range(5):
        running.end_sample(running.propose(), "failed")  # without a reading
    assert running.best() is None
    assert running.propose().number == 5


def test_numbers_come_back_to_the_last_digit(store):
    running = search(store)
    sample = running.propose()
    value = 0.1 + 0.2
    read(running, sample, 1, value, {"device": "cpu"})
    read(running, sample, 10, 1 / 3, {"device": "cpu"})
    (found,) = search(store).samples.values()
    assert found == sample
    assert found.rungs == {1: value, 10: 1 / 3}
    assert found.value == 1 / 3  # of epoch 10, which is after 1 though "10" < "2"
    assert found.provenance == {"device": "cpu"}


def test_more_samples_later_go_on_where_fewer_ended(store, undisturbed):
    drive(search(store, replace(SWEEP, samples=3)))
    more = search(store)
    assert len(more.samples) == 3
    drive(more)
    assert ledger(more) == ledger(undisturbed)
    fewer = search(store, replace(SWEEP, samples=2))
    assert fewer.propose() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another study"},
        {"data": "other data"},
        {"scale": Scale(epochs=5)},
        {"scale": Scale(seeds=(1,))},
        {"sweep": replace(SWEEP, space=other_space)},
        {"sweep": replace(SWEEP, sampler=TPE(seed=1))},
        {"sweep": replace(SWEEP, stopping=ASHA(grace=2))},
        {"sweep": replace(SWEEP, monitor=KNN(k=5))},
        {"sweep": replace(SWEEP, published={})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_search_has_a_ledger_of_its_own(store, changes):
    search(store).propose()
    other = search(store, **changes)
    assert other.samples == {}
    other.propose()
    assert len(search(store).samples) == 1


def test_a_space_that_takes_from_elsewhere_is_another_search_when_that_changes(store, monkeypatch):
    search(store).propose()
    monkeypatch.setitem(globals(), "TRIAL", replace(TRIAL, batch_size=9))
    assert search(store).samples == {}
    monkeypatch.undo()
    assert len(search(store).samples) == 1


def test_the_number_of_samples_is_no_other_search(store):
    search(store).propose()
    assert len(search(store, scale=Scale(samples=3)).samples) == 1
    assert len(search(store, replace(SWEEP, samples=99)).samples) == 1


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "binary": lambda content: bytes(range(256)),
    "a list": lambda content: b"[1, 2]",
    "another record": lambda content: b'{"cause": "diverged"}',
    "wrong types": lambda content: content.replace(b'"running"', b"7").replace(b'"done"', b"7").replace(b'"stopped"', b"7"),
    "another number": lambda content: content.replace(b'"number": 3', b'"number": 4'),
    "outside the space": lambda content: content.replace(b'"k": ', b'"k": 9'),
    "deleted": None,
}


def damage(store, name, how):
    if DAMAGE[how] is None:
        store.remove(name)
    elif (content := store.read(name)) is not None:
        store.write(name, DAMAGE[how](content))


@pytest.mark.parametrize("copy", [True, False], ids=["with its copy", "without"])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_lost_line_comes_back_as_it_was(tmp_path, undisturbed, caplog, how, copy):
    store = Store(tmp_path)
    drive(search(store))
    searching = search(store)
    for number in (3, 6):
        name = f"{number:06d}.json"
        damage(store, f"{searching.ledger.folder}/{name}", how if number == 3 else "empty")
        if not copy:
            damage(store, f"{searching.ledger.folder}/copies/{name}", how if number == 3 else "empty")
    again = search(store)
    assert set(again.samples) == {0, 1, 2, 4, 5}
    assert sum("000003.json is damaged" in said for said in caplog.messages) == (how != "deleted")
    drive(again)
    assert ledger(again) == ledger(undisturbed) == ledger(search(store))
    assert f"{name}.damaged" in store.names(searching.ledger.folder)


def test_a_reading_is_judged_once(store):
    """Neither after a restart, nor when it is replayed, though better ones have come since."""
    running = search(store)
    first, second, third = (running.propose() for _ in range(3))
    assert read(running, first, 1, 0.5, {})
    assert read(running, second, 1, 0.6, {})  # the best of two so far
    assert read(running, third, 1, 0.9, {})
    assert read(running, second, 1, 0.6, {})  # a lost worker's
    later = search(store)
    assert read(later, later.samples[1], 1, 0.6, {})
    fourth = later.propose()
    assert not read(later, fourth, 1, 0.1, {})
    for number in (4, 5):
        read(later, later.propose(), 1, 0.01 * number, {})
    again = search(store)
    assert not read(again, again.samples[3], 1, 0.1, {})
    assert again.samples[3].verdicts == {0: {1: "stop"}}


def test_a_ledger_entry_that_was_deleted_is_proposed_again_and_no_other_touched(store):
    first = search(store)
    for _ in range(4):
        sample = first.propose()
        sample.readings[0] = {1: 0.5}
        first.end_sample(sample, "done")
    kept = {n: (s.params, s.status) for n, s in first.samples.items()}
    store.remove(f"{first.ledger.folder}/000001.json")
    again = search(store)
    found = again.propose()
    assert (found.number, found.params) == (1, kept.pop(1)[0])
    assert {n: (s.params, s.status) for n, s in again.samples.items() if n != 1} == kept


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
