"""The papers' tables as studies: every figure is the paper's, none is left out, each says its cost and its claims."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import FixedTrial
from published_rows import Figure, figures, missing, of_project, rows
from result_rows import frame, row

from skelray import AblationPath, Sweep, papers
from skelray.cli.studies import count_stated_trials
from skelray.evaluation import Apart, Linear
from skelray.names import streams_in_order
from skelray.results.verdicts import verdicts_of_frame
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.run import Run
from skelray.runner.study_file import load_study
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.cell import scalars
from skelray.study.comparable import SEQUENCES
from skelray.study.scale import DEMO

STUDIES = sorted((Path(__file__).parent.parent.parent / "studies").glob("*.py"))
OTHERS = r"(?!\w*(_asha|_factorial|_path)$)"  # searches and parts
TABLES = [path for path in STUDIES if re.match(rf"{OTHERS}(aimclr_|hiclr_|hico_|knn|transfer)", path.stem)]
TRAINED = {place: counts[0] for place, counts in SEQUENCES.items()} | {  # PKU-MMD's are known roughly
    ("pku_mmd1", "xsub"): 18_841,
    ("pku_mmd2", "xsub"): 5_330,
    ("nwucla", "xview"): 1_020,
}
COST = re.compile(r"([\d.]+) h of training at 1000 samples/s")


@pytest.fixture(scope="module")
def published(shared):
    shared("papers/published_results.csv")
    return rows(shared("papers").parent)


@pytest.fixture(scope="module")
def found():
    return of_project()


def test_every_figure_of_every_study_is_a_papers(published, found):
    """By method, variant, backbone, stream, data set, protocol, evaluation, share of labels, metric and epochs."""
    assert len(found) > 480
    assert [one for one in found if not any(one.equals(row) for row in published)] == []


def test_every_figure_of_the_papers_stands_in_a_study(published, found):
    left = missing(found, published)
    assert [row for row in left if row["method"]] == []
    assert len(published) == 464


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 77.5},
        {"protocol": "xview"},
        {"stream": "bone"},
        {"benchmark": "ntu120"},
        {"column": "knn"},
        {"column": "semi 10%"},
        {"epochs": 100},
        {"backbone": "dsta"},
        {"named": (("aimclr", ""),)},
        {"named": (("hiclr", "[BA, NA, DAE]"),)},
    ],
    ids=str,
)
def test_a_figure_in_the_wrong_place_is_found(published, wrong):
    right = Figure("s", (("hiclr", ""),), "stgcn", "joint", "ntu60", "xsub", "linear", 300, 77.6)
    assert any(row["value"] == "77.6" for row in published)
    named = replace(right, named=(("hiclr", "[BA, NA, Mask]"),))
    assert any(named.equals(row) for row in published)
    assert not any(replace(named, **wrong).equals(row) for row in published)


def test_figures_are_those_of_cells_ensembles_and_references():
    study = Ablation(papers.HICLR, [Arm("HiCLR", published={"xsub": 77.6})])
    (one,) = figures(study, "s")
    assert (one.value, one.stream, one.epochs, one.named[0]) == (77.6, "joint", 300, ("hiclr", "[BA, NA, Mask]"))


def hours(trials):
    """Of training at 1000 samples a second, a step of each method taken as one; what goes on is trained once."""
    longest: dict[str, int] = {}
    for trial in trials:
        work = trial.epochs * TRAINED[trial.benchmark, trial.protocol]
        longest[trial.id("d")] = max(work, longest.get(trial.id("d"), 0))
    return sum(longest.values()) / 1000 / 3600


@pytest.mark.parametrize("path", [path for path in STUDIES if path not in TABLES], ids=lambda path: path.stem)
def test_every_other_study_opens_with_its_question_commands_trials_and_cost(path):
    """A search costs at most all its samples in full, a path each of its settings."""
    name, study, module = load_study(path)
    assert len(path.read_text().splitlines()) <= 90
    assert module.__doc__.splitlines()[0][-1] in "?."
    assert "    skelray prepare" in module.__doc__
    assert f"    skelray run studies/{name}.py" in module.__doc__
    if isinstance(study, Sweep | AblationPath):
        one = study.default if isinstance(study, AblationPath) else study.space(FixedTrial(dict(study.published)))
        took = count_stated_trials(module.__doc__) * hours([one])
    else:
        took = hours([cell.trial for cell in study.cells()])
    told = COST.search(module.__doc__)[1]
    assert round(took, len(told.partition(".")[2])) == float(told)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_papers_study_is_a_page_with_its_cost(path):
    """What it asks, how data is prepared, trials, and hours at 1000 samples a second, a step of each taken as one sample."""
    name, study, module = load_study(path)
    text = path.read_text()
    assert len(text.splitlines()) <= 90
    assert re.search(r"(Table|Figure|Tables) \d", module.__doc__.splitlines()[0])
    assert "skelray prepare" in module.__doc__
    trials = [cell.trial for cell in study.cells()]
    assert int(re.search(r"(\d+) trials", module.__doc__)[1]) == len({(t.id("d"), t.epochs) for t in trials}) == len(trials)
    assert int(COST.search(module.__doc__)[1]) == round(hours(trials))
    if any("hico" in type(trial.method).__name__.lower() and trial.benchmark.startswith("ntu") for trial in trials):
        assert "--path rigid --frames 300" in module.__doc__
    asked = study.notes()
    assert name in ("hico_linear", "hico_retrieval", "hico_semi", "transfer_hico") or any(
        one.claim for one in asked.contrasts or ()
    )


def test_the_claims_of_the_papers_are_planned():
    """Those that reference/studies.md lists: an order of arms each, with its sign."""
    planned = {}
    for path in STUDIES:
        name, study, _ = load_study(path)
        if isinstance(study, Ablation):
            planned[name] = {(one.arm, one.other, one.claim) for one in study.notes().contrasts or () if one.claim}
    best = "[BA, NA, Mask]"
    others = ("[NA, BA, Mask]", "[Mask, BA, NA]", "[BA+NA, Mask]", "[BA, NA+Mask]")
    assert planned["arrangement"] == {(best, other, "above") for other in others}
    assert planned["similarity"] == {("kl", "cosine", "above"), ("kl", "l1", "above"), ("cosine", "l1", "above")}
    assert ("BA, NA, Mask directly", "BA, NA directly", "below") in planned["strong"]
    assert ("[BA, NA, Mask]", "[BA, NA]", "above") in planned["strong"]
    assert {("HiCLR", "AimCLR", "above"), ("AimCLR", "SkeletonCLR", "above")} <= planned["knn"]
    assert ("normal, extreme", "normal", "above") in planned["aimclr_parts"]
    assert ("normal, extreme, EADM", "normal, extreme", "above") in planned["aimclr_parts"]
    assert ("AimCLR", "SkeletonCLR", "above") in planned["aimclr_epochs"]
    assert ("both, instance", "temporal, instance", "above") in planned["hico_levels"]
    assert ("+ clip, part", "+ domain", "above") in planned["hico_levels"]
    assert ("AimCLR", "AimCLR", "above") in planned["aimclr_ntu60"]  # its streams fused above each of them


def measured(study, name):
    """A table of the study as it would be, of numbers that mean nothing."""
    made = []
    for number, one in enumerate([*study.cells(), *study.fused()]):
        trial = one.trial
        stream = one.coordinates.get("stream", trial.stream)
        place = {"benchmark": trial.benchmark, "protocol": trial.protocol, "stream": stream, "seed": trial.seed}
        facts = {"arm": one.arm, "cell": scalars(one.coordinates), "epochs": trial.epochs, "epoch": trial.epochs}
        made.append(row(study=name, trial=f"t{number}", value=number % 7 / 7, **place, **facts))
    table = frame(made)
    table.attrs["notes"] = study.notes().as_json()
    return table


@pytest.mark.parametrize(
    "name", ["aimclr_epochs", *(pytest.param(p.stem, marks=pytest.mark.slow) for p in TABLES if p.stem != "aimclr_epochs")]
)
def test_every_claim_finds_its_cells_and_has_an_answer(name):
    """Three seeds decide nothing: not attainable."""
    _, study, _ = load_study(STUDIES[0].parent / f"{name}.py")
    claimed = {(one.arm, one.name) for one in study.notes().contrasts or () if one.claim}
    found = verdicts_of_frame(measured(study, name))
    answered = found[found["claim"] != ""] if claimed else found.iloc[:0]
    assert set(zip(answered["arm"], answered["baseline"], strict=True)) == claimed
    assert set(answered["claim"]) <= {"not attainable", "undecided"}
    assert set(answered["n"]) <= {3}


def test_the_parts_of_aimclr_train_no_skeletonclr_again():
    """ "normal" had an id of its own, and 18 trials were trained twice."""
    parts, streams = (load_study(STUDIES[0].parent / f"{name}.py")[1] for name in ("aimclr_parts", "streams"))
    normal = {cell.trial.id("d") for cell in parts.cells() if cell.arm == "normal"}
    assert len(normal) == 18
    assert normal == {cell.trial.id("d") for cell in streams.cells() if cell.arm == "SkeletonCLR"}
    whole = {cell.trial.id("d") for cell in parts.cells() if cell.arm == "normal, extreme, EADM, NNM"}
    assert whole == {cell.trial.id("d") for cell in streams.cells() if cell.arm == "AimCLR"}


def test_settings_that_were_decided_stay():
    """docs/fidelity.md says why."""
    assert all(semi.whole_epochs for semi in papers.AIMCLR_SEMI)
    assert not any(semi.whole_epochs for semi in papers.RELEASED_TUNED["aimclr"][1:])
    assert {(e.std, e.nesterov, e.init) for e in (papers.HICO_FINETUNE, *papers.HICO_SEMI)} == {(0.01, False, "normal")}
    assert papers.HICLR_PKU_MMD2.evaluations[-1] == Linear(epochs=200, milestones=(160,))
    assert papers.AIMCLR_ACROSS.evaluations[-1] == Apart(Linear(), papers.AIMCLR_FUSION)
    assert [papers.preprocessing_of(replace(papers.HICO_GRU, benchmark=name)) for name in ("ntu60", "pku_mmd1")] == [
        papers.RIGID,
        papers.CENTRED,
    ]


def test_one_training_of_aimclr_is_read_at_four_lengths():
    _, study, _ = load_study(STUDIES[0].parent / "aimclr_epochs.py")
    cells = study.cells()
    assert {cell.trial.epochs for cell in cells} == {100, 150, 200, 300}
    assert 4 * len({cell.trial.id("d") for cell in cells}) == len(cells)
    own = {c.trial.id("d") for c in cells if c.arm == "AimCLR" and c.trial.stream == "joint" and c.trial.seed == 0}
    assert own == {replace(papers.AIMCLR, protocol="xsub").id("d")}


@pytest.mark.slow
@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_papers_study_runs_end_to_end_as_a_demonstration(path, tmp_path, synthetic_data):
    name, study, _ = load_study(path)
    scale = replace(DEMO, protocols=("xsub",), changes=(("batch_size", 32),))
    run = Run(name, study, scale, Settings(synthetic_data, str(tmp_path / "store"), tmp_path / "results", "cpu"))
    run_inline(run)
    from skelray.report.figures.charts import draw_charts
    from skelray.report.text import failures_text, report_text
    from skelray.results.tables import load

    frame = load(name, tmp_path / "results")
    assert failures_text(frame) == []
    assert set(frame["status"]) == {"done"}
    assert frame["published"].isna().all()
    arms = [arm.label for arm in study.rows_run]
    assert list(dict.fromkeys(frame["arm"])) == arms
    assert all(arm in report_text(frame) for arm in arms)
    if study.ensemble is not None:
        assert streams_in_order(study.ensemble.stream) in set(frame["stream"].map(streams_in_order))
    assert len(draw_charts(frame)) == len(study.figures)
