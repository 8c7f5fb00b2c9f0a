import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import frame, row, seeds

from skelray.results.statistics import against, cell_columns, paired, summary, t_quantile


def test_mean_sd_and_n_of_each_arm():
    table = summary(frame([*seeds(0.70, 0.72, 0.77, arm="b", published=0.8), *seeds(0.5, arm="a")]))
    assert list(table["arm"]) == ["b", "a"]
    assert table["mean"].tolist() == pytest.approx([0.73, 0.5])
    assert table["sd"][0] == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert math.isnan(table["sd"][1])
    assert table["n"].tolist() == [3, 1]
    assert table["published"][0] == 0.8
    assert math.isnan(table["published"][1])


def test_failed_trials_count_as_failed_and_stopped_ones_not_at_all():
    rows = [*seeds(0.5, None, 0.7, None), row(trial="s", seed=9, status="stopped", value=0.1)]
    (cell,) = summary(frame(rows)).to_dict("records")
    assert (cell["mean"], cell["n"], cell["failed"]) == (pytest.approx(0.6), 2, 2)


@pytest.mark.parametrize(
    "column", ["study", "benchmark", "protocol", "stream", "backbone", "evaluation", "metric", "epochs"]
)
def test_settings_are_never_pooled(column):
    other = 10 if column == "epochs" else "other"
    table = summary(frame([row(value=0.5), row(value=0.7, trial="t1", **{column: other})]))
    assert table["n"].tolist() == [1, 1]


def test_a_scalar_that_varies_within_an_arm_is_a_setting():
    rows = [
        row(trial=f"{arm}{size}", arm=arm, cell=f'{{"batch_size": {size}, "tau": {tau}, "seed": 0}}')
        for arm, tau in (("a", 0.07), ("b", 0.1))
        for size in (128, 256)
    ]
    table = summary(frame(rows))
    assert table["batch_size"].tolist() == [128, 256, 128, 256]
    assert "tau" not in table
    assert len(paired(frame(rows), "a", "b")) == 2


def test_the_last_epoch_of_a_trial_counts():
    rows = [row(epoch=epoch, value=epoch / 1000) for epoch in (100, 300, 200)]
    (cell,) = summary(frame(rows)).to_dict("records")
    assert (cell["mean"], cell["n"]) == (0.3, 1)


def test_a_seed_is_not_counted_twice():
    with pytest.raises(ValueError, match="two trials for seed 0"):
        summary(frame([row(), row(trial="t1")]))


def test_arms_keep_their_order_whatever_the_order_of_rows():
    rows = [row(trial=f"{p}{arm}", arm=arm, protocol=p) for p in ("xsub", "xview") for arm in ("z", "a", "m")]
    table = summary(frame(rows))
    assert list(table["arm"]) == ["z", "z", "a", "a", "m", "m"]
    assert list(table["protocol"]) == ["xsub", "xview"] * 3


def test_differences_are_paired_by_seed():
    rows = [*seeds(0.60, 0.70, 0.80, None, arm="a"), *seeds(0.50, 0.65, 0.72, 0.9, arm="b")]
    (difference,) = paired(frame(rows), "a", "b").to_dict("records")
    values = [0.10, 0.05, 0.08]
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
    assert difference["n"] == 3
    assert difference["mean"] == pytest.approx(np.mean(values))
    assert difference["sd"] == pytest.approx(np.std(values, ddof=1))
    assert (difference["low"], difference["high"]) == (pytest.approx(low), pytest.approx(high))


def test_one_pair_has_no_interval_and_no_pair_no_row():
    one = paired(frame([*seeds(0.6, arm="a"), *seeds(0.5, 0.5, arm="b")]), "a", "b")
    assert one["n"].tolist() == [1]
    assert one[["sd", "low", "high"]].isna().all(axis=None)
    assert paired(frame([*seeds(None, 0.6, arm="a"), *seeds(0.5, arm="b")]), "a", "b").empty


def test_what_an_arm_is_about_does_not_keep_it_from_its_pair():
    rows = [*seeds(0.6, 0.8, arm="a", epochs=50, epoch=50), *seeds(0.5, 0.5, arm="b", epochs=0, epoch=0)]
    (difference,) = paired(frame(rows), "a", "b").to_dict("records")
    assert (difference["epochs"], difference["n"], difference["mean"]) == (50, 2, pytest.approx(0.2))
    longer = [row | {"trial": row["trial"] + "l", "epochs": row["epochs"] + 1} for row in rows]
    assert paired(frame(rows + longer), "a", "b").empty  # under several lengths a seed pairs only at its own


def test_an_unknown_arm_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no arm 'c'; the arms are a, b"):
        paired(frame([*seeds(0.6, arm="a"), *seeds(0.5, arm="b")]), "a", "c")


@given(st.integers(1, 400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_quantiles_are_those_of_the_t_distribution(freedom, confidence):
    assert t_quantile(freedom, confidence) == pytest.approx(scipy.stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-9)


def test_cells_spread_into_columns_of_their_own_type():
    table = cell_columns(pd.Series(['{"k": 3, "tau": 0.07}', '{"k": 2, "names": ["a"]}'], index=[4, 7]))
    assert table["k"].tolist() == [3, 2]
    assert list(table.index) == [4, 7]
    assert table["names"][7] == '["a"]'
    assert math.isnan(table["tau"][7])


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_differences_of_all_arms_are_those_of_each(data):
    """Whatever varies within an arm: an arm may be about its stream, its backbone or its length."""
    rows = []
    for arm in data.draw(st.lists(st.sampled_from("abcd"), min_size=2, max_size=4, unique=True)):
        for stream in data.draw(st.lists(st.sampled_from(["joint", "bone"]), min_size=1, unique=True)):
            for epochs in data.draw(st.lists(st.sampled_from([10, 20]), min_size=1, unique=True)):
                for seed in data.draw(st.lists(st.integers(0, 3), min_size=1, unique=True)):
                    place = {"arm": arm, "stream": stream, "epochs": epochs, "epoch": epochs, "seed": seed}
                    rows.append(row(trial="".join(map(str, place.values())), value=data.draw(st.floats(0, 1)), **place))
    baseline, *arms = dict.fromkeys(one["arm"] for one in rows)
    together = against(frame(rows), baseline, arms)
    apart = [paired(frame(rows), arm, baseline).assign(arm=arm) for arm in arms]
    apart = [one for one in apart if len(one)]
    if not apart:
        assert together.empty
        return
    pd.testing.assert_frame_equal(together, pd.concat(apart, ignore_index=True)[list(together)])
