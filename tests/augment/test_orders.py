"""Arrangements: every one once, the published ones among them, equal ones under one label."""

from itertools import permutations

import pytest

from skelray import BA, DAE, NA, AdaIN, AugmentationSet, Mask, orders
from skelray.checks import UserError
from skelray.identity.canonical import canonical, digest

ORDERED_PARTITIONS = {1: 1, 2: 3, 3: 13, 4: 75, 5: 541}  # Fubini numbers


@pytest.mark.parametrize("count", ORDERED_PARTITIONS)
def test_as_many_as_there_are_ordered_partitions(count):
    found = orders([BA, NA, Mask, DAE, AdaIN][:count])
    assert len(found) == ORDERED_PARTITIONS[count]
    assert len({digest(canonical(arrangement)) for arrangement in found.values()}) == len(found)


def test_the_rows_of_hiclr_table_2_are_there_as_its_study_writes_them():
    found = orders([BA, NA, Mask])
    assert found["BA, NA, Mask"] == (BA, NA, Mask)
    assert found["NA, BA, Mask"] == (NA, BA, Mask)
    assert found["Mask, BA, NA"] == (Mask, BA, NA)
    assert found["BA+NA, Mask"] == (BA + NA, Mask)
    assert found["BA, NA+Mask"] == (BA, NA + Mask)
    assert next(iter(found)) == "BA, NA, Mask"


def test_without_merges_they_are_the_permutations():
    assert set(orders([BA, NA, Mask], merge=False).values()) == set(permutations([BA, NA, Mask]))


def test_k_bounds_the_branches():
    assert {len(one) for one in orders([BA, NA, Mask, DAE], k=2).values()} == {1, 2}
    assert len(orders([BA, NA, Mask, DAE], k=2)) == 1 + 14  # all at once; a first branch of 1, 2 or 3 of the four
    assert orders([BA, NA, Mask], k=9) == orders([BA, NA, Mask])
    with pytest.raises(UserError, match="no arrangement of 2 branches"):
        orders([BA, NA, Mask], k=2, merge=False)


def test_partial_ones_leave_sets_out():
    found = orders([BA, NA, Mask], partial=True)
    assert len(found) == 13 + 3 * 3 + 3
    assert found["NA"] == (NA,)
    assert found["NA, BA"] == (NA, BA)


def test_what_is_written_two_ways_stands_there_once():
    """A merge beside its parts: BA+NA is what both enter together, whichever way it is written."""
    found = orders([BA, NA, BA + NA], k=1, partial=True)
    assert sum(one == (BA + NA,) for one in found.values()) == 1
    assert "NA+BA" not in found


@pytest.mark.parametrize("sets", [[], [BA, BA], [BA, "NA"], [BA, AugmentationSet("BA", NA.augmentations)]], ids=len)
def test_what_is_no_list_of_different_sets_is_refused(sets):
    with pytest.raises(UserError, match="set"):
        orders(sets)


def test_a_label_says_one_thing():
    """Two arrangements under one label would make one of two in a search space."""
    odd = AugmentationSet("BA+NA", Mask.augmentations)
    with pytest.raises(UserError, match="BA\\+NA"):
        orders([BA, NA, odd])
