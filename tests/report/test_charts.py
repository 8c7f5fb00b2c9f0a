"""The figures of a study, from its table alone."""

import json

import pytest
from result_rows import frame, seeds

from skelray.checks import UserError
from skelray.report.figures.charts import charts, keep_charts
from skelray.study.charts import Bars, Lines, chart_of, plain


def lengths(arm, *values, published):
    rows = []
    for epochs, value, said in zip((100, 200, 300), values, published, strict=True):
        made = seeds(value - 0.01, value + 0.01, arm=arm, epochs=epochs, epoch=epochs, published=said)
        rows += [row | {"trial": f"{row['trial']}/{epochs}", "cell": json.dumps({"epochs": epochs})} for row in made]
    return rows


def told(rows, *asked):
    made = frame(rows)
    made.attrs["notes"] = {"figures": [plain(one) for one in asked]}
    return made


def test_lines_and_bars_show_what_the_table_has():
    rows = [
        *lengths("a", 0.7, 0.74, 0.76, published=(0.71, None, 0.77)),
        *lengths("b", 0.6, 0.61, 0.62, published=(None,) * 3),
    ]
    lines, bars = charts(told(rows, Lines(x="epochs"), Bars(x="place", at={"epochs": 300})))
    assert (lines.name, bars.name) == ("lines_epochs", "bars_place")
    shown = dict(list(lines.data.groupby("arm")))
    assert shown["a"]["mean"].tolist() == pytest.approx([0.7, 0.74, 0.76])
    assert shown["b"]["mean"].tolist() == pytest.approx([0.6, 0.61, 0.62])
    assert shown["a"]["published"].tolist() == pytest.approx([0.71, float("nan"), 0.77], nan_ok=True)
    (axes,) = lines.figure.axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert ([100, 200, 300], pytest.approx([70, 74, 76])) in drawn
    assert axes.get_ylabel() == "linear (%)"
    assert [text.get_text() for text in lines.figure.legends[0].get_texts()] == ["published", "a", "b"]
    assert [patch.get_height() for patch in bars.figure.axes[0].patches] == pytest.approx([76, 62])


def test_bars_of_many_arms_are_told_apart():
    rows = [row for number in range(9) for row in seeds(0.5, arm=f"arm {number}")]
    (bars,) = charts(told(rows, Bars()))
    assert len({(patch.get_facecolor(), patch.get_hatch()) for patch in bars.figure.axes[0].patches}) == 9


def test_what_else_varies_has_a_panel_of_its_own():
    rows = [row | {"trial": row["trial"] + s} for s in ("joint", "bone") for row in seeds(0.5, arm="a", stream=s)]
    (bars,) = charts(told(rows, Bars()))
    assert [axes.get_title() for axes in bars.figure.axes] == ["joint", "bone"]
    (bars,) = charts(told(rows, Bars(x="stream")))
    assert [label.get_text() for label in bars.figure.axes[0].get_xticklabels()] == ["joint", "bone"]


def test_rows_that_are_only_published_are_marks_alone():
    rows = [*seeds(0.7, arm="a"), *seeds(None, arm="r")]
    rows[-1] |= {"status": "published", "published": 0.8, "error": "", "epochs": 0, "epoch": 0}
    (bars,) = charts(told(rows, Bars()))
    assert bars.data["published"].tolist()[1] == 0.8
    assert [line.get_ydata().tolist() for line in bars.figure.axes[0].lines if 80.0 in line.get_ydata().tolist()]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Lines(x="epochs", evaluation="knn"), "a figure shows evaluation 'knn', and the table has none such"),
        (Lines(x="granularity"), "a figure is over 'granularity', and the table has no such column"),
        (Bars(at={"stream": "bone"}), "a figure shows stream 'bone'"),
    ],
)
def test_what_a_table_lacks_is_said(asked, said):
    with pytest.raises(UserError, match=said):
        charts(told(seeds(0.7), asked))


def test_they_are_kept_beside_the_tables(tmp_path):
    paths = keep_charts(told(seeds(0.7, arm="a"), Bars(evaluation="linear")), "s", tmp_path)
    assert [path.name for path in paths] == ["bars_place_linear.csv", "bars_place_linear.svg", "bars_place_linear.png"]
    assert all(path.stat().st_size for path in paths)


def test_a_study_without_figures_draws_none():
    assert charts(frame(seeds(0.7))) == []


def test_they_are_plain_data_and_back():
    for chart in (Lines(x="epochs", at={"stream": "joint"}), Bars(evaluation="knn")):
        assert chart_of(json.loads(json.dumps(plain(chart)))) == chart
        assert type(chart_of(plain(chart))) is type(chart)
