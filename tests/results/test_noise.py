"""Two kinds of noise: intervals over seeds and test subjects together, and two rows on the same test sequences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from stored_streams import keep
from tiny import TRIAL

from skelray.evaluation import KNN
from skelray.report.noise_table import noise_table
from skelray.results import tables
from skelray.results.noise import both_interval, by_subject, mcnemar, noise_of_frame
from skelray.results.rows import cell_rows
from skelray.store.store import Store
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm

STUDY = Ablation(base=replace(TRIAL, evaluations=(KNN(),)), arms=[Arm("plain"), Arm("better", {"lr": 0.3})], seeds=range(4))


def stored(folder, subjects=True):
    """A table of two arms whose scores are made up: the second gets more right, of eight subjects."""
    store, rng = Store(str(folder)), np.random.default_rng(0)
    labels, who = np.arange(80) % 4, np.arange(80) // 10
    rows = []
    for cell in STUDY.cells():
        scores = rng.normal(size=(80, 4))
        scores[np.arange(80), labels] += 1 + (cell.arm == "better") * 0.3 * who
        arrays = {"scores": scores.astype(np.float32), "labels": labels, "rows": np.arange(80)}
        keep(store, cell.trial, KNN(), {**arrays, **({"subjects": who} if subjects else {})})
        rows += cell_rows("s", cell, store, "d")
    tables.write_table("s", rows, [], folder, STUDY.notes())
    return tables.load("s", folder), store


def test_both_intervals_of_stored_scores(tmp_path):
    frame, store = stored(tmp_path)
    (one,) = noise_of_frame(frame, store, None).to_dict("records")
    assert (one["n"], one["subjects"], one["missing"]) == (4, 8, "")
    assert one["both_low"] < one["low"] < one["mean"] < one["high"] < one["both_high"]
    assert one["mean"] == pytest.approx((one["more"] - one["fewer"]) / 80)
    made = noise_table(frame, store, None)
    assert "over seeds and subjects, how far other people would" in made.caption
    assert made.rows[0][0] == "better – plain"


def test_scores_without_subjects_say_what_they_lack(tmp_path):
    frame, store = stored(tmp_path, subjects=False)
    (one,) = noise_of_frame(frame, store, None).to_dict("records")
    assert one["missing"] == "the subjects of the test sequences are not stored"
    assert one["mcnemar"] == one["mcnemar"]
    (bare,) = noise_of_frame(frame, Store(str(tmp_path / "empty")), None).to_dict("records")
    assert bare["missing"] == "no scores are stored"
    assert bare["low"] == one["low"]


def test_mcnemar_is_a_binomial_test_of_what_only_one_gets_right():
    assert mcnemar(9, 2) == stats.binomtest(9, 11).pvalue
    assert mcnemar(0, 0) == 1


def test_one_kind_of_noise_alone_is_its_own_t_interval():
    rng = np.random.default_rng(2)
    sizes = np.full(7, 10)
    seeds = rng.normal(0.1, 1, (5, 1)) * sizes  # no subject differs from another
    told = stats.t.interval(0.95, 4, seeds[:, 0].mean() / 10, stats.sem(seeds[:, 0] / 10))
    assert both_interval(np.broadcast_to(seeds, (5, 7)), sizes) == pytest.approx(told)
    people = np.broadcast_to(rng.normal(0.1, 1, 7) * 10, (5, 7))  # no seed differs from another
    told = stats.t.interval(0.95, 6, people[0].mean() / 10, stats.sem(people[0] / 10))
    assert both_interval(people, sizes) == pytest.approx(told)
    assert np.isnan(both_interval(people[:1], sizes)).all()


def test_sums_by_subject_by_hand():
    sums, sizes = by_subject(np.array([[1.0, 0.0, -1.0], [1.0, 1.0, 0.0]]), np.array([7, 3, 7]))
    assert sums.tolist() == [[0, 0], [1, 1]]
    assert sizes.tolist() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "people", "sd"), [(3, 20, (1, 1, 1)), (5, 20, (3, 3, 2)), (8, 40, (2, 5, 5))])
def test_the_interval_over_seeds_and_subjects_covers(seeds, people, sd):
    """2000 simulated studies each, subjects with 20 to 60 sequences. Where both kinds of noise are alike it covers more."""
    rng, hits = np.random.default_rng(seeds), 0
    for _ in range(2000):
        sizes = rng.integers(20, 60, people)
        d = rng.normal(0, sd[0], (seeds, 1)) + rng.normal(0, sd[1], (1, people)) + rng.normal(0, sd[2], (seeds, people))
        low, high = both_interval(d * sizes, sizes)
        hits += low <= 0 <= high
    assert 0.93 <= hits / 2000 <= 0.98
