"""What a stopping rule can save at most, by hand."""

from dataclasses import dataclass

import pytest

from skelray.search.saving import saved_at_most
from skelray.study.stopping import ASHA, HyperBand, Median, Never, Patience, Threshold


@dataclass(frozen=True)
class Failing:
    grace: int = 25

    def verdict(self, readings, sample, epoch):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("rule", "samples", "published", "saved"),
    [
        (Never(), 8, False, 0),
        (ASHA(grace=25), 8, False, 7 * 275),  # the first that arrives goes on
        (Threshold(least=0.2, grace=25), 8, False, 8 * 275),
        (Threshold(least=0.2, grace=25), 8, True, 7 * 275),  # but for the published setting
        (Median(grace=25, startup=5), 8, False, 3 * 275),  # nobody is stopped before five have come there
        (Median(grace=25, startup=5, after=2), 8, False, 3 * 225),
        (Patience(readings=4, grace=25), 8, False, 8 * 175),
        (HyperBand(grace=25, brackets=2), 8, False, 5 * 275 + 225),  # six samples from epoch 25, two from 75
        (ASHA(grace=25), 0, False, 0),
        (Failing(), 8, False, None),
    ],
)
def test_where_nobody_learns(rule, samples, published, saved):
    assert saved_at_most(rule, samples, 300, published) == saved


def test_what_waits_is_saved_until_it_is_promoted():
    saved = saved_at_most(ASHA(grace=100, reduction=2, promotion=True), 4, 300)
    assert 0 < saved < 4 * 200
