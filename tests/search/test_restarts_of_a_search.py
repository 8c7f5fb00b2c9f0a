"""A search that was killed and started again: it proposes and stops as one that ran through."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mortal import Killed, Mortal
from test_search import SWEEP, drive, ledger, other_space, read, search, train

from skelray.evaluation import KNN
from skelray.store.store import Store
from skelray.study.samplers import TPE
from skelray.study.scale import Scale
from skelray.study.stopping import ASHA

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
