"""Tables of one study from several places become one, by the content of their rows."""

import pytest
from result_rows import row

from skelray.checks import UserError
from skelray.results.merge import merge
from skelray.results.tables import curves, load, write_table

NAN = float("nan")


def line(trial, value):
    return {"trial": trial, "epoch": 1, "metric": "loss", "value": value, "seconds": value}


def made(folder, *rows, lines=()):
    write_table("arrangement", rows, lines, folder)
    return folder


@pytest.fixture
def places(tmp_path):
    return [tmp_path / name for name in ("into", "one", "two")]


def test_rows_of_all_places_stand_once(places):
    into, one, two = places
    made(into, row(trial="a", value=0.5), lines=[line("a", 1.0)])
    made(one, row(trial="a", value=0.5, seconds=99.0), row(trial="b", value=0.25), lines=[line("a", 7.0), line("b", 2.0)])
    made(two, row(trial="c", value=0.75))
    done = merge("arrangement", [one, two], into)
    table = load("arrangement", into)
    assert (done.rows, done.new, done.replaced) == (3, 2, 0)
    assert dict(zip(table["trial"], table["value"], strict=True)) == {"a": 0.5, "b": 0.25, "c": 0.75}
    assert table.set_index("trial").seconds["a"] == row()["seconds"]  # the row that was there stays
    assert dict(zip(curves("arrangement", into)["trial"], curves("arrangement", into)["value"], strict=True)) == {
        "a": 1.0,
        "b": 2.0,
    }


def test_a_merge_done_twice_changes_nothing(places):
    into, one, _ = places
    made(one, row(trial="a"), row(trial="b"), lines=[line("b", 2.0)])
    merge("arrangement", [one], into)
    before = {path.name: path.read_bytes() for path in into.iterdir()}
    assert merge("arrangement", [one], into).new == 0
    assert {path.name: path.read_bytes() for path in into.iterdir()} == before
    assert {path.name: path.read_bytes() for path in one.iterdir()} == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_done_row_stands_for_one_that_failed(places, order):
    into, *sources = places
    made(sources[0], row(trial="a", status="failed", value=NAN, error="out of memory"), lines=[line("a", 3.0)])
    made(sources[1], row(trial="a", value=0.5), lines=[line("a", 4.0)])
    merge("arrangement", [sources[place] for place in order], into)
    table = load("arrangement", into)
    assert list(table["status"]) == ["done"]
    assert list(table["error"]) == [""]


def test_a_failure_does_not_stand_for_a_done_row(places):
    into, one, _ = places
    made(into, row(trial="a", value=0.5))
    made(one, row(trial="a", status="failed", value=NAN, error="out of memory"))
    assert merge("arrangement", [one], into).replaced == 0
    assert list(load("arrangement", into)["value"]) == [0.5]


@pytest.mark.parametrize(("name", "other"), [("value", 0.75), ("published", 0.5), ("cell", '{"tau": 1}')])
def test_two_done_rows_that_differ_are_named_and_nothing_is_written(places, name, other):
    into, one, _ = places
    made(into, row(trial="a", value=0.5))
    made(one, row(trial="b"), row(**{"trial": "a", "value": 0.5, name: other}))
    before = (into / "arrangement.parquet").read_bytes()
    with pytest.raises(UserError, match=rf"{name} is .*trial a, .*nothing is merged"):
        merge("arrangement", [one], into)
    assert (into / "arrangement.parquet").read_bytes() == before


def test_arms_keep_their_order_and_new_ones_follow_their_neighbours(places):
    into, one, two = places
    made(into, row(trial="a", arm="first"), row(trial="b", arm="third"))
    made(one, row(trial="a", arm="first"), row(trial="c", arm="second"), row(trial="b", arm="third"))
    made(two, row(trial="d", arm="fourth"))
    merge("arrangement", [one, two], into)
    assert list(load("arrangement", into)["arm"]) == ["first", "second", "third", "fourth"]


def test_a_folder_without_the_study_is_said(places):
    into, one, _ = places
    made(one, row())
    with pytest.raises(UserError, match="no results of a study 'streams'"):
        merge("streams", [one], into)
    assert not into.exists()
