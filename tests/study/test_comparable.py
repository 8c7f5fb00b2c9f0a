"""No published number stands beside data that is not what the paper's is."""

from dataclasses import replace

import numpy as np
import pytest
from small_study import study_file

from skelray import papers
from skelray.checks import UserError
from skelray.data import Preprocessing, load_splits, prepare
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.synthetic.benchmark import synthetic
from skelray.evaluation import Linear, SemiSupervised, Transfer
from skelray.papers import preprocessing_of
from skelray.runner.context import Settings
from skelray.runner.plan import make_plan
from skelray.runner.run import Run
from skelray.runner.study_file import load_study
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm, Reference
from skelray.study.cell import Cell
from skelray.study.comparable import SEQUENCES, why_data_differs, why_incomparable
from skelray.study.scale import Scale


class Sized:
    """A part of a split of so many sequences, prepared in this way."""

    def __init__(self, count, path, frames):
        self.count, self.path, self.sequences = count, path, np.empty((0, 3, frames, 25, 2))

    def __len__(self):
        return self.count


class Divided:
    def __init__(self, counts, path="centred", frames=50):
        self.train, self.test = (Sized(count, path, frames) for count in counts)


WHOLE = SEQUENCES["ntu60", "xsub"]


@pytest.mark.parametrize(
    ("trial", "splits", "said"),
    [
        (papers.HICLR, Divided(WHOLE), ""),
        (papers.HICO_GRU, Divided(WHOLE, "rigid", 300), ""),
        (papers.HICO_GRU, Divided(WHOLE), "prepare ntu60 SOURCE --path rigid --frames 300 --data ANOTHER` makes theirs"),
        (
            papers.HICLR,
            Divided(WHOLE, "rigid", 300),
            "reads 300 frames of --path rigid; `skelray prepare ntu60 SOURCE --path centred",
        ),
        (papers.HICLR, Divided(WHOLE, "centred", 64), "reads 64 frames of --path centred"),
        (papers.HICLR, Divided(WHOLE, "plain", 50), "reads 50 frames of --path plain"),
        (replace(papers.HICLR, frames=25), Divided(WHOLE), "reads 25 frames"),
        (replace(papers.HICO_GRU, benchmark="pku_mmd1"), Divided((9, 9)), ""),  # HiCo read 50 frames there
        (
            papers.HICLR,
            Divided((4_000, 1_600)),
            "4000 training and 1600 test sequences, where the papers have 40091 and 16487",
        ),
        (papers.HICLR, Divided((40_320, 16_560)), ""),  # with those of missing skeletons
    ],
)
def test_data_unlike_the_papers_is_told_apart(trial, splits, said):
    found = why_data_differs(trial, trial.benchmark, "xsub", splits, None)
    assert said in found
    assert bool(said) == bool(found)
    assert "\n" not in found


def test_a_method_of_ones_own_is_compared_with_what_the_study_says():
    class Own:
        pass

    trial = replace(papers.HICLR, benchmark="mine")
    object.__setattr__(trial, "method", Own())
    assert preprocessing_of(trial) is None
    assert why_data_differs(trial, "mine", "xsub", Divided((5, 5), "plain", 20), None) == ""
    assert "Own on mine" in why_data_differs(
        trial, "mine", "xsub", Divided((5, 5), "plain", 20), Preprocessing("rigid", 300)
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Small data under the name of a published benchmark whose size is not known: centred, 16 frames."""
    root = tmp_path_factory.mktemp("prepared")
    small = synthetic(subjects=2, replications=1)
    prepare(replace(small, name="pku_mmd1"), None, root, Preprocessing("centred", 16))
    return root


def opened(folder, data, study):
    return Run("s", study, None, Settings(data, str(folder / "store"), folder / "results", "cpu"))


def test_a_run_has_no_published_numbers_beside_other_data_and_says_why_once(tmp_path, prepared):
    assert "pku_mmd1" in BENCHMARKS
    base = replace(papers.HICLR, benchmark="pku_mmd1", evaluations=(Linear(),))
    arms = [Arm("a", published={"xsub": 80.0}), Arm("b", {"tau": 0.1}, {"xsub": 70.0})]
    study = Ablation(base, arms)
    run = opened(tmp_path, prepared, study)
    assert [cell.published for cell in run.work.cells] == [{}, {}]
    (told,) = run.work.incomparable()
    assert "they are of 50 frames prepared with --path centred, and here it reads 16 frames" in told
    assert told in make_plan(run).text()
    as_said = opened(tmp_path, prepared, replace(study, prepared=Preprocessing("centred", 16)))
    assert [cell.published["linear"] for cell in as_said.work.cells] == pytest.approx([0.8, 0.7])
    assert as_said.work.incomparable() == []
    ids = [[cell.trial.id("d") for cell in one.work.cells] for one in (run, as_said)]
    assert ids[0] == ids[1]  # what numbers stand beside a trial does not name it


def test_a_transfers_number_is_of_the_targets_data(tmp_path, prepared):
    """The source is as published, and what it is transferred to is not."""
    tuned = Transfer("pku_mmd1", "xview", Linear())
    base = replace(papers.HICLR, benchmark="pku_mmd1", evaluations=(Linear(), tuned))
    small = synthetic(subjects=2, replications=1)
    prepare(replace(small, name="pku_mmd2"), None, prepared, Preprocessing("centred", 8))
    tuned = replace(tuned, benchmark="pku_mmd2")
    base = replace(base, evaluations=(Linear(), tuned))
    arm = Arm("a", published={"xsub": 80.0, tuned.name: {"xsub": 50.0}})
    run = opened(tmp_path, prepared, Ablation(base, [arm], prepared=Preprocessing("centred", 16)))
    assert [cell.published for cell in run.work.cells] == [{"linear": 0.8}]
    assert "on pku_mmd2" in run.work.incomparable()[0]


def test_a_transfers_numbers_are_not_those_of_a_protocol_that_begins_alike():
    one, ten = (Transfer("florence3d", protocol, Linear()) for protocol in ("loao1", "loao10"))
    trial = replace(papers.HICLR, benchmark="mine", evaluations=(one,))
    published = dict.fromkeys([one.name, f"{one.name} top5", ten.name], 0.5)
    data = {"xsub": Divided(WHOLE), "loao1": Divided(WHOLE, "plain", 20)}
    found = why_incomparable(Cell("a", trial, {}, published), lambda _, protocol: data[protocol], None)
    assert [bool(why) for why in found.values()] == [True, True, False]


HERE = Preprocessing("centred", 16)
NUMBERS = {"linear": {"xsub": 80.0}, "semi 1%": {"xsub": 50.0}}
SHARES = (SemiSupervised(labels=0.01), SemiSupervised(labels=0.1))


@pytest.mark.parametrize(
    ("scale", "changes", "stands"),
    [
        ({}, {}, {"linear": 0.8, "semi 1%": 0.5}),  # and nothing beside 10 % of the labels
        ({"benchmark": "pku_mmd2"}, {}, {}),
        ({"protocols": ("xview",)}, {}, {}),
        ({"epochs": 3}, {}, {}),
        ({"changes": (("queue", 64),)}, {}, {}),
        ({}, {"prepared": Preprocessing("rigid", 16)}, {}),
        ({}, {"prepared": Preprocessing("centred", 50)}, {}),
    ],
    ids=str,
)
def test_no_number_stands_where_one_thing_is_another(tmp_path, prepared, scale, changes, stands):
    base = replace(papers.HICLR, benchmark="pku_mmd1", evaluations=(Linear(), *SHARES))
    small = synthetic(subjects=2, replications=1)
    if "benchmark" in scale:
        prepare(replace(small, name="pku_mmd2"), None, tmp_path, HERE)
    study = Ablation(base, [Arm("a", published=NUMBERS), Reference("r", {"xsub": 70.0})], prepared=HERE)
    run = opened(tmp_path, tmp_path if "benchmark" in scale else prepared, replace(study, **changes))
    run = Run("s", run.study, Scale(**scale), run.settings)
    assert [cell.published for cell in run.work.cells] == [pytest.approx(stands)]
    assert [one.published for one in run.work.references] == ([0.7] if stands else [])


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (Arm("a", {"stream": "bone"}, {"joint": {"xsub": 80.0}}), "published names stream 'joint'; arm 'a' has bone"),
        (
            Arm("a", {"evaluations": SHARES[1:]}, {"semi 1%": {"xsub": 50.0}}),
            "'semi 1%' is none of the evaluations semi 10%",
        ),
        (Arm("a", {"evaluations": SHARES}, {"xsub": 80.0}), "'linear' is none of the evaluations"),
        (Arm("a", {"benchmark": "ntu120"}, {"ntu60": {"xsub": 80.0}}), "it runs on ntu120 and not on ntu60"),
    ],
    ids=str,
)
def test_a_number_of_another_stream_evaluation_or_share_is_refused(arm, said):
    with pytest.raises(UserError, match=said):
        Ablation(replace(papers.HICLR, evaluations=(Linear(),)), [arm])


def test_prepared_data_says_its_path(prepared):
    assert load_splits(prepared, "pku_mmd1", "xsub").train.path == "centred"


def test_a_study_at_another_scale_has_nothing_to_say(tmp_path, synthetic_data):
    _, study, _ = load_study(
        study_file(tmp_path, "study = Ablation(base=replace(base, benchmark='synthetic'), arms=[Arm('a')])")
    )
    assert opened(tmp_path, synthetic_data, study).work.incomparable() == []
