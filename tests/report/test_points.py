"""The figures of every seed and of every contrast: what lies apart in the table lies apart in them."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from result_rows import frame, seeds

from skelray.report.figures.drawing import Places
from skelray.report.figures.forest import forest
from skelray.report.figures.seeds import seeds as drawn
from skelray.report.verdict_table import leading, verdict_table
from skelray.results import tables as results

RESULTS = Path(__file__).parents[2] / "results"


def kept_tables():
    """Those that the project keeps, and not what its user has run; none without git."""
    asked = subprocess.run(["git", "ls-files", "*.parquet"], cwd=RESULTS, capture_output=True, text=True)
    return [Path(name).stem for name in asked.stdout.split() if not name.endswith(".curves.parquet")]


def across(name, values):
    """Two arms, two seeds, at each value of a column or of the cell; an arm's value rises by 10 points with each."""
    rows = []
    for place, value in enumerate(values):
        for arm, start in (("weak", 0.5), ("strong", 0.6)):
            at = start + 0.1 * place
            here = {name: value} if name == "stream" else {"cell": json.dumps({name: value})}
            rows += [row | {"trial": f"{row['trial']}/{value}"} for row in seeds(at - 0.01, at + 0.01, arm=arm, **here)]
    return frame(rows)


@pytest.mark.parametrize(("name", "values"), [("stream", ("joint", "bone")), ("granularity", (1, 4))])
def test_what_varies_within_an_arm_has_a_line_of_its_own(name, values):
    rows = across(name, values)
    made = drawn(rows, Places(rows))
    labels = [f"{arm}, {value}" for arm in ("weak", "strong") for value in values]
    (axes,) = made.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    bars = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars == pytest.approx([50, 60, 60, 70])  # a mean of each, and none over both
    assert made.data[name].tolist() == [value for _ in range(2) for value in values for _ in range(2)]
    table = verdict_table(rows)
    contrasts = forest(table.numbers, 0.01, Places(rows), leading(table.numbers))
    (axes,) = contrasts.figure.axes
    told = [label.get_text() for label in axes.get_yticklabels()]
    assert told == [f"strong, {value}, xsub linear" for value in values]


def test_what_is_alike_within_arms_is_not_said():
    rows = frame([*seeds(0.5, 0.6, arm="weak", epochs=100, epoch=100), *seeds(0.7, 0.8, arm="strong")])
    made = drawn(rows, Places(rows))
    assert [label.get_text() for label in made.figure.axes[0].get_yticklabels()] == ["weak", "strong"]
    assert drawn(frame(seeds(None)), Places(frame(seeds(None)))) is None


@pytest.mark.parametrize("study", kept_tables())
def test_the_figures_beside_a_kept_table_are_of_its_numbers(study):
    table = results.load(study, RESULTS)
    done = table[(table["status"] == "done") & (table["metric"] != "top5") & ~table["metric"].str.contains("held")]
    kept = pd.read_csv(RESULTS / "figures" / study / "seeds.csv")
    assert sorted(kept["value"]) == pytest.approx(sorted(done["value"]), abs=1e-6)
    assert {path.suffix for path in (RESULTS / "figures" / study).glob("seeds.*")} == {".png", ".svg", ".csv"}
