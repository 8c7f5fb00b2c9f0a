"""What a contrast may claim: its word, its family, what was planned, and how often a table is wrong."""

import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from result_rows import frame, seeds

from skelray.checks import UserError
from skelray.cli.main import cli
from skelray.report.verdict_table import verdict_table
from skelray.results import tables
from skelray.results.verdicts import judge, verdicts_of_frame
from skelray.study.contrasts import Contrast, planned_contrasts
from skelray.study.notes import Notes


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
    found = verdicts_of_frame(table())
    assert list(zip(found["arm"], found["protocol"], found["word"], found["n"], strict=True)) == [
        ("better", "xsub", "helps", 8),
        ("better", "xview", "helps", 8),
        ("few", "xsub", "equivalent", 3),
    ]
    assert found["holm"][0] == pytest.approx(3 * 2 / 2**8)
    assert set(found["baseline"]) == {"first"}


def test_a_failed_seed_is_in_no_pair_and_one_arm_has_no_contrast():
    rows = frame([*seeds(0.5, 0.6, 0.7, arm="a"), *seeds(0.5, None, 0.7, arm="b")])
    assert verdicts_of_frame(rows)["n"].tolist() == [2]
    assert verdicts_of_frame(rows[rows["arm"] == "a"]).empty


def test_what_varies_within_an_arm_is_shown():
    rows = [
        one | {"trial": f"{one['trial']}/{k}", "cell": f'{{"k": {k}}}'}
        for k in (2, 3)
        for one in (*seeds(*EIGHT, arm="first"), *seeds(*EIGHT, arm="second"))
    ]
    shown = verdict_table(frame(rows), 0.01)
    assert shown.header[0] == "k"
    assert [row[0] for row in shown.rows] == ["2", "3"]


def said(rows, *contrasts, **notes):
    rows.attrs["notes"] = Notes(contrasts, **notes).as_json()
    return verdicts_of_frame(rows)


def test_only_what_was_planned_is_tested_and_a_claim_is_answered():
    above, below = (Contrast("better", "first", {"protocol": "xsub"}, claim=claim) for claim in ("above", "below"))
    assert said(table(), above)["claim"].tolist() == ["confirmed"]
    found = said(table(), below, Contrast("few", "better"))
    assert found["claim"].tolist() == ["contradicted", ""]
    assert found["baseline"].tolist() == ["first", "better"]
    assert found["family"].tolist() == [2, 2]


def test_an_arm_may_be_compared_with_itself_elsewhere():
    rows = frame([*seeds(*EIGHT, arm="a", stream="joint"), *seeds(*[v + 0.05 for v in EIGHT], arm="a", stream="bone")])
    rows["trial"] += rows["stream"]
    (one,) = said(rows, Contrast("a", "a", {"stream": "bone"}, {"stream": "joint"})).to_dict("records")
    assert (one["baseline"], one["n"], one["mean"]) == ("a (joint)", 8, pytest.approx(0.05))


def test_a_contrast_may_be_planned_where_nothing_varies_yet():
    rows = table().assign(cell='{"k": 2}')
    assert said(rows, Contrast("better", "first", {"k": 2}))["n"].tolist() == [8, 8]
    assert said(rows, Contrast("better", "first", {"k": 3})).empty
    assert said(rows, Contrast("better", "first", {"tau": 3})).empty


def test_a_contrast_that_has_no_pair_yet_counts_in_its_family():
    contrasts = Contrast("better", "first"), Contrast("few", "better"), Contrast("to come", "first")
    assert said(table(), *contrasts)["family"].tolist() == [4, 4, 4]  # better under two protocols
    rows = table()
    other = frame(seeds(0.5, arm="to come", evaluation="knn"))
    rows = pd.concat([rows, other], ignore_index=True)
    assert said(rows, *contrasts)["family"].tolist() == [3, 3, 3]  # measured, and never by linear evaluation


def test_what_is_planned_by_a_word():
    pairs = [(one.arm, one.other) for one in planned_contrasts("previous", ["a", "b", "c"])]
    assert pairs == [("b", "a"), ("c", "b")]
    assert [(one.arm, one.other) for one in planned_contrasts("first", ["a", "b", "c"])] == [("b", "a"), ("c", "a")]
    for wrong, why in (("last", "'first', 'previous'"), ([Contrast("a", "x")], "names the arm 'x'")):
        with pytest.raises(UserError, match=why):
            planned_contrasts(wrong, ["a", "b"])
    with pytest.raises(UserError, match="planned twice"):
        planned_contrasts([Contrast("a", "b"), Contrast("a", "b", claim="above")], ["a", "b"])
    with pytest.raises(UserError, match="compared with itself"):
        Contrast("a", "a")


def test_a_table_keeps_what_its_study_planned(tmp_path):
    notes = Notes((Contrast("few", "better", {"protocol": "xsub"}, claim="above"),), margin=0.5, looks=(8, 12))
    tables.write_table("arrangement", table().to_dict("records"), [], tmp_path, notes)
    read = tables.load("arrangement", tmp_path)
    assert Notes.of(read.attrs["notes"]) == notes
    assert verdicts_of_frame(read)["arm"].tolist() == ["few"]
    plain = tmp_path / "plain"
    tables.write_table("arrangement", table().to_dict("records"), [], plain, Notes())
    tables.write_table("arrangement", table().to_dict("records"), [], tmp_path)
    assert (plain / "arrangement.parquet").read_bytes() == (tmp_path / "arrangement.parquet").read_bytes()


def wrong_tables(simulations, rng, n=8, arms=4):
    """The share of tables without any effect in which some arm is said to have one."""
    wrong = 0
    for _ in range(simulations):
        base = rng.normal(0, 0.02, n)
        wrong += any(v.word in ("helps", "hurts") for v in judge([(rng.normal(0, 0.02, n), base) for _ in range(arms)]))
    return wrong / simulations


def test_tables_are_rarely_wrong():
    assert wrong_tables(40, np.random.default_rng(0)) <= 0.15  # four standard errors above a level of 5 %


@pytest.mark.slow
def test_tables_are_wrong_at_most_one_time_in_twenty():
    rate = wrong_tables(2000, np.random.default_rng(2))
    assert 0 < rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


def test_the_command_prints_them_and_a_frame_has_them(tmp_path):
    import skelray

    tables.write_table("arrangement", table().to_dict("records"), [], tmp_path)
    said = CliRunner().invoke(cli, ["report", "arrangement", "--results", str(tmp_path), "--verdicts", "--margin", "0.5"])
    assert said.exit_code == 0, said.output
    assert "| better | xsub linear  | +5.1 [" in said.output
    assert "helps      | p = 0.023 of 3" in said.output
    assert "margin 0.5 points" in said.output
    assert skelray.verdicts("arrangement", tmp_path)["word"].tolist() == ["helps", "helps", "equivalent"]
