"""The page of a reproduction: figures beside each other, and a word that the numbers bear out."""

import math

import pytest
from result_rows import frame, seeds
from scipy import stats

from skelray import Ablation, Arm, papers
from skelray.report.reproduction import PaperTable, compare_figures, judge_figure, reproduction_page


def section(*rows, published):
    study = Ablation(base=papers.HICLR, seeds=range(3), arms=[Arm("HiCLR", {}, published)])
    return PaperTable("streams", "Table 1", "which stream?", list(study.cells()), frame(list(rows)) if rows else None)


def test_a_figure_stands_beside_the_rows_that_bear_it():
    rows = seeds(0.75, 0.77, 0.79, arm="HiCLR", published=0.776)
    found = compare_figures(section(*rows, published={"xsub": 77.6})).iloc[0]
    assert (found["arm"], found["evaluation"], found["metric"]) == ("HiCLR", "linear", "top1")
    assert (found["published"], found["mean"]) == pytest.approx((0.776, 0.77))
    assert (found["n"], found["word"]) == (3, "as published")


def test_rows_of_other_data_have_no_published_number_and_are_not_measured():
    found = compare_figures(section(*seeds(0.75, 0.77, arm="HiCLR", published=None), published={"xsub": 77.6})).iloc[0]
    assert (found["n"], found["word"]) == (0, "not measured")


def test_each_word_by_hand():
    sd = 0.01
    half = stats.t.ppf(0.975, 2) * sd * math.sqrt(1 + 1 / 3)
    assert judge_figure(0.75, 0.75 + 0.99 * half, sd, 3) == "as published"
    assert judge_figure(0.75, 0.75 + 1.01 * half, sd, 3) == "above"
    assert judge_figure(0.75, 0.75 - 1.01 * half, sd, 3) == "below"
    assert judge_figure(0.75, 0.75, math.nan, 1) == "one seed"
    assert judge_figure(0.75, math.nan, math.nan, 0) == "not measured"


def test_the_page_counts_and_names_what_did_not_run():
    ran = section(*seeds(0.75, 0.77, 0.79, arm="HiCLR", published=0.776), published={"xsub": 77.6})
    left = section(published={"xsub": 77.6})._replace(heading="Table 4", why="ntu120 is not prepared")
    text = reproduction_page("HiCLR, reproduced", [ran, left], "skelray reproduce hiclr")
    assert "Published figures: 1 as published, 1 not measured." in text
    assert "77.6 |" in text
    assert "77.0 ± 2.0" in text
    assert "## Table 4: which stream?" in text
    assert "Not run: ntu120 is not prepared" in text
