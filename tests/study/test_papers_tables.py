"""What a paper's table needs: places, rows that are only published, streams trained together, sizes of encoders."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_study import SCALE, inline, make_run, study_file, table
from tiny import TRIAL

from skelray import papers
from skelray.checks import UserError
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Linear
from skelray.methods import CrosSCLR, HiCLR
from skelray.report import text as report
from skelray.report.html.features import section as panels
from skelray.report.html.material import gather_material
from skelray.report.html.stored import Stored
from skelray.report.verdict_table import verdict_table
from skelray.results import tables as results
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.run import Run
from skelray.store.files import Files
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm, Reference
from skelray.study.scale import DEMO, Scale

PLACES = [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
FUSED = papers.HICLR_FUSION.stream
TABLE = Ablation(
    base=papers.HICLR,
    on=PLACES,
    across={"stream": ["joint", "bone", "motion"]},
    seeds=range(2),
    ensemble=papers.HICLR_FUSION,
    arms=[
        Reference("LongT GAN", [39.1, 48.1, None, None], stream="joint", backbone="gru", params=40.2),
        Arm(
            "HiCLR",
            {},
            {FUSED: [80.4, 85.5, 70.0, 70.4]},
            at={"ntu120": {"lambda_h": 0.4}, "bone": {"tau": 0.1}},
            params=0.85,
        ),
        Arm("CrosSCLR", {"method": CrosSCLR(), "stream": "joint+motion+bone"}, [77.8, 83.4, 67.9, None]),
        Arm("one place", {"method": HiCLR(tau=0.2)}, {"bone": [50.0]}, on=[("ntu120", "xset")]),
    ],
)


def where(cells):
    return [(cell.trial.benchmark, cell.trial.protocol, cell.trial.stream) for cell in cells]


def test_a_table_runs_on_its_places_and_not_on_their_product():
    cells = [cell for cell in TABLE.cells() if cell.trial.seed == 0]
    single = [(*place, stream) for place in PLACES for stream in ("joint", "bone", "motion")]
    assert where(c for c in cells if c.arm == "HiCLR") == single
    assert where(c for c in cells if c.arm == "CrosSCLR") == [(*place, "joint+motion+bone") for place in PLACES]
    assert where(c for c in cells if c.arm == "one place") == single[-3:]
    assert cells[0].coordinates == {"benchmark": "ntu60", "protocol": "xsub", "stream": "joint"}


def test_settings_differ_by_benchmark_and_stream():
    found = {(c.trial.benchmark, c.trial.stream): c.trial.method for c in TABLE.cells() if c.arm == "HiCLR"}
    assert {key: (method.lambda_h, method.tau) for key, method in found.items()} == {
        (benchmark, stream): (0.5 if benchmark == "ntu60" else 0.4, 0.1 if stream == "bone" else 0.07)
        for benchmark in ("ntu60", "ntu120")
        for stream in ("joint", "bone", "motion")
    }


def test_numbers_in_a_row_belong_to_the_places_in_their_order():
    cells = [c for c in (*TABLE.cells(), *TABLE.fused()) if c.published and c.trial.seed == 0]
    found = {(c.arm, c.trial.benchmark, c.trial.protocol, c.coordinates["stream"]): c.published["linear"] for c in cells}
    assert found == pytest.approx(
        {("HiCLR", *place, FUSED): value for place, value in zip(PLACES, (0.804, 0.855, 0.7, 0.704), strict=True)}
        | {("CrosSCLR", *place, "joint+motion+bone"): v for place, v in zip(PLACES, (0.778, 0.834, 0.679), strict=False)}
        | {("one place", "ntu120", "xset", "bone"): 0.5}
    )


def test_an_arm_of_several_streams_is_fused_already():
    assert {one.arm for one in TABLE.fused()} == {"HiCLR", "one place"}


def test_references_stand_at_their_places_and_are_never_run():
    quoted = [(one.reference.label, one.benchmark, one.protocol, one.name, one.published) for one in TABLE.quoted()]
    where = ("LongT GAN", "ntu60")
    assert [one[:4] for one in quoted] == [(*where, "xsub", "linear"), (*where, "xview", "linear")]
    assert [one[4] for one in quoted] == pytest.approx([0.391, 0.481])
    assert TABLE.quoted(Scale(epochs=3)) == TABLE.quoted(DEMO) == []
    assert "LongT GAN" not in {cell.arm for cell in TABLE.cells()}


@pytest.mark.parametrize(
    ("scale", "there"),
    [
        (Scale(protocols=("xset",)), [("ntu120", "xset")]),
        (Scale(benchmark="ntu60"), [("ntu60", "xsub"), ("ntu60", "xview")]),
        (Scale(benchmark="nwucla"), [("nwucla", "xsub"), ("nwucla", "xview")]),
        (Scale(benchmark="nwucla", protocols=("xview",)), [("nwucla", "xview")]),
        (DEMO, [("synthetic", "xsub"), ("synthetic", "xview")]),
    ],
)
def test_a_scale_moves_the_places(scale, there):
    study = replace(TABLE, arms=[*TABLE.arms[:3], Arm("one", {"tau": 0.2}, on=[("ntu60", "xview")])])
    cells = study.cells(scale)
    assert sorted({(c.trial.benchmark, c.trial.protocol) for c in cells}) == there
    assert {c.trial.method.lambda_h for c in cells if c.arm == "HiCLR" and c.trial.benchmark != "ntu120"} == (
        set() if there == [("ntu120", "xset")] else {0.5}
    )
    alone = {c.trial.protocol for c in cells if c.arm == "one"}
    assert alone == ({"xview"} if ("xview" in {p for _, p in there}) else set())


def test_published_numbers_stay_on_their_benchmark():
    for scale in (Scale(benchmark="nwucla"), DEMO):
        assert not any(c.published for c in (*TABLE.cells(scale), *TABLE.fused(scale)))
    own = [c for c in TABLE.fused(Scale(benchmark="ntu60")) if c.arm == "HiCLR" and c.trial.seed == 0]
    assert [c.published["linear"] for c in own] == pytest.approx([0.804, 0.855])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(TABLE, across={"protocol": ["xsub"]}), "gives protocol both in across and in on"),
        (lambda: replace(TABLE, on=[("ntu60", "xsub")] * 2), "on names ntu60 xsub twice"),
        (lambda: replace(TABLE, on=["ntu60"]), "on 'ntu60': a benchmark and a protocol are needed"),
        (lambda: replace(TABLE, arms=[Arm("a", {"protocol": "xsub"})]), "arm 'a' sets protocol, as the study's on does"),
        (lambda: replace(TABLE, arms=[Arm("a", on=[("ntu60", "xset")])]), "which is none of the study's on"),
        (lambda: replace(TABLE, arms=[Arm("a", {}, {FUSED: [80.0]})]), "of 'a' has 1 numbers in a row, .* on 4 places"),
        (lambda: replace(TABLE, arms=[Arm("a", {}, {"joint": {"xsub": 77.6}})]), "would stand at benchmark ntu60, ntu120"),
        (lambda: replace(TABLE, arms=[Arm("a", {"stream": "bone"})]), "sets stream, which the study goes across"),
        (lambda: replace(TABLE, arms=[Reference("r", [1.0, None, None, None])]), "at least one arm"),
        (lambda: replace(TABLE, arms=[Arm("r"), Reference("r", [1.0, None, None, None])]), "two arms are called 'r'"),
        (lambda: Reference("r", {}), "'r' has no published number"),
        (lambda: Reference("r", {"xsub": 776}), "reference 'r' has published xsub 776"),
        (lambda: replace(TABLE, arms=[Arm("a"), Reference("r", {"semi 1%": {"xview": 50.0}})]), "'semi 1%' is none of"),
        (lambda: replace(TABLE, arms=[Arm("a"), Reference("r", {"pku_mmd1": {"xsub": 50.0}})]), "and not on pku_mmd1"),
        (lambda: Arm("a", params=0), "params 0"),
        (lambda: TABLE.cells(Scale(protocols=("xfoo",))), "--protocol xfoo: the study runs on ntu60 xsub, ntu60 xview"),
        (lambda: TABLE.cells(Scale(benchmark="kinetics")), "none of the study's protocols: name one by --protocol"),
    ],
)
def test_what_is_wrong_with_a_papers_table_is_said_at_once(make, said):
    with pytest.raises(UserError, match=said):
        make()


# A table that is run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two benchmarks of published names whose size is not known."""
    root = tmp_path_factory.mktemp("places")
    for name in ("pku_mmd1", "pku_mmd2"):
        prepare(replace(synthetic(subjects=2, replications=1), name=name), None, root, Preprocessing("centred", 8))
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """Arms that are run, and rows that are not."""
    folder = tmp_path_factory.mktemp("table")
    method = replace(TRIAL.method, init="he")
    base = replace(TRIAL, method=method, epochs=1, batch_size=32, evaluations=(KNN(), Linear(epochs=2)))
    study = Ablation(
        base=base,
        on=[("pku_mmd2", "xsub"), ("pku_mmd1", "xsub")],
        across={"stream": ["joint", "bone"]},
        ensemble=Ensemble({"joint": 0.5, "bone": 0.5}),
        prepared=Preprocessing("centred", 8),
        arms=[
            Reference("older", [21.2, 84.9], stream="3s", backbone="gru", params=40.2),
            Arm("ours", {}, {"joint+bone": [39.5, 87.4]}, params=0.85),
            Reference("between", [None, 80.0], backbone="lstm"),
            Arm("together", {"method": CrosSCLR(queue=32, dim=8, m=0.9), "stream": "bone+joint"}, [30.0, 85.0]),
        ],
    )
    run = Run("places", study, None, Settings(data, str(folder / "store"), folder / "results", "cpu"))
    run_inline(run)
    return folder, study


def test_a_table_reads_like_the_papers(finished):
    folder, _ = finished
    made = report.accuracy_table(results.load("places", folder / "results"))
    place = ["xsub knn", "xsub linear"]
    assert made.header[:4] == ["stream", "arm", *(f"pku_mmd1 {name}" for name in place)]
    assert made.header[4:8] == ["published", *(f"pku_mmd2 {name}" for name in place), "published"]
    fused = [line for line in made.rows if line[0] not in ("joint", "bone")]
    at = made.header.index("arm")
    assert [line[at] for line in fused] == ["older", "ours", "between", "together"]
    assert [line[0] for line in fused] == ["3s", "joint+bone", "–", "joint+bone"]
    (older,) = (line for line in made.rows if line[at] == "older")
    published = [n for n, name in enumerate(made.header) if name == "published"]
    assert [older[n] for n in published] == ["84.9", "21.2", "40.2"]
    assert [cell for n, cell in enumerate(older) if n > at and n not in published] == ["–"] * (len(older) - at - 1 - 3)
    assert "Published only: older, between." in made.caption
    assert "n = 1 (seed 0)" in made.caption


def test_published_rows_are_marked_and_enter_no_mean(finished):
    folder, _ = finished
    frame = results.load("places", folder / "results")
    only = frame[frame["status"] == "published"]
    assert list(dict.fromkeys(frame["arm"])) == ["older", "ours", "between", "together"]
    assert (len(only), only["value"].isna().all(), set(only["epochs"])) == (3, True, {0})
    assert sorted(only["published"]) == pytest.approx([0.212, 0.8, 0.849])
    assert verdict_table(frame) is None
    assert report.failures_text(frame) == []


def test_sizes_of_encoders_are_counted_beside_the_published(finished):
    folder, _ = finished
    frame = results.load("places", folder / "results")
    counted = dict(zip(frame["arm"], frame["parameters"], strict=True))
    layer = TRIAL.backbone.hidden_dim * (3 * 25 + 1) + 2 * 3 * 25
    assert counted["ours"] == pytest.approx(layer / 1e6)
    assert np.isnan(counted["together"])
    made = report.accuracy_table(frame)
    assert made.header[-2:] == ["encoder (M)", "published"]
    assert [line[-1] for line in made.rows if "ours" in line] == ["0.85"] * 3


def test_the_page_of_a_papers_table_has_its_rows(finished):
    from skelray.report.html.page import write_page

    folder, _ = finished
    path = write_page("places", folder / "results", str(folder / "store"), None)
    text = path.read_text()
    assert all(f">{name}<" in text for name in ("older", "between", "ours"))
    assert "Published only: older, between." in text
    assert "1970" not in text  # when what nobody ran has begun


def test_published_rows_do_not_stand_beside_other_data(tmp_path, data, finished):
    _, study = finished
    run = Run("places", replace(study, prepared=Preprocessing("centred", 50)), None, Settings(data, str(tmp_path / "store")))
    assert run.work.references == []
    told = run.work.incomparable()
    assert any("--path centred --frames 50" in line for line in told)


ON = """
    study = Ablation(base=base, on=[("ntu60", "xview"), ("ntu120", "xset")], arms=[
        Arm("weak", {"arrangement": (BA,)}), Arm("strong", {"arrangement": (BA, NA)}, on=[("ntu120", "xset")])])
"""


def test_a_small_run_moves_the_places(tmp_path, synthetic_data):
    frame = inline(study_file(tmp_path, ON), tmp_path, synthetic_data)
    assert set(zip(frame["arm"], frame["benchmark"], frame["protocol"], strict=True)) == {
        ("weak", "synthetic", "xview"),
        ("strong", "synthetic", "xview"),
    }
    assert make_run(study_file(tmp_path, ON), tmp_path, synthetic_data)[0].scale == SCALE
    assert "synthetic xview linear" in report.accuracy_table(table(tmp_path).assign(seconds=0)).header


# Clustering


CLUSTERED = """
    from skelray import Clustering, Ensemble
    base = replace(base, epochs=1, evaluations=(Clustering(classes=3, keep=True),))
    study = Ablation(base=base, across={"stream": ["joint", "bone"]}, ensemble=Ensemble({"joint": 1.0, "bone": 1.0}),
                     published_by="clustering", arms=[Arm("apart", {"arrangement": (BA,)})])
"""


def test_an_ensemble_is_clustered_as_its_streams_side_by_side(tmp_path, synthetic_data):
    frame = inline(study_file(tmp_path, CLUSTERED), tmp_path, synthetic_data, epochs=1)
    assert set(zip(frame["stream"], frame["metric"], strict=True)) == {(s, "nmi") for s in ("joint", "bone", "joint+bone")}
    assert frame["value"].between(0, 1).all()
    pictures = sorted(path.name for path in (tmp_path / "results" / "figures" / "small").iterdir())
    assert [name for name in pictures if "joint_bone" in name or "joint+bone" in name]
    shown = report.accuracy_table(frame.assign(seconds=0.0))  # without a column of top-1
    assert "clustering nmi" in shown.header[-1]
    panels(gather_material("small", tmp_path / "results", str(tmp_path / "store")), Stored(Files(tmp_path / "store")))
    placed = pd.read_csv(tmp_path / "results" / "figures" / "small" / "features.csv")
    counts = placed.groupby("row")[["x", "y"]].nunique().min(axis=1)
    assert set(counts.index) == {"apart, joint", "apart, bone", "apart, joint+bone"}
    assert (counts > 2).all()
    run, _ = make_run(study_file(tmp_path, CLUSTERED), tmp_path, synthetic_data, epochs=1)
    (one,) = run.work.ensembles
    evaluation = one.trial.evaluations[0]
    stored = {s: run.context.store.trial(c.trial.id(run.context.fingerprint(c.trial))) for s, c in one.members.items()}
    from skelray.identity.canonical import canonical

    arrays = {stream: own.scores(1, canonical(evaluation)) for stream, own in stored.items()}
    expected = evaluation.fused(arrays, 0).metrics["nmi"]
    assert frame[frame["stream"] == "joint+bone"]["value"].tolist() == [pytest.approx(expected)]
    moved = {**arrays, "bone": {**arrays["bone"], "place_rows": arrays["bone"]["place_rows"] + 1}}
    with pytest.raises(UserError, match="of other samples"):
        evaluation.fused(moved, 0)
