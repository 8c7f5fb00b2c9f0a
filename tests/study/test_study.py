"""Studies: what they expand to, what is found wrong in them at once, and every study file of the project."""

import csv
import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna
import pytest
from tiny import TRIAL

from skelray import papers
from skelray.augment import BA, NA, Mask
from skelray.backbones import GRU, STGCN, Hierarchical
from skelray.checks import UserError
from skelray.evaluation import KNN, Linear, Transfer
from skelray.identity.canonical import canonical
from skelray.methods import HiCLR, SkeletonCLR, kl, l1
from skelray.runner.study_file import StudyError, load_study
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.study.cell import scalars
from skelray.study.parts import Factorial
from skelray.study.samplers import TPE
from skelray.study.scale import DEMO, Scale
from skelray.study.stopping import ASHA
from skelray.study.sweep import Sweep
from skelray.trial import SGD, Monitor

STUDIES = sorted((Path(__file__).parent.parent.parent / "studies").glob("*.py"))
TABLE = Ablation(
    base=replace(TRIAL, method=HiCLR(queue=32), evaluations=(Linear(),)),
    across={"protocol": ["xsub", "xview"], "stream": ("joint", "bone")},
    seeds=range(3),
    arms=[
        Arm("plain", published={"joint": {"xsub": 70.0}}),
        Arm("strong", {"lambda_h": 2.0, "lr": 0.3}, published={"joint": {"xsub": 71.5, "xview": 80.1}}),
    ],
)


# Ablations


def test_a_table_has_a_cell_for_each_arm_point_and_seed():
    cells = TABLE.cells()
    assert len(cells) == 2 * 2 * 2 * 3
    keys = [(c.trial.seed, c.trial.protocol, c.trial.stream, c.arm) for c in cells]
    assert len(set(keys)) == len(keys)
    assert keys[:5] == [
        (0, "xsub", "joint", "plain"),
        (0, "xsub", "joint", "strong"),
        (0, "xsub", "bone", "plain"),
        (0, "xsub", "bone", "strong"),
        (0, "xview", "joint", "plain"),
    ]
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)  # a whole table after the first seed
    assert len({cell.trial.id("d") for cell in cells}) == len(cells)


def test_a_cell_is_the_base_with_the_changes_of_arm_and_point():
    cell = next(c for c in TABLE.cells() if (c.arm, c.trial.seed, c.trial.stream) == ("strong", 2, "bone"))
    base = TABLE.base
    expected = replace(
        base,
        seed=2,
        stream="bone",
        method=replace(base.method, lambda_h=2.0),
        optimizer=replace(base.optimizer, lr=0.3),
    )
    assert cell.trial == expected
    assert cell.coordinates == {"protocol": "xsub", "stream": "bone"}
    assert json.loads(scalars(cell.coordinates)) == cell.coordinates
    for word in ("strong", "xsub", "bone", "seed 2"):
        assert word in cell.name


def test_expanding_twice_is_the_same():
    assert TABLE.cells() == TABLE.cells()
    assert TABLE.cells(Scale()) == TABLE.cells()


def test_an_arm_may_change_the_method_whole():
    study = Ablation(TRIAL, [Arm("a"), Arm("b", {"method": HiCLR(queue=32)})])
    assert [cell.trial.method for cell in study.cells()] == [TRIAL.method, HiCLR(queue=32)]
    assert [cell.trial.seed for cell in study.cells()] == [0, 0]


def test_what_goes_across_is_not_an_arms_to_set():
    with pytest.raises(ValueError, match="arm 'b' sets stream"):
        Ablation(TRIAL, [Arm("a"), Arm("b", {"stream": "motion"})], across={"stream": ["bone"]})


@pytest.mark.parametrize("seeds", [(0, 1), [0, 1], range(2), iter([0, 1])], ids=lambda seeds: type(seeds).__name__)
def test_seeds_may_be_any_series(seeds):
    study = Ablation(TRIAL, [Arm("a")], seeds=seeds)
    for _ in range(2):
        assert [cell.trial.seed for cell in study.cells()] == [0, 1]


def test_published_numbers_stand_beside_their_own_benchmark_and_protocol_only():
    def published(scale=None, study=TABLE):
        cells = [cell for cell in study.cells(scale) if cell.trial.stream == "joint"]
        return {(c.arm, c.trial.benchmark, c.trial.protocol): c.published.get("linear") for c in cells}

    assert published() == {
        ("plain", "tiny", "xsub"): pytest.approx(0.7),
        ("plain", "tiny", "xview"): None,
        ("strong", "tiny", "xsub"): pytest.approx(0.715),
        ("strong", "tiny", "xview"): pytest.approx(0.801),
    }
    assert published(Scale(benchmark="tiny")) == published()
    for elsewhere in (Scale(benchmark="other"), Scale(epochs=3), Scale(changes=(("queue", 64),)), Scale(small=True)):
        assert set(published(elsewhere).values()) == {None}
    both = replace(TABLE, across={**TABLE.across, "benchmark": ["tiny", "other"]})
    assert published(study=both)[("strong", "tiny", "xsub")] == pytest.approx(0.715)
    assert published(study=both)[("strong", "other", "xsub")] is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(TABLE, arms=[Arm("a", {"lamda_h": 1})]), "no field 'lamda_h'"),
        (lambda: replace(TABLE, across={"protcol": ["xsub"]}), "no field 'protcol'"),
        (lambda: replace(TABLE, across={"stream": ["sound"]}), "stream 'sound' is none of"),
        (lambda: replace(TABLE, arms=[Arm("a", {"tau": -1.0})]), "tau -1"),
        (lambda: replace(TABLE, arms=[Arm("a"), Arm("b"), Arm("a")]), "two arms are called 'a'"),
        (lambda: replace(TABLE, arms=[]), "at least one arm"),
        (lambda: Ablation(papers.SKELETONCLR, [Arm("a", {"lambda_h": 1})]), "no field 'lambda_h'"),
        (lambda: replace(TABLE, arms=[Arm("a", published={"xsub": 776})]), "published xsub 776"),
        (
            lambda: replace(TABLE, base=replace(TABLE.base, evaluations=(KNN(),)), published_by="linera"),
            "published_by 'linera' is none of",
        ),
        (lambda: Ablation(papers.HICLR, [Arm("a", published={"xveiw": 80.0})]), "'xveiw' is no protocol of ntu60"),
        (lambda: replace(TABLE, across={"seed": [0, 1]}), "give them as seeds"),
        (lambda: replace(TABLE, across={"protocol": "xsub"}), "across protocol 'xsub': a list of values is needed"),
        (lambda: replace(TABLE, across={"stream": ["joint", "joint"]}, arms=[Arm("a")]), "the same trial twice"),
        (lambda: Ablation(TRIAL, [Arm("a")], across={"lr": [1, 1.0]}), "cells 'a 1 seed 0' and 'a 1.0 seed 0' are the same"),
        (lambda: replace(TABLE, seeds=()), "at least one seed"),
        (lambda: replace(TABLE, seeds=(2**70,)), "seed 1180591620717411303424: a whole number, at most 9223372036854775807"),
        (lambda: replace(TABLE, seeds=(-1,)), "seed -1: a whole number, at least 0"),
        (lambda: replace(TABLE, seeds=(True,)), "seed True: a whole number"),
        (lambda: replace(TABLE, seeds=(1.0,)), "seed 1.0: a whole number"),
        (lambda: replace(TABLE, seeds=(float("nan"),)), "seed nan: a whole number"),
        (lambda: replace(TABLE, seeds=range(10**8)), "at most 1000 of them"),
        (lambda: replace(TABLE, seeds=itertools.count()), "at most 1000 of them"),
        (lambda: replace(TABLE, across={"tau": [0.1] * 1000, "lr": [0.1] * 1000}), "a study of 6000000 trials: at most"),
        (lambda: Arm(5), "arm 5: text is needed, as in '5'"),
        (lambda: Arm(None), "arm None: text is needed"),
        (lambda: Arm(""), "arm '': text is needed"),
        (lambda: Arm(" a"), "arm ' a': text is needed, without blanks at its ends"),
        (lambda: Arm("a\x1b[31m"), r"arm 'a.x1b\[31m': '.x1b' cannot be seen"),
        (lambda: Arm("a\nb"), "cannot be seen in a table"),
        (lambda: Arm("a\u202eb"), "cannot be seen in a table"),
        (lambda: replace(TABLE, arms=[Arm("a b"), Arm("a  b")]), "two arms are called 'a b'"),
        (lambda: replace(TABLE, arms=[Arm("a"), Arm("ａ")]), "two arms are called 'a'"),
        (lambda: replace(TABLE, across={"epochs": [10**30]}), "epochs 1000000000000000000000000000000: .* at most 10000000"),
        (lambda: replace(TABLE, arms=[Arm("a", {"queue": 10**12})]), "queue 1000000000000: a whole number, at most"),
        (lambda: replace(TABLE, arms=[Arm("a", {"dim": 10**12})]), "dim 1000000000000: a whole number, at most"),
        (lambda: replace(TABLE, arms=[Arm("a", {"frames": 10**12})]), "frames 1000000000000: a whole number, at most"),
        (lambda: replace(TABLE, arms=[Arm("a", {"batch_size": 10**12})]), "batch_size 1000000000000: .* at most"),
        (lambda: replace(TABLE, arms=[Arm("a", {"milestones": (10**30,)})]), "milestones 1.* at most"),
        (lambda: replace(TABLE, arms=[Arm("a", {"milestones": (1.5,)})]), "milestones .1.5,.: a tuple"),
        (lambda: replace(TABLE, arms=[Arm("a", {"momentum": float("nan")})]), "momentum nan: a number"),
        (lambda: replace(TABLE, arms=[Arm("a", {"weight_decay": -1.0})]), "weight_decay -1.0: a number, at least 0"),
        (lambda: replace(TABLE, arms=[Arm("a", {"nesterov": True, "momentum": 0})]), "nesterov True: it needs a momentum"),
        (lambda: STGCN(hidden_channels=10**12), "hidden_channels 1000000000000: .* at most"),
        (lambda: STGCN(hidden_dim=2.5), "hidden_dim 2.5: a whole number"),
        (lambda: Sweep(space=space, samples=10**12), "samples 1000000000000: .* at most"),
        (lambda: Sweep(space=space, samples=2.5), "samples 2.5: a whole number"),
        (lambda: ASHA(grace=10**30), "grace 1.* at most"),
        (lambda: TPE(seed=2**70), "seed 1.* at most"),
        (lambda: TPE(startup=-1), "startup -1: a whole number, at least 0"),
        (lambda: Monitor(KNN(), every=10**30), "every 1.* at most"),
        (lambda: Scale(epochs=10**30), "epochs 1.* at most"),
        (lambda: Scale(seeds=(2**70,)), "seed 1.* at most"),
        (lambda: replace(TRIAL, seed=10**5000), "seed of 16610 bits: a whole number, at most"),
        (lambda: replace(TABLE, seeds=(0, 0)), "the same trial twice"),
        (lambda: Ablation(TRIAL, [Arm("a")], across={"evaluations": [(KNN(),), (KNN(k=5),)]}), "the same trial twice"),
        (lambda: Scale(changes=(("seed", 5),)), "use --seeds"),
        (lambda: Scale(changes=(("protocol", "xsub"),)), "use --protocol"),
        (lambda: Sweep(space=partial(space)), r"space functools.partial\(.*\) is no function"),
        (lambda: Sweep(space=space, seeds=3), r"seeds 3: several are needed, as in range\(3\)"),
        (lambda: Sweep(space=space, seeds=[1, 1]), r"seeds \(1, 1\): each is given once"),
        (lambda: Sweep(space=space, monitor="knn"), "monitor='knn': an evaluation is needed"),
        (lambda: Sweep(space=space, published=["tau"]), r"published=\['tau'\]: values by name are needed"),
        (lambda: Sweep(space=space, objectives=3), "objectives=3: values by name are needed"),
        (lambda: ASHA(grace=0), "grace 0: a whole number, at least 1"),
        (lambda: ASHA(reduction=1), "reduction 1: a whole number, at least 2"),
        (lambda: ASHA(grace="x"), "grace 'x': a whole number"),
    ],
)
def test_what_is_wrong_is_found_when_the_study_is_made(make, said):
    with pytest.raises(ValueError, match=said):
        make()


# Scales


def test_no_scale_changes_nothing():
    assert Scale()(papers.HICLR) == papers.HICLR


def test_a_scale_stretches_and_shrinks_but_changes_no_arm():
    scale = Scale(benchmark="small", epochs=30, seeds=(7,), changes=(("queue", 64), ("lambda_h", 9.0), ("lr", 0.01)))
    cells = TABLE.cells(scale)
    assert len(cells) == 8
    assert {cell.trial.seed for cell in cells} == {7}
    assert {cell.trial.benchmark for cell in cells} == {"small"}
    assert {cell.trial.method.queue for cell in cells} == {64}
    by_arm = {cell.arm: cell.trial for cell in cells}
    assert (by_arm["plain"].method.lambda_h, by_arm["plain"].optimizer.lr) == (9.0, 0.01)
    assert (by_arm["strong"].method.lambda_h, by_arm["strong"].optimizer.lr) == (2.0, 0.3)


def test_a_scale_stretches_the_schedule():
    trial = Scale(epochs=30)(papers.HICLR)
    assert (trial.epochs, trial.optimizer.milestones, trial.method.mining_from) == (30, (25,), 15)


def test_a_scale_replaces_protocols_where_they_are_and_where_they_are_not():
    assert {c.trial.protocol for c in TABLE.cells(Scale(protocols=("xset",)))} == {"xset"}
    single = Ablation(TRIAL, [Arm("a")])
    assert [c.trial.protocol for c in single.cells(Scale(protocols=("xsub", "xview")))] == ["xsub", "xview"]


def test_an_unknown_field_of_a_scale_is_named():
    with pytest.raises(ValueError, match="no field 'widht'"):
        TABLE.cells(Scale(changes=(("widht", 3),)))


def test_a_scale_fills_in_a_whole_method_but_never_what_an_arm_is_about():
    whole = Ablation(papers.HICLR, [Arm("a", {"method": HiCLR(mining_from=None)}), Arm("b", {"method": HiCLR(tau=0.2)})])
    a, b = (c.trial.method for c in whole.cells(Scale(changes=(("queue", 64), ("m", 0.5)))))
    assert (a.queue, a.m, a.tau, a.mining_from) == (64, 0.5, 0.07, None)
    assert (b.queue, b.m, b.tau, b.mining_from) == (64, 0.5, 0.2, 150)
    for name, value, said in (
        ("tau", 0.5, "'a' has 0.07 and 'b' has 0.2"),
        ("mining_from", 9, "'a' has None and 'b' has 150"),
    ):
        with pytest.raises(UserError, match=f"--set {name}={value}: {said}"):
            whole.cells(Scale(changes=((name, value),)))
    small = [cell.trial.method for cell in whole.cells(Scale(small=True))]
    assert [method.queue for method in small] == [256, 256]


@pytest.mark.parametrize("queues", [(32768, 16384), (32768, 256), (256, 128)])
def test_a_field_in_which_whole_parts_differ_is_not_made_small(queues):
    arms = [Arm(f"queue {queue}", {"method": HiCLR(queue=queue)}) for queue in queues]
    one, other = (cell.trial for cell in Ablation(papers.HICLR, arms).cells(Scale(small=True)))
    assert (one.method.queue, other.method.queue) == queues
    assert one.method == replace(other.method, queue=one.method.queue)


def methods(*methods):
    return [Arm(name, {"method": method}) for name, method in zip("abcdef", methods, strict=False)]


def field_arms(**values):
    (name,) = values
    return [Arm(f"{name} {value}", {name: value}) for value in values[name]]


MERGED = {  # arms or across that differ, and a scale under which two of them would be one trial
    "the default of a whole method": (methods(HiCLR(), HiCLR(lambda_h=1.0)), {}, {"changes": (("lambda_h", "1"),)}),
    "another value than either": (methods(HiCLR(lambda_h=0.5), HiCLR(lambda_h=1.0)), {}, {"changes": (("lambda_h", "2"),)}),
    "the default as a whole number": (methods(HiCLR(lambda_h=1), HiCLR()), {}, {"changes": (("lambda_h", "1"),)}),
    "with its part": (methods(HiCLR(tau=0.1), HiCLR()), {}, {"changes": (("method.tau", "0.1"),)}),
    "methods of two kinds": (methods(HiCLR(queue=512), SkeletonCLR()), {}, {"changes": (("queue", "512"),)}),
    "the base beside a whole method": ([Arm("base"), *methods(HiCLR(tau=0.2))], {}, {"changes": (("tau", 0.1),)}),
    "whole methods across": ([Arm("a")], {"method": [HiCLR(), HiCLR(tau=0.2)]}, {"changes": (("tau", 0.2),)}),
    "backbones": (
        [Arm("a"), Arm("b", {"backbone": STGCN(dropout=0.0)})], {}, {"changes": (("dropout", "0"),)},
    ),
    "optimizers": ([Arm("a"), Arm("b", {"optimizer": SGD(lr=1.0)})], {}, {"changes": (("lr", "1"),)}),
    "the base beside a field": ([Arm("base"), *field_arms(tau=[0.2])], {}, {"changes": (("tau", "0.2"),)}),
    "epochs": (field_arms(epochs=[300, 301]), {}, {"epochs": 3}),
    "epochs across": ([Arm("a")], {"epochs": [300, 301]}, {"epochs": 3}),
    "milestones": (field_arms(milestones=[(250,), (251,)]), {}, {"epochs": 4}),
    "milestones of whole optimizers": (
        [Arm("a"), Arm("b", {"optimizer": SGD(milestones=(251,))})], {}, {"epochs": 4},
    ),
    "when mining starts": (field_arms(mining_from=[150, 151]), {}, {"epochs": 4}),
    "the small version beside a field": ([Arm("base"), *field_arms(queue=[256])], {}, {"small": True}),
    "small evaluations": (
        field_arms(evaluations=[(Transfer("nwucla", "xview", Linear()),), (Transfer("pku_mmd1", "xview", Linear()),)]),
        {}, {"small": True},
    ),
    "the benchmark": ([Arm("a"), Arm("b", {"benchmark": "nwucla"})], {}, {"benchmark": "nwucla"}),
}  # fmt: skip


@pytest.mark.parametrize(("arms", "across", "scale"), MERGED.values(), ids=MERGED)
def test_no_scale_makes_one_trial_of_two(arms, across, scale):
    study = Ablation(papers.HICLR, arms, across=across)
    assert len({json.dumps(canonical(cell.trial)) for cell in study.cells()}) == len(study.cells()) == 2
    for _ in range(2):  # and not only when it is asked first
        with pytest.raises(UserError, match=r"has .* and .* has|and .* differ in the study and would be the same"):
            study.cells(Scale(**scale))


def test_arms_that_are_one_trial_in_the_study_may_stay_one():
    study = Ablation(papers.HICLR, [Arm("a"), Arm("published", {"tau": 0.07})])
    first, second = study.cells(Scale(epochs=3, changes=(("queue", 512),)))
    assert first.trial == second.trial


def test_an_arm_that_names_its_protocol_is_not_run_on_another():
    study = Ablation(papers.HICLR, [Arm("a"), Arm("b", {"protocol": "xview"})])
    with pytest.raises(UserError, match="--protocol xsub: arm 'b' names its protocol itself"):
        study.cells(Scale(protocols=("xsub",)))


def test_a_part_is_named_where_two_have_a_field():
    study = Ablation(papers.HICO_TRANSFORMER, [Arm("a"), Arm("b", {"backbone": Hierarchical(s2s=GRU())})])
    trials = [c.trial for c in study.cells(Scale(changes=(("backbone.frames", "150"), ("frames", "75"))))]
    assert [(t.frames, t.backbone.frames, type(t.backbone.s2s).__name__) for t in trials] == [
        (75, 150, "Transformer"), (75, 150, "GRU"),
    ]  # fmt: skip


SMALL_SET = Scale(benchmark="other", changes=(("batch_size", "32"), ("queue", "512")))


def test_every_study_of_the_project_takes_the_readmes_settings_or_says_who_differs(loaded):
    name, study, _ = loaded
    if isinstance(study, Sweep):
        assert {t.method.queue for t in expanded(study, SMALL_SET)} == {512}
    elif name in ("nwucla_methods", "nwucla_evaluations"):
        with pytest.raises(UserError, match=r"--set queue=512: '.*' has 512 and '.*' has 256"):
            study.cells(SMALL_SET)
    else:
        trials = [cell.trial for cell in study.cells(SMALL_SET)]
        assert {(t.batch_size, t.method.queue) for t in trials} == {(32, 512)}
        own = {(t.protocol, t.stream, t.seed, t.id("d"), t.epochs) for t in (cell.trial for cell in study.cells())}
        moved = isinstance(study, Ablation) and study.on  # its places become the protocols of one benchmark
        there = own
        if moved:
            there = {(c.arm, *({**c.coordinates, "benchmark": "other"}.values()), c.trial.seed) for c in study.cells()}
        assert len({(t.id("d"), t.epochs) for t in trials}) == len(there)


def test_what_is_set_of_the_schedule_is_meant_as_it_stands():
    scale = Scale(epochs=30, changes=(("mining_from", 20), ("milestones", "[25, 28]")))
    trial = scale(papers.HICLR)
    assert (trial.epochs, trial.method.mining_from, trial.optimizer.milestones) == (30, 20, (25, 28))


def test_what_trains_still_trains_where_it_is_short():
    arms = [Arm("none", {"epochs": 0}), Arm("third", {"epochs": 100}), Arm("whole")]
    cells = Ablation(papers.HICLR, arms).cells(Scale(epochs=2))
    assert [cell.trial.epochs for cell in cells] == [0, 1, 2]


def test_the_demonstration_is_small():
    for trial in (papers.HICLR, papers.SKELETONCLR):
        small = DEMO(trial)
        assert DEMO(replace(trial, epochs=0)).epochs == 0
        assert small.benchmark == "synthetic"
        assert small.epochs <= 10
        assert small.backbone.hidden_channels < trial.backbone.hidden_channels
        assert small.method.queue < 1000


# Sweeps


def space(trial):
    method = HiCLR(queue=32, lambda_h=trial.suggest_float("lambda_h", 0.1, 1.0), similarity=l1)
    return replace(TRIAL, method=method, epochs=100, evaluations=(KNN(), Linear()))


SWEEP = Sweep(space=space, published={"lambda_h": 0.5}, samples=5, stopping=ASHA(grace=10, reduction=2))
SUGGESTION = optuna.trial.FixedTrial({"lambda_h": 0.25})


def test_a_sweep_turns_a_suggestion_into_a_monitored_trial():
    trial = SWEEP.trial(SUGGESTION)
    assert trial == replace(space(SUGGESTION), monitor=Monitor(KNN(), every=10))
    assert trial.method.lambda_h == 0.25


def test_the_test_split_is_not_for_searching():
    searched = SWEEP.searched(SUGGESTION)
    assert searched.evaluations == ()
    assert searched.id("d") == SWEEP.trial(SUGGESTION).id("d")  # so that the final evaluation finds the encoder


@pytest.mark.parametrize(("epochs", "every"), [(100, 10), (50, 5), (10, 1), (1, 1), (200, 20)])
def test_grace_is_scaled_with_the_schedule(epochs, every):
    trial = SWEEP.trial(SUGGESTION, Scale(epochs=epochs))
    assert (trial.epochs, trial.monitor.every) == (epochs, every)
    assert all(trial.monitor.due(rung, epochs) for rung in range(every, epochs, every))


def test_a_scale_sets_one_protocol_one_seed_and_the_number_of_samples():
    scale = Scale(benchmark="small", protocols=("xview", "xsub"), seeds=(4, 5), samples=3, changes=(("queue", 64),))
    trial = SWEEP.trial(SUGGESTION, scale)
    assert (trial.benchmark, trial.protocol, trial.seed, trial.method.queue) == ("small", "xview", 4, 64)
    assert (SWEEP.at_scale(scale).samples, SWEEP.at_scale(None).samples, SWEEP.at_scale(Scale()).samples) == (3, 5, 5)


def test_a_sweep_may_be_judged_by_another_evaluation():
    sweep = replace(SWEEP, monitor=Linear(epochs=5))
    assert sweep.trial(SUGGESTION).monitor.evaluation == Linear(epochs=5)
    assert sweep.trial(SUGGESTION).id("d") != SWEEP.trial(SUGGESTION).id("d")


# The study files of the project


@pytest.fixture(params=STUDIES, ids=lambda path: path.stem)
def loaded(request):
    return load_study(request.param)


def expanded(study, scale=None):
    """Trials of a study, of a sweep those of some random suggestions."""
    if not isinstance(study, Sweep):
        return [cell.trial for cell in study.cells(scale)]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.trial(search.ask(), scale) for _ in range(10)]


def test_there_are_studies():
    assert {path.stem for path in STUDIES} >= {"arrangement", "lambda_h_asha"}


@pytest.mark.parametrize("scale", [None, DEMO], ids=["as written", "demo"])
def test_every_study_expands_to_trials_that_have_an_id(loaded, scale):
    _, study, _ = loaded
    trials = expanded(study, scale)
    assert trials
    for trial in trials:
        assert json.loads(json.dumps(canonical(trial))) == canonical(trial)
        assert len(trial.id("data")) == 16
        assert trial.benchmark == ("synthetic" if scale else trial.benchmark)
    cells = {(trial.id("data"), trial.epochs) for trial in trials}
    assert len(cells) == len(trials) or isinstance(study, Factorial)  # whose parts may need others, no cell twice


def test_every_study_says_what_it_asks_and_how_to_run_it(loaded):
    name, _, module = loaded
    assert module.__doc__.split("\n")[0].rstrip().endswith((".", "?"))
    assert f"skelray run studies/{name}.py" in module.__doc__


def test_every_sweep_tries_its_published_setting_first(loaded):
    _, study, _ = loaded
    if not isinstance(study, Sweep):
        assert study.cells()
        return
    published = study.trial(optuna.trial.FixedTrial(dict(study.published)))
    assert published.evaluations


def test_the_arrangement_study_is_table_2(shared):
    """Arms, figures and setting against the paper's own."""
    with open(shared("papers/published_results.csv"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["paper"], row["item"]) == ("hiclr", "table2")]
    expected = {(row["variant"].replace(" ", ""), row["protocol"]): float(row["value"]) for row in rows}
    assert len(expected) == 10
    _, study, _ = load_study(STUDIES[0].parent / "arrangement.py")
    found = {}
    for cell in study.cells():
        trial = cell.trial
        entering = [entering.name for entering in trial.method.arrangement]
        assert f"[{','.join(entering)}]" == cell.arm.replace(" ", "")
        found[cell.arm.replace(" ", ""), trial.protocol] = cell.published["linear"]
        assert trial == replace(
            papers.HICLR, protocol=trial.protocol, seed=trial.seed, method=HiCLR(arrangement=trial.method.arrangement)
        )
    assert found == {key: pytest.approx(value / 100) for key, value in expected.items()}
    assert len(study.cells()) == 30
    (row,) = {(r["dataset"], r["stream"], r["evaluation"], r["metric"], r["pretrain_epochs"]) for r in rows}
    assert row == (papers.HICLR.benchmark, papers.HICLR.stream, study.published_by, "top1", str(papers.HICLR.epochs))


def test_the_sweep_of_the_project_starts_at_the_published_setting():
    _, study, _ = load_study(STUDIES[0].parent / "lambda_h_asha.py")
    published = study.trial(optuna.trial.FixedTrial(dict(study.published)))
    assert replace(published, monitor=None) == papers.HICLR
    assert published.method.similarity is kl
    assert published.method.arrangement == (BA, NA, Mask)


# Loading a study file


def write(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_a_study_may_define_its_own_parts(tmp_path):
    path = write(
        tmp_path,
        "from dataclasses import dataclass\n"
        "from skelray import Ablation, Arm, AugmentationSet, HiCLR, papers\n"
        "@dataclass(frozen=True)\nclass Double:\n    by: float = 2.0\n"
        "    def __call__(self, view):\n        return view.with_x(view.x * self.by)\n"
        "def mine(weak, strong):\n    return strong.z.mean()\n"
        "study = Ablation(papers.HICLR, [Arm('a', {'similarity': mine}),"
        " Arm('b', {'arrangement': (AugmentationSet('D', (Double(),)),)})])\n",
    )
    name, study, module = load_study(path)
    assert name == "mine"
    forms = [canonical(cell.trial)["method"] for cell in study.cells()]
    assert forms[0]["similarity"]["function"] == "mine"
    assert forms[1]["arrangement"][0]["augmentations"][0]["type"] == "Double"
    assert len(forms[0]["similarity"]["source"]) == len(canonical(module.Double())["source"]) == 16
    assert load_study(path)[1].cells()[0].trial.id("d") == study.cells()[0].trial.id("d")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study = 3\n", "names no study"),
        ("x = 1\n", "names no study"),
        ("x = 1\nstudy = (\n", "mine.py, line 2"),
        ("import skelray\n\nskelray.papers.HICLR.nothing\n", "line 3: AttributeError"),
        ("import nothing_of_the_kind\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        (
            "from skelray import Ablation, Arm, papers\nstudy = Ablation(\n    papers.HICLR, [Arm('a', {'lamda': 1})])\n",
            "mine.py, line 2: no field 'lamda' in this trial; it has ",
        ),
        ("def f():\n    raise KeyError('k')\n\nf()\n", "line 2: KeyError"),
    ],
)
def test_what_is_wrong_with_a_study_file_is_one_sentence_with_its_line(tmp_path, text, said):
    with pytest.raises(StudyError) as caught:
        load_study(write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match=r"there is no study file .*none\.py"):
        load_study(tmp_path / "none.py")


def test_settings_are_frozen():
    for thing in (TABLE, SWEEP, Scale(), ASHA(), Arm("a"), TABLE.cells()[0]):
        with pytest.raises(AttributeError):
            thing.anything = 1
