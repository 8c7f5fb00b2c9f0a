"""What a sweep says at its end: rungs, importance, what stopping saved, and the figures."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sweeps import RUNGS, accuracy, frame, rows

from skelray.report.figures.sweep import FIGURES, contours, importances, save_sweep_figures, slices
from skelray.report.html.costs import section
from skelray.report.html.material import gather_material
from skelray.report.sweep_tables import importance_table, rungs_table, spending_sentence
from skelray.report.text import report_text
from skelray.results.tables import write_table
from skelray.search import from_table
from skelray.search.from_table import optuna_study_from_samples, samples_from_rows

TOLD = samples_from_rows(rows())


def test_a_row_for_each_rung():
    table = rungs_table(TOLD)
    numbers = table.numbers.set_index("epoch")
    assert list(numbers.index) == list(RUNGS)
    assert numbers["samples"].tolist() == [24, 15, 8]
    assert numbers["stopped"].tolist() == [8, 7, 0]
    best = max((s for s in TOLD if 75 in s.readings), key=lambda s: s.readings[75])
    assert numbers.loc[75, "of"] == best.arm
    assert numbers.loc[75, "best"] == accuracy(best.params, 75)


def test_what_was_spent_and_saved():
    """24 samples: 8 ran all 100 epochs, 7 stopped at 75, 8 at 25, one failed at 25."""
    spent = 8 * 100 + 7 * 75 + 9 * 25
    told = spending_sentence(TOLD)
    assert spent == 1550
    assert "24 samples took 1550 epochs and 15 h 30 min of training." in told
    assert "Stopping saved 775 of 2300 epochs (34 %), about 7 h 45 min." in told
    assert "None was stopped." in spending_sentence([sample for sample in TOLD if sample.status == "done"])


def test_importance_stands_for_each_rung_with_conditional_ones_marked():
    table = importance_table(samples_from_rows(rows(samples=60)))
    assert [name for name in table.header if name.startswith("epoch")] == [
        "epoch 25 (n = 60)",
        "epoch 75 (n = 39)",
        "epoch 100 (n = 20)",
    ]
    words = {row[0] for row in table.rows}
    assert {"tau", "lambda_h_kl *", "lambda_h_cosine *", "similarity", "idle"} == words
    assert table.rows[0][0] == "tau"
    assert "Only some samples have this parameter" in table.caption


def test_the_report_of_a_sweep_has_its_tables_and_no_rung_twice():
    said = report_text(frame())
    assert said.count("| sample 3 ") == 1  # the sample once, by its last reading
    assert "Rungs: how many samples" in said
    assert "Importance in percent" in said
    assert "1 failed" in said


def test_each_figure_shows_what_it_says(tmp_path):
    told = samples_from_rows(rows(samples=30, figures=True))
    paths = save_sweep_figures(told, "s", tmp_path)
    names = {path.stem for path in paths}
    assert names == {
        *("importance", "slices", "contours", "parallel_coordinates"),
        *("history", "distribution", "timeline", "pareto"),
    }
    for path in paths:
        assert path.with_suffix(".svg").is_file()
        assert path.stat().st_size > 5000
    folder = tmp_path / "figures" / "s"
    slices = pd.read_csv(folder / "slices.csv")
    assert slices["value"].tolist() == pytest.approx([sample.value for sample in told])
    assert set(slices.columns) >= {"tau", "idle", "similarity", "epoch", "status"}
    front = pd.read_csv(folder / "pareto.csv")
    done = [sample for sample in told if sample.status == "done"]
    for row in front.itertuples():
        beaten = any(s.value >= row.value and s.figures["parameters"] < row.parameters for s in done) or any(
            s.value > row.value and s.figures["parameters"] <= row.parameters for s in done
        )
        assert row.front == (not beaten)
    below = pd.read_csv(folder / "distribution.csv")
    assert below.groupby("epoch")["below"].max().tolist() == [1.0] * 3
    assert len(below[below["epoch"] == 25]) == 30
    assert pd.read_csv(folder / "timeline.csv")["epochs"].sum() == sum(sample.trained for sample in told)
    assert optuna_study_from_samples(done).best_trials


@pytest.mark.parametrize("some", [[], TOLD[:1], TOLD[5:6], TOLD[1:3]], ids=["none", "one", "a failure", "two stopped"])
def test_few_samples_leave_figures_out_and_break_none(some):
    for figure in FIGURES:
        figure(some)


REPORT = """
import sys
from click.testing import CliRunner
from skelray.cli.main import cli
done = CliRunner().invoke(cli, ["report", "s", "--results", sys.argv[1]])
assert done.exit_code == 0, (done.output, done.exception)
assert "Rungs:" in done.output and "figures:" in done.output
assert not {"torch", "ray", "skelray.data.dataset"} & sys.modules.keys()
"""


def test_a_report_needs_neither_the_data_nor_torch(tmp_path):
    from skelray.results.tables import write_table

    write_table("s", rows(), [], tmp_path)
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures" / "s" / "importance.png").is_file()


def test_a_page_leaves_the_costs_of_samples_to_their_timeline(tmp_path):
    write_table("s", rows(), [], tmp_path)
    assert [block.kind for block in section(gather_material("s", tmp_path, None)).blocks] == ["text", "grid"]
    assert not (tmp_path / "figures").exists()


def test_optuna_is_asked_once_for_the_importance_at_a_rung(monkeypatch):
    asked = []
    make = from_table.optuna_study_from_samples
    monkeypatch.setattr(from_table, "optuna_study_from_samples", lambda told, rung: asked.append(rung) or make(told, rung))
    told = samples_from_rows(rows())
    assert importances(told) is not None
    assert importance_table(told) is not None
    assert contours(told) is not None
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == len([epoch for epoch in RUNGS if sum(epoch in s.readings for s in told) >= from_table.LEAST])


def test_slices_have_one_cross_for_what_is_published():
    crosses = [len(plot.lines) for plot in slices(TOLD).figure.axes if plot.get_xlabel()]
    assert sum(crosses) == len(TOLD[0].params)
    assert max(crosses) == 1
