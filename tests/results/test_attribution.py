"""Effects of a factorial's parts: by hand, by their closed forms, and as tables."""

import itertools

import numpy as np
import pytest
from result_rows import frame, seeds

from skelray.report.effects_table import effects_table
from skelray.report.text import report_text
from skelray.results.attribution import effect, effects_of_frame, shapley
from skelray.results.inference import t_interval
from skelray.study.notes import Notes

ON = {"none": (), "A": ("A",), "B": ("B",), "A + B": ("A", "B")}
VALUES = {"none": [0.50, 0.52, 0.51], "A": [0.60, 0.63, 0.59], "B": [0.52, 0.53, 0.54], "A + B": [0.68, 0.70, 0.66]}


def rows(values=VALUES, **changes):
    made = frame([one for arm, own in values.items() for one in seeds(*own, arm=arm, **changes)])
    made.attrs["notes"] = Notes((), parts=ON).as_json()
    return made


def test_two_parts_by_hand():
    a, b, both = effects_of_frame(rows()).to_dict("records")
    none, with_a, with_b, full = (np.array(VALUES[arm]) for arm in ON)
    assert (a["effect"], b["effect"], both["effect"]) == ("A", "B", "A x B")
    assert a["mean"] == pytest.approx(((with_a - none) + (full - with_b)).mean() / 2)
    assert both["mean"] == pytest.approx((full - with_a - with_b + none).mean())
    assert (a["alone"], a["last"]) == (pytest.approx((with_a - none).mean()), pytest.approx((full - with_b).mean()))
    assert a["shapley"] == pytest.approx(a["mean"])  # of two parts they are the same
    assert a["shapley"] + b["shapley"] == pytest.approx((full - none).mean())
    assert a["n"] == 3


def test_shapley_is_the_mean_over_all_orders_and_adds_up():
    k = 4
    v = np.random.default_rng(0).normal(size=(5, 2**k))
    for i in range(k):
        gains = []
        for order in itertools.permutations(range(k)):
            before = sum(1 << j for j in order[: order.index(i)])
            gains.append(v[:, before | 1 << i] - v[:, before])
        assert shapley(v, i) == pytest.approx(np.mean(gains, axis=0))
    assert sum(shapley(v, i) for i in range(k)) == pytest.approx(v[:, -1] - v[:, 0])


def test_effects_of_a_known_function():
    """v = 2 x0 + 3 x1 x2: a part that stands alone has no interaction, and two that need each other share what they earn."""
    k = 3
    on = np.array([[s >> i & 1 for i in range(k)] for s in range(2**k)])
    v = (2 * on[:, 0] + 3 * on[:, 1] * on[:, 2])[None].astype(float)
    assert [effect(v, (i,))[0] for i in range(k)] == pytest.approx([2, 1.5, 1.5])
    assert [shapley(v, i)[0] for i in range(k)] == pytest.approx([2, 1.5, 1.5])
    assert [effect(v, pair)[0] for pair in itertools.combinations(range(k), 2)] == pytest.approx([0, 0, 3])
    assert effect(v, (0, 1, 2))[0] == pytest.approx(0)


def test_a_seed_counts_where_all_arms_have_it():
    values = {**VALUES, "B": [0.52, None, 0.54]}
    assert set(effects_of_frame(rows(values))["n"]) == {2}
    assert effects_of_frame(rows({arm: own for arm, own in VALUES.items() if arm != "B"})).empty


def test_effects_are_judged_as_one_family():
    rng = np.random.default_rng(1)
    base = rng.normal(0.5, 0.01, 8)
    values = {"none": base, "A": base + 0.05 + rng.normal(0, 0.003, 8), "B": base + rng.normal(0, 0.003, 8)}
    values["A + B"] = values["A"] + values["B"] - base + rng.normal(0, 0.001, 8)
    found = effects_of_frame(rows({arm: own.tolist() for arm, own in values.items()}))
    assert found["word"].tolist() == ["helps", "equivalent", "equivalent"]
    assert set(found["family"]) == {3}


def test_the_report_of_a_factorial_has_effects_in_place_of_contrasts():
    said = report_text(rows())
    assert "| A     | xsub linear |" in said
    assert "Shapley" in said
    assert "Minus" not in said
    assert effects_table(frame(seeds(0.5, 0.6, arm="a"))) is None


@pytest.mark.slow
def test_intervals_of_effects_and_shapley_values_cover():
    """2000 simulated studies of three parts and five seeds; an arm's noise is its own."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=8)
    hits = {"effect": 0, "shapley": 0}
    for _ in range(2000):
        v = truth + rng.normal(0, 1, (5, 8))
        for name, of, true in (
            ("effect", effect(v, (1,)), effect(truth[None], (1,))[0]),
            ("shapley", shapley(v, 1), shapley(truth[None], 1)[0]),
        ):
            low, high = t_interval(of)
            hits[name] += low <= true <= high
    for count in hits.values():
        assert count / 2000 == pytest.approx(0.95, abs=0.01)
