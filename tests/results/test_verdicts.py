"""What a contrast may claim, by the tables of reference, by hand, and by simulation."""

import math

import numpy as np
import pytest
from click.testing import CliRunner
from result_rows import frame, seeds
from scipy import stats

from skelray.cli.main import cli
from skelray.report.verdict_table import verdict_table
from skelray.results import tables
from skelray.results.verdicts import (
    bca,
    detectable,
    holm,
    improvement,
    judge,
    of_table,
    seeds_to_pass,
    seeds_to_see,
    sign_flip,
    t_interval,
)


@pytest.mark.parametrize(
    ("sd", "n", "alone", "of_four"),
    [(1, 3, 3.3, 6.55), (1, 5, 1.7, 2.5), (1, 8, 1.2, 1.5), (1, 20, 0.7, 0.8), (3, 5, 5.0, 7.4), (3, 10, 3.0, 3.9)],
)
def test_what_few_seeds_can_see(sd, n, alone, of_four):
    assert detectable(n, sd) == pytest.approx(alone, abs=0.05)
    assert detectable(n, sd, 0.05 / 4) == pytest.approx(of_four, abs=0.05)


def test_power_is_what_a_simulation_finds():
    shift = detectable(6, 2.0)
    draws = np.random.default_rng(0).normal(shift, 2.0, (20_000, 6))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("family", "seeds"), [(1, 6), (2, 7), (4, 8), (6, 8), (9, 9), (10, 9), (12, 9), (13, 10)])
def test_seeds_that_the_sign_flip_test_needs(family, seeds):
    assert seeds_to_pass(family) == seeds


def test_seeds_to_see_is_the_fewest():
    n = seeds_to_see(1.0, 3.0, family=4)
    assert detectable(n, 3.0, 0.05 / 4) <= 1.0 < detectable(n - 1, 3.0, 0.05 / 4)


def test_sign_flip_is_the_share_of_signs_that_are_as_far_out():
    d = np.array([0.3, -0.1, 0.4, 0.2])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    assert sign_flip(d) == pytest.approx((np.abs((signs * d).mean(1)) >= abs(d.mean()) - 1e-12).mean())
    assert sign_flip(np.array([0.5])) == 1.0
    assert math.isnan(sign_flip(np.array([])))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([math.nan, 0.02]) == pytest.approx([1.0, 0.04])
    assert holm([]) == []


def test_verdicts_by_what_the_seeds_say():
    rng = np.random.default_rng(1)
    base = 0.7 + rng.normal(0, 0.02, 10)
    better, same, noisy = (base + rng.normal(mean, sd, 10) for mean, sd in ((0.05, 0.004), (0, 0.002), (0.01, 0.04)))
    words = [v.word for v in judge([(better, base), (base, better), (same, base), (noisy, base)])]
    assert words == ["helps", "hurts", "equivalent", "undecided"]


def test_three_seeds_decide_nothing_however_clear():
    (verdict,) = judge([([0.9, 0.91, 0.93], [0.1, 0.12, 0.11])])
    assert verdict.word == "not attainable"
    assert "6 are needed" in verdict.reason


def test_one_pair_and_none_have_a_verdict_all_the_same():
    for verdict in judge([([0.8], [0.7]), ([], [])]):
        assert verdict.word == "not attainable"
        assert math.isnan(verdict.sd)


def test_undecided_says_how_many_more_seeds_only_where_more_would_do():
    rng = np.random.default_rng(3)
    base = rng.normal(0.7, 0.01, 20)
    near = judge([(base + rng.normal(0.0068, 0.01, 20), base)] * 20)[0]
    assert "more seeds" in judge([(base[:8] + rng.normal(0.002, 0.02, 8), base[:8])])[0].reason
    assert "more seeds" not in judge([(base[:8] + rng.normal(0.002, 0.02, 8), base[:8])], margin=0.0)[0].reason
    assert near.word != "undecided" or " 0 more" not in near.reason


def test_improvement_counts_pairs_of_runs():
    assert improvement([1, 2, 3], [0, 2, 2]) == pytest.approx(6 / 9)  # (1>0), (2>0, 2=2, 2=2: 2), (3: 3)
    assert improvement([1, 1], [1, 1]) == 0.5


@pytest.mark.slow
def test_intervals_cover_and_families_are_wrong_at_most_one_time_in_twenty():
    rng = np.random.default_rng(2)
    covered = [low <= 0 <= high for low, high in (t_interval(d) for d in rng.normal(0, 1, (2000, 8)))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    covered = [low <= 0 <= high for low, high in (bca(d) for d in rng.normal(0, 1, (2000, 100)))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    wrong = 0
    for _ in range(500):
        base = rng.normal(0, 1, 8)
        arms = [(base * 0.5 + rng.normal(0, 1, 8), base * 0.5) for _ in range(3)]
        wrong += any(v.word in ("helps", "hurts") for v in judge(arms))
    assert wrong / 500 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)


EIGHT = [0.70, 0.72, 0.71, 0.69, 0.73, 0.70, 0.71, 0.72]
NOISE = [0.05, 0.06, 0.04, 0.05, 0.055, 0.045, 0.05, 0.06]


def table():
    better = [value + gain for value, gain in zip(EIGHT, NOISE, strict=True)]
    return frame(
        [
            *(one for protocol in ("xsub", "xview") for one in seeds(*EIGHT, arm="first", protocol=protocol)),
            *(one for protocol in ("xsub", "xview") for one in seeds(*better, arm="better", protocol=protocol)),
            *seeds(*EIGHT[:3], arm="few"),
        ]
    )


def test_a_table_has_a_verdict_for_each_contrast_in_one_family():
    found = of_table(table())
    assert list(zip(found["arm"], found["protocol"], found["word"], found["n"], strict=True)) == [
        ("better", "xsub", "helps", 8),
        ("better", "xview", "helps", 8),
        ("few", "xsub", "equivalent", 3),
    ]
    assert found["holm"][0] == pytest.approx(3 * 2 / 2**8)
    assert set(found["baseline"]) == {"first"}


def test_a_failed_seed_is_in_no_pair_and_one_arm_has_no_contrast():
    rows = frame([*seeds(0.5, 0.6, 0.7, arm="a"), *seeds(0.5, None, 0.7, arm="b")])
    assert of_table(rows)["n"].tolist() == [2]
    assert of_table(rows[rows["arm"] == "a"]).empty


def test_what_varies_within_an_arm_is_shown():
    rows = [
        one | {"trial": f"{one['trial']}/{k}", "cell": f'{{"k": {k}}}'}
        for k in (2, 3)
        for one in (*seeds(*EIGHT, arm="first"), *seeds(*EIGHT, arm="second"))
    ]
    shown = verdict_table(frame(rows), 0.01)
    assert shown.header[0] == "k"
    assert [row[0] for row in shown.rows] == ["2", "3"]


def test_the_command_prints_them_and_a_frame_has_them(tmp_path):
    import skelray

    tables.write("arrangement", table().to_dict("records"), [], tmp_path)
    said = CliRunner().invoke(cli, ["report", "arrangement", "--results", str(tmp_path), "--verdicts", "--margin", "0.5"])
    assert said.exit_code == 0, said.output
    assert "| better | xsub     | linear     | helps" in said.output
    assert "margin 0.5 points" in said.output
    assert skelray.verdicts("arrangement", tmp_path)["word"].tolist() == ["helps", "helps", "equivalent"]
