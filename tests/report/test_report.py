import io
import json

import pandas as pd
import pytest
from result_rows import frame, row, seeds

from skelray.report.table import distinct_cell_texts, escape_latex
from skelray.report.text import accuracy_table, failures_text, report_text, split_error, sweep_table
from skelray.report.verdict_table import verdict_table
from skelray.results import statistics
from skelray.study.notes import Notes

TRACEBACK = """Traceback (most recent call last):
  File "/x/skelray/training.py", line 3, in run
    step(view)
  File "/x/studies/mine.py", line 12, in jitter
    return view.x @ self.matrix
           ~~~~~~~^~~~~~~~~~~~~
RuntimeError: shapes differ: 3 and 4
"""


def ablation(**changes):
    return [
        *seeds(0.70, 0.72, 0.77, arm="[BA, NA]", **changes),
        *seeds(0.60, 0.60, 0.60, arm="[NA, BA]", **changes),
    ]


def body(made):
    return made.markdown().split("\n")[2:]


def test_a_table_reads_well_in_a_terminal():
    rows = [*ablation(published=0.776), *ablation(evaluation="knn")]
    assert accuracy_table(frame(rows)).markdown() == (
        "arrangement, ntu60, joint stream, stgcn, 300 epochs. Top-1 in percent, mean ± sd, n = 3 (seeds 0, 1, 2).\n"
        "\n"
        "| arm      | xsub linear | published |   xsub knn |\n"
        "| -------- | ----------: | --------: | ---------: |\n"
        "| [BA, NA] |  73.0 ± 3.6 |      77.6 | 73.0 ± 3.6 |\n"
        "| [NA, BA] |  60.0 ± 0.0 |      77.6 | 60.0 ± 0.0 |"
    )


def test_other_metrics_stay_out_of_the_table():
    assert accuracy_table(frame([*ablation(), *ablation(metric="top5")])).rows == accuracy_table(frame(ablation())).rows


def test_without_published_figures_there_is_no_such_column():
    made = accuracy_table(frame(ablation()))
    assert made.header == ["arm", "xsub linear"]
    assert "published" not in made.csv()


def test_a_published_figure_stands_only_where_there_is_one():
    rows = [*seeds(0.7, arm="a", published=0.75), *seeds(0.6, arm="b"), *seeds(0.6, arm="b", protocol="xview")]
    made = accuracy_table(frame(rows))
    assert made.header == ["arm", "xsub linear", "published", "xview linear"]
    assert made.rows == [["a", "70.0", "75.0", "–"], ["b", "60.0", "–", "60.0"]]


def test_n_stands_in_the_cells_only_where_it_varies():
    made = accuracy_table(frame([*seeds(0.7, 0.8, arm="a"), *seeds(0.6, arm="b")]))
    assert made.rows == [["a", "75.0 ± 7.1 (2)"], ["b", "60.0 (1)"]]
    assert "mean ± sd (n), seeds 0, 1." in made.caption
    assert "n = 1 (seed 0)" in accuracy_table(frame(seeds(0.7))).caption


def test_failed_cells_say_so():
    rows = [*seeds(0.7, None, 0.9, arm="a"), *seeds(None, None, arm="b"), row(arm="c", status="stopped", trial="s")]
    made = accuracy_table(frame(rows))
    assert made.rows == [["a", "80.0 ± 14.1, failed (1 of 3)"], ["b", "failed (2 of 2)"], ["c", "–"]]
    assert "No trial is done." in accuracy_table(frame(seeds(None))).caption


@pytest.mark.parametrize(
    ("column", "values"),
    [("benchmark", ["ntu60", "nwucla"]), ("stream", ["joint", "bone"]), ("backbone", ["stgcn", "dsta"])],
)
def test_what_varies_becomes_a_column(column, values):
    rows = [r | {"trial": r["trial"] + v} for v in values for r in ablation(**{column: v})]
    made = accuracy_table(frame(rows))
    assert made.header == [column, "arm", "xsub linear"]
    assert [line[:2] for line in made.rows] == [[v, arm] for v in values for arm in ("[BA, NA]", "[NA, BA]")]


def test_lengths_and_scalars_of_the_cell_become_columns_too():
    rows = [
        row(trial=f"{arm}{size}{epochs}", arm=arm, epochs=epochs, epoch=epochs, cell=json.dumps({"batch_size": size}))
        for arm in "ab"
        for size in (64, 128)
        for epochs in (30, 300)
    ]
    made = accuracy_table(frame(rows))
    assert made.header == ["epochs", "batch_size", "arm", "xsub linear"]
    assert made.rows[0][:3] == ["30", "64", "a"]
    assert len(made.rows) == 8


def test_generated_data_is_said_to_be_generated():
    sentence = "hese are numbers of generated data, not of a published benchmark."
    assert accuracy_table(frame(ablation(benchmark="synthetic"))).caption.endswith("T" + sentence)
    mixed = [*ablation(benchmark="synthetic"), *ablation(benchmark="nwucla")]
    assert accuracy_table(frame(mixed)).caption.endswith("On synthetic, t" + sentence)
    assert "generated" not in accuracy_table(frame(ablation())).caption


def test_csv_holds_the_unrounded_numbers():
    made = pd.read_csv(io.StringIO(accuracy_table(frame(ablation(published=0.776))).csv()))
    assert made["arm"].tolist() == ["[BA, NA]", "[NA, BA]"]
    assert made["mean"][0] == pytest.approx(0.73, rel=1e-12)
    assert made["sd"][0] == pytest.approx(0.0360555127546399, rel=1e-12)
    assert made["n"].tolist() == [3, 3]
    assert made["published"].tolist() == [0.776, 0.776]


def test_latex_is_escaped():
    assert escape_latex(r"50% of a_b & {c} \d ~ ^ # $ <x>") == (
        r"50\% of a\_b \& \{c\} \textbackslash{}d \textasciitilde{} \textasciicircum{} \# \$ \textless{}x\textgreater{}"
    )
    made = accuracy_table(frame(seeds(0.7, 0.8, arm="[BA, a_b]"))).latex()
    assert r"    {[}BA, a\_b] & 75.0 $\pm$ 7.1 \\" in made.split("\n")  # a bare [ would be an argument of \midrule
    assert made.startswith("\\begin{table}\n")
    for name in ("toprule", "midrule", "bottomrule", "end{tabular}", "end{table}", "begin{tabular}{lr}"):
        assert made.count("\\" + name) == 1


def test_a_label_breaks_no_markdown_table():
    assert body(accuracy_table(frame(seeds(0.7, arm="a|b\nc"))))[2].startswith(r"| a\|b c |")


def test_a_frame_without_top1_is_refused_with_what_it_has():
    with pytest.raises(ValueError, match="no row has the metric 'top1'; the metrics are held_out_top1"):
        accuracy_table(frame([row(metric="held_out_top1")]))
    with pytest.raises(ValueError, match="the frame is empty"):
        accuracy_table(frame([]))


def test_settings_that_agree_to_four_digits_stay_apart():
    rows = [row(trial=str(lr), cell=json.dumps({"lr": lr}), value=value) for lr, value in ((0.10001, 0.5), (0.10002, 0.6))]
    made = accuracy_table(frame(rows))
    assert made.header == ["lr", "arm", "xsub linear"]
    assert [(line[0], line[2]) for line in made.rows] == [("0.10001", "50.0"), ("0.10002", "60.0")]
    assert distinct_cell_texts([0.1, None, 1 / 3, float("nan")]) == ["0.1", "–", "0.3333", "–"]
    assert distinct_cell_texts([3, "kl", 0.1 + 0.2, 0.3]) == ["3", "kl", "0.30000000000000004", "0.3"]


def test_differences_to_the_first_arm_are_paired_by_seed():
    rows = [*ablation(), *ablation(evaluation="knn"), *seeds(0.5, arm="[Mask]")]
    made = verdict_table(frame(rows))
    assert [line[:4] for line in made.rows] == [
        ["[NA, BA]", "xsub linear", "-13.0 [-22.0, -4.0]", "3"],
        ["[Mask]", "xsub linear", "-20.0", "1"],
        ["[NA, BA]", "xsub knn", "-13.0 [-22.0, -4.0]", "3"],
    ]
    assert [line[-2] for line in made.rows] == ["not attainable"] * 3
    assert "Minus [BA, NA]" in made.caption
    assert "(2 of linear, 1 of knn)" in made.caption
    assert made.markdown() in report_text(frame(rows))
    assert "Minus" not in report_text(frame(rows), "csv")


def test_the_bca_interval_stands_where_it_is_asked_for_and_seeds_are_enough():
    rows = [*seeds(*[0.5] * 7, arm="a"), *seeds(0.61, 0.6, 0.6, 0.59, 0.62, 0.6, 0.58, arm="b"), *seeds(0.6, 0.7, arm="c")]
    made = verdict_table(frame(rows), bca=True)
    assert [line[made.header.index("BCa")] for line in made.rows] == ["[+9.1, +10.9]", "–"]
    assert made.markdown() in report_text(frame(rows))
    assert "BCa" not in verdict_table(frame(rows)).header
    assert "BCa" not in verdict_table(frame(ablation()), bca=True).header  # three seeds
    looked = frame(rows)
    looked.attrs["notes"] = Notes(looks=(7, 11)).as_json()
    assert "BCa" not in verdict_table(looked, bca=True).header  # it knows of no looks


def test_without_two_pairs_there_are_no_verdict_table():
    assert verdict_table(frame([*seeds(0.7, arm="a"), *seeds(0.6, arm="b")])) is None
    assert verdict_table(frame([*seeds(0.7, 0.8, arm="a"), *seeds(None, 0.6, arm="b")])) is None
    assert verdict_table(frame(seeds(0.7, 0.8, arm="a"))) is None
    assert "Minus" not in report_text(frame([*seeds(0.7, arm="a"), *seeds(0.6, arm="b")]))


def test_failures_are_grouped_by_cause():
    rows = [
        *[row(trial=f"d{n}", seed=n, status="failed", error=f"diverged: the loss is NaN at epoch {n}") for n in (3, 4)],
        row(trial="d3", seed=3, metric="top5", status="failed", error="diverged: the loss is NaN at epoch 3"),
        row(trial="r", protocol="xview", status="failed", error=f"error: shapes differ: 3 and 4\n{TRACEBACK}"),
        row(),
    ]
    assert failures_text(frame(rows[2:] + rows[:2])) == [
        "diverged (2 trials)",
        "  d3  [BA, NA, Mask]  xsub  seed 3  the loss is NaN at epoch 3",
        "  d4  [BA, NA, Mask]  xsub  seed 4  the loss is NaN at epoch 4",
        "error (1 trial)",
        "  r  [BA, NA, Mask]  xview  seed 0  RuntimeError: shapes differ: 3 and 4 (mine.py:12)",
    ]
    assert failures_text(frame([row()])) == []


DEEP = """Traceback (most recent call last):
  File "/home/u/skelray/skelray/training.py", line 83, in train_epoch
    metrics = self._mean([self._step(view, epoch) for view in self.batches(epoch)])
  File "/home/u/skelray/studies/mine.py", line 12, in jitter
    return view.x @ self.matrix
  File "/v/lib/python3.11/site-packages/torch/functional.py", line 9, in matmul
    raise error
  File "/usr/lib/python3.11/contextlib.py", line 81, in inner
    return func(*args)
  File "/v/lib/python3.11/site-packages/skelray/augment/view.py", line 7, in with_x
    return replace(self, x=x)
  File "<string>", line 1, in f
"""


@pytest.mark.parametrize(
    ("error", "cause", "detail"),
    [
        ("out of memory: 3 GiB", "out of memory", "3 GiB"),
        ("\nworker lost: 10.0.0.3\nmore", "worker lost", "10.0.0.3"),
        ("", "error", "no error text"),
        (f"error: shapes differ\n{TRACEBACK}", "error", "RuntimeError: shapes differ: 3 and 4 (mine.py:12)"),
        (f"error: 'k'\n{DEEP}KeyError: 'k'\n", "error", "KeyError: 'k' (mine.py:12)"),
        (f"out of memory: 3 GiB\n{DEEP}MemoryError: 3 GiB\n", "out of memory", "3 GiB (mine.py:12)"),
        (f"diverged: NaN\n{DEEP.replace('studies/mine', 'skelray/trial')}Diverged: NaN\n", "diverged", "NaN (<string>:1)"),
    ],
)
def test_what_is_told_of_an_error(error, cause, detail):
    assert split_error(error) == (cause, detail)


def sweep():
    shared = {"study": "lambda_h", "evaluation": "knn", "metric": "held_out_top1"}
    cells = [{"k": 3, "lambda_h": 0.5, "similarity": "kl"}, {"k": 2, "lambda_h": 1.23456, "similarity": "l1"}]
    return [
        row(trial="p", arm="published", value=0.1, epoch=25, cell=json.dumps(cells[0]), **shared),
        row(trial="p", arm="published", value=0.6, cell=json.dumps(cells[0]), **shared),
        row(trial="q", arm="sample 1", value=0.7, cell=json.dumps(cells[1]), **shared),
        row(trial="r", arm="sample 2", value=0.3, epoch=25, status="stopped", cell='{"k": 4}', **shared),
        row(trial="s", arm="sample 3", epoch=2, status="failed", cell=json.dumps(cells[1]), **shared),
    ]


def test_a_sweep_lists_its_samples_best_first():
    made = sweep_table(frame(sweep()))
    assert made.header == ["sample", "held-out", "status", "epoch", "k", "lambda_h", "similarity"]
    assert made.rows == [
        ["sample 1", "70.0", "done", "300 of 300", "2", "1.235", "l1"],
        ["published *", "60.0", "done", "300 of 300", "3", "0.5", "kl"],
        ["sample 2", "30.0", "stopped", "25 of 300", "4", "–", "–"],
        ["sample 3", "–", "failed", "2 of 300", "2", "1.235", "l1"],
    ]
    assert "2 done, 1 stopped, 1 failed. * is the published setting." in made.caption
    csv = pd.read_csv(io.StringIO(made.csv()))
    assert csv["lambda_h"][0] == 1.23456
    assert csv["value"][1] == 0.6
    assert len({len(line) for line in body(made)}) == 1


def test_a_sweep_names_the_settings_that_vary():
    rows = [r | {"protocol": "xview", "trial": r["trial"] + "v"} for r in sweep()]
    assert sweep_table(frame(sweep() + rows)).header[:2] == ["protocol", "sample"]
    with pytest.raises(ValueError, match="no row has the metric 'held_out_top1'"):
        sweep_table(frame(ablation()))


def test_a_study_without_top1_has_a_table():
    """Clustering alone; what a study shows is the main metric of each evaluation."""
    shared = {"evaluation": "clustering", "metric": "nmi"}
    rows = [*seeds(0.66, 0.68, arm="a", published=0.6668, **shared), *seeds(0.5, 0.6, arm="b", **shared)]
    made = accuracy_table(frame(rows))
    assert made.header == ["arm", "xsub clustering nmi", "published"]
    assert made.rows == [["a", "67.0 ± 1.4", "66.7"], ["b", "55.0 ± 7.1", "–"]]
    assert "nmi in percent, mean ± sd, n = 2" in made.caption
    assert "Top-1" not in made.caption
    assert "| b   |" in verdict_table(frame(rows)).markdown()
    for form in ("markdown", "csv", "latex"):
        assert "clustering nmi" in report_text(frame(rows), form)


def test_a_scalar_named_like_a_column_is_a_setting():
    """across={"method": [...]} differs in what the table's own column does not say, and HiCLR has weights of its own."""
    for name, values in (("method", [{"k": 1}, {"k": 2}]), ("weights", [[1.0, 0.5], [1.0, 1.0]]), ("mean", [1, 2])):
        rows = [row(trial=str(n), cell=json.dumps({name: value}), value=n / 4) for n, value in enumerate(values)]
        made = accuracy_table(frame(rows))
        assert [line[-1] for line in made.rows] == ["0.0", "25.0"]
        assert made.header[0] in (name, f"{name} of the cell")
        assert report_text(frame(rows))


def test_an_ensembles_weights_that_are_not_of_its_streams_are_one_sentence():
    cell = json.dumps({"weights": {"joint": 0.5, "bone": "x"}})
    with pytest.raises(ValueError, match=r"the weights .* are not those of joint\+bone: it is damaged"):
        report_text(frame([row(stream="joint+bone", cell=cell)]))


def test_a_transfer_is_told_by_its_columns_and_not_by_a_name():
    rows = ablation(benchmark="ntu60", evaluation="knn on pku2 clips")
    assert "share subjects" not in accuracy_table(frame(rows)).caption
    rows = [r | {"target": "pku2", "target_protocol": "xsub"} for r in rows]
    assert "ntu60 and pku2 share subjects" in accuracy_table(frame(rows)).caption


def test_a_report_pairs_all_arms_at_once(monkeypatch):
    """Its cost does not grow with the arms: the rows are gone through once, and with one seed not at all."""
    calls, last = [], statistics._last
    monkeypatch.setattr(statistics, "_last", lambda frame: calls.append(1) or last(frame))
    verdict_table(frame([r for n in range(30) for r in seeds(0.5, 0.6, arm=f"arm {n}")]))
    assert len(calls) == 1
    assert verdict_table(frame([r for n in range(30) for r in seeds(0.5, arm=f"arm {n}")])) is None
    assert len(calls) == 1
