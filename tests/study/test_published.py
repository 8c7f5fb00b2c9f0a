"""A published number belongs to one cell: it is refused or right, never dropped or repeated."""

from dataclasses import dataclass, replace

import pytest

from skelray import papers
from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Clustering, EvaluationResult, HeldOut, Linear, Retrieval
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.scale import Scale

BOTH = {"protocol": ["xsub", "xview"]}
LENGTHS = {"epochs": [100, 150, 200, 300]}
READ = replace(papers.HICLR, evaluations=(KNN(), Linear(), Retrieval(), Clustering()))


def found(study, scale=None):
    """Every published number of the table with its cell."""
    cells = [*study.cells(scale), *study.fused(scale)]
    return {(c.arm, *map(str, c.coordinates.values()), name): value for c in cells for name, value in c.published.items()}


def test_an_arm_on_another_benchmark_has_its_own_number():
    """It was dropped: only the base's benchmark had numbers."""
    arms = [Arm("60", published={"xsub": 77.6}), Arm("120", {"benchmark": "ntu120"}, {"xsub": 67.9})]
    study = Ablation(papers.HICLR, arms)
    assert found(study) == pytest.approx({("60", "linear"): 0.776, ("120", "linear"): 0.679})
    with pytest.raises(UserError, match="'xview' is no protocol of ntu120; it has xsub, xset"):
        replace(study, arms=[Arm("120", {"benchmark": "ntu120"}, {"xview": 67.9})])


def test_a_study_across_benchmarks_names_them():
    study = Ablation(
        papers.HICLR, [Arm("a", published={"xsub": 77.6, "ntu120": {"xsub": 67.9}})], {"benchmark": ["ntu60", "ntu120"]}
    )
    assert found(study) == pytest.approx({("a", "ntu60", "linear"): 0.776, ("a", "ntu120", "linear"): 0.679})
    with pytest.raises(UserError, match="it runs on ntu60, ntu120 and not on pku_mmd1"):
        replace(study, arms=[Arm("a", published={"pku_mmd1": {"xsub": 50.0}})])


def test_metrics_other_than_top1_have_their_column():
    """They were dropped. NMI is a fraction in the papers, mean average precision percent."""
    arm = Arm(
        "a", published={"clustering": {"xsub": 0.6668}, "retrieval map": {"xsub": 40.0}, "linear top5": {"xsub": 93.0}}
    )
    expected = {("a", "clustering nmi"): 0.6668, ("a", "retrieval map"): 0.4, ("a", "linear top5"): 0.93}
    assert found(Ablation(READ, [arm])) == pytest.approx(expected)
    assert found(Ablation(READ, [replace(arm, published={"clustering nmi": {"xsub": 0.6668}})])) == {
        ("a", "clustering nmi"): 0.6668
    }
    assert found(Ablation(READ, [Arm("a", published={"xsub": 0.5})], published_by="clustering")) == {
        ("a", "clustering nmi"): 0.5
    }


@dataclass(frozen=True)
class Rank:
    """An evaluation of a study's own, which says what it measures."""

    metrics = ("top1", "rank")
    name: str = "own"

    def __call__(self, encoder, train, test):
        return EvaluationResult()


def test_an_evaluation_of_ones_own_says_what_it_measures():
    base = replace(papers.HICLR, evaluations=(Rank(),))
    assert found(Ablation(base, [Arm("a", published={"own rank": {"xsub": 0.3}})])) == {("a", "own rank"): 0.3}
    with pytest.raises(UserError, match=r"'own mrr' is none of the evaluations own .* it measures top1, rank"):
        Ablation(base, [Arm("a", published={"own mrr": {"xsub": 0.3}})])


def test_a_number_along_an_axis_says_where_it_stands():
    """76.5 stood beside 100, 150, 200 and 300 epochs."""
    said = r"would stand at epochs 100, 150, 200, 300: say at which, as published=\{\(\"epochs\", 300\): \{'xsub': 76.5\}\}"
    with pytest.raises(UserError, match=said):
        Ablation(papers.AIMCLR, [Arm("a", published={"xsub": 76.5})], LENGTHS)
    numbers = {
        ("epochs", length): {"xsub": value}
        for length, value in zip(LENGTHS["epochs"], (76.5, 77.4, 78.3, 78.9), strict=True)
    }
    study = Ablation(papers.AIMCLR, [Arm("a", published=numbers)], LENGTHS)
    assert list(found(study).values()) == pytest.approx([0.765, 0.774, 0.783, 0.789])
    assert found(study, Scale(epochs=30)) == {}
    with pytest.raises(UserError, match="has no cell: the study goes across epochs 100, 150, 200, 300, and not 250"):
        replace(study, arms=[Arm("a", published={("epochs", 250): {"xsub": 76.5}})])
    with pytest.raises(UserError, match="300, and not '300'"):
        Ablation(papers.HICLR, [Arm("a", published={("epochs", "300"): {"xsub": 76.5}})], {"epochs": [100, 150, 200, 300]})
    with pytest.raises(UserError, match="goes across tau not at all"):
        replace(study, arms=[Arm("a", published={("tau", 0.1): {"xsub": 76.5}})])


def test_an_axis_of_one_value_leaves_no_choice():
    assert found(Ablation(papers.AIMCLR, [Arm("a", published={"xsub": 78.9})], {"epochs": [300]})) == {
        ("a", "300", "linear"): 0.789
    }


def test_axes_of_parts_are_said_by_the_parts():
    two = (papers.HICLR.method, papers.AIMCLR.method)
    study = Ablation(papers.HICLR, [Arm("a", published={("method", two[1]): {"xsub": 74.3}})], {"method": two})
    assert [cell.published for cell in study.cells()] == [{}, {"linear": pytest.approx(0.743)}]


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ({"xview": 82.0}, r'has no cell: it runs xsub; add "xview" to across=\{"protocol": \[...\]\} or leave it out'),
        ({"bone": {"xsub": 50.0}}, "published names stream 'bone'; arm 'a' has joint"),
        ({"knn": {"xsub": 50.0}, "joint": {"knn": {"xsub": 51.0}}}, "two numbers for one cell"),
        ({"xsub": 50.0, "linear": {"xsub": 50.0}}, "two numbers for one cell"),
        ({"linear": {"knn": {"xsub": 50.0}}}, "two of one kind, 'linear' and 'knn'"),
        ({"xsub": 0.776}, "percent are needed, as 77.6"),
        ({"clustering": {"xsub": 66.68}}, "a fraction of 0..1 is needed"),
        ({"retrieval mpa": {"xsub": 50.0}}, "'retrieval mpa' is none of the evaluations .* it measures top1, top5, map"),
        ({"knn held-out": {"xsub": 50.0}}, "'knn held-out' is none of the evaluations"),
    ],
)
def test_a_number_without_a_cell_of_its_own_is_refused(published, said):
    base = replace(READ, evaluations=(*READ.evaluations, HeldOut(KNN())))
    with pytest.raises(UserError, match=said):
        Ablation(base, [Arm("a", published=published)])


@pytest.mark.parametrize("value", ["77.6", True, None, 776, -1, float("nan"), float("inf")])
def test_what_is_no_number_of_a_paper_is_refused(value):
    with pytest.raises(UserError, match=r"arm 'a' has published xsub .*: a percentage is needed"):
        Arm("a", published={"xsub": value})


def test_numbers_and_no_evaluation_are_refused():
    with pytest.raises(UserError, match="no evaluation: add the one that it is of, 'linear'"):
        Ablation(replace(READ, evaluations=()), [Arm("a", published={"xsub": 50.0})])


def test_an_ensemble_has_numbers_of_what_has_scores():
    across = {"stream": ["joint", "bone"]}
    ensemble = Ensemble({"joint": 0.5, "bone": 0.5})
    study = Ablation(READ, [Arm("a", published={"joint+bone": {"xsub": 80.0}})], across, ensemble=ensemble)
    assert found(study) == {("a", "joint+bone", "linear"): 0.8}
    for name in ("clustering", "retrieval map"):
        with pytest.raises(UserError, match="is not read there"):
            replace(study, arms=[Arm("a", published={"joint+bone": {name: {"xsub": 0.0}}})])


# Cells that are one trial


@pytest.mark.parametrize(
    ("arms", "across", "scale", "said"),
    [
        (
            ["a"],
            {"epochs": [300, 301]},
            Scale(epochs=3),
            "'a 300 seed 0' and 'a 301 seed 0' differ .* would be the same trial with --epochs 3",
        ),
        (["a"], {"batch_size": [64, 128]}, Scale(small=True), None),
        ([("a", {"epochs": 100}), ("b", {"epochs": 300})], {}, Scale(epochs=1), "'a seed 0' and 'b seed 0' .*--epochs 1"),
        (["a"], {}, Scale(seeds=(0, 0)), "'a seed 0' and 'a seed 0' are the same trial twice"),
        (["a"], {}, Scale(protocols=("xsub", "xsub")), "the same trial twice"),
        ([("a", {}), ("b", {"tau": 0.07})], {}, Scale(epochs=3), None),  # the study says so itself: trained once
    ],
)
def test_cells_that_a_scale_makes_one_are_found_before_training(arms, across, scale, said):
    arms = [Arm(*arm) if isinstance(arm, tuple) else Arm(arm) for arm in arms]
    study = Ablation(papers.HICLR, arms, across)
    if said is None:
        assert study.cells(scale)
        return
    with pytest.raises(UserError, match=said):
        study.cells(scale)
