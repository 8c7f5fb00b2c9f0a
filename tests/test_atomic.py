"""Files are replaced at once, several together, and nothing is left beside them."""

import pytest

from skelray.atomic import replacing


def test_all_are_replaced_once_all_are_written(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("old")
    with replacing(one, other) as (first, second):
        first.write_text("new")
        assert one.read_text() == "old"
        second.write_text("new too")
    assert (one.read_text(), other.read_text()) == ("new", "new too")
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_what_cannot_be_written_whole_leaves_everything_as_it_was(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("old")

    def fail():
        with replacing(one, other) as (first, _):
            first.write_text("new")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert one.read_text() == "old"
    assert list(tmp_path.iterdir()) == [one]
