"""Trials: equal content equal id, changes by name, stretched schedules, and the papers' settings."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TRIAL

from skelray import papers
from skelray.augment import BA, NA, AugmentationSet, Blur, Crop, Flip, Mask, Noise, RandomMask, Rotate, Shear
from skelray.backbones import STGCN
from skelray.evaluation import KNN, Linear
from skelray.identity.canonical import canonical, digest
from skelray.methods import EADM, SIMILARITIES, CrosSCLR, HiCLR, SkeletonCLR, cosine, cross_entropy, kl
from skelray.study.changes import changed
from skelray.study.samplers import TPE
from skelray.study.scale import Scale
from skelray.study.stopping import ASHA
from skelray.trial import SGD, Monitor, Trial

MONITORED = replace(papers.HICLR, monitor=Monitor(KNN()), frames=30)
NOT_IN_THE_ID = {"epochs", "evaluations"}


@dataclass(frozen=True)
class Own:
    """An augmentation of a study file."""

    strength: float = 1.0

    def __call__(self, view):
        return view


def own(weak, strong):
    """A similarity of a study file."""
    return kl(weak, strong) * 2


def other_value(value):
    """A value of the same kind that is not this one, or None where there is no telling."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.1
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return (*value[:-1], value[-1] + 1)
    choices = {
        "joint": "bone",
        "float32": "bfloat16",
        "copy": "independent",
        "normal": "he",
        "hop1": "spatial",
        "average": "exclude",
        "ntu60": "ntu120",
        "xsub": "xview",
    }
    return choices.get(value) if isinstance(value, str) else None


def variants(part, path=""):
    """(where, the dataclass with one scalar anywhere inside it changed)."""
    for field in fields(part):
        value, where = getattr(part, field.name), f"{path}{field.name}"
        different = other_value(value)
        if different is not None:
            try:
                yield where, replace(part, **{field.name: different})
            except ValueError:  # a value that only goes with another
                yield where, replace(part, **{field.name: type(value)(value * 0.9)})
        elif is_dataclass(value):
            for deeper, inner in variants(value, f"{where}."):
                yield deeper, replace(part, **{field.name: inner})
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if is_dataclass(item):
                    for deeper, inner in variants(item, f"{where}[{i}]."):
                        yield deeper, replace(part, **{field.name: (*value[:i], inner, *value[i + 1 :])})


def names_in(part):
    return {field.name for field in fields(part)}


ALL_VARIANTS = dict(variants(MONITORED))


# Ids


def test_equal_trials_have_equal_ids():
    twin = replace(MONITORED, method=HiCLR(arrangement=(BA, NA, Mask), lambda_h=0.5))
    assert twin is not MONITORED
    assert twin == MONITORED
    assert twin.id("data") == MONITORED.id("data")
    assert len(twin.id("data")) == 16
    assert set(twin.id("data")) <= set("0123456789abcdef")


@pytest.mark.parametrize("where", [w for w in ALL_VARIANTS if w.split("[")[0].split(".")[0] not in NOT_IN_THE_ID])
def test_every_scalar_changes_the_id(where):
    assert ALL_VARIANTS[where] != MONITORED
    assert ALL_VARIANTS[where].id("data") != MONITORED.id("data")


def test_no_field_was_forgotten_above():
    varied = {w for w in ALL_VARIANTS if "." not in w}
    assert varied >= names_in(MONITORED) - {"backbone", "method", "optimizer", "monitor", "evaluations", "imported"}
    for part in ("backbone", "method", "optimizer", "monitor"):
        varied = {w.split(".")[1].split("[")[0] for w in ALL_VARIANTS if w.startswith(f"{part}.")}
        missing = names_in(getattr(MONITORED, part)) - varied
        assert missing <= {"similarity", "weights"}
    for augmentation in (*BA.augmentations, *NA.augmentations, *Mask.augmentations):
        for name in names_in(augmentation):
            assert any(w.startswith("method.arrangement") and w.endswith(f".{name}") for w in ALL_VARIANTS)


def test_parts_of_another_kind_change_the_id():
    trials = [
        MONITORED,
        replace(MONITORED, method=SkeletonCLR()),
        replace(MONITORED, method=HiCLR(similarity=cosine)),
        replace(MONITORED, method=HiCLR(similarity=own)),
        replace(MONITORED, method=HiCLR(weights=(1.0, 1.0))),
        replace(MONITORED, method=HiCLR(weights=(1.0, 0.5))),
        replace(MONITORED, method=HiCLR(mining_from=None)),
        replace(MONITORED, method=HiCLR(arrangement=(BA, NA))),
        replace(MONITORED, method=HiCLR(arrangement=(NA, BA, Mask))),
        replace(MONITORED, method=HiCLR(arrangement=(BA, NA + Mask))),
        replace(MONITORED, method=HiCLR(arrangement=(BA, AugmentationSet("NA", (Own(),)), Mask))),
        replace(MONITORED, method=HiCLR(arrangement=(BA, AugmentationSet("NA", (Own(2.0),)), Mask))),
        replace(MONITORED, monitor=None),
        replace(MONITORED, monitor=Monitor(Linear())),
        replace(MONITORED, frames=None),
    ]
    assert len({trial.id("data") for trial in trials}) == len(trials)


def test_length_and_evaluations_leave_the_id_alone_and_the_data_does_not():
    longer = replace(MONITORED, epochs=600, evaluations=())
    assert longer.id("data") == MONITORED.id("data")
    assert MONITORED.id("other data") != MONITORED.id("data")


@pytest.mark.parametrize(
    ("whole", "same"),
    [
        (SGD(lr=1), SGD(lr=1.0)),
        (HiCLR(lambda_h=2), HiCLR(lambda_h=2.0)),
        (HiCLR(weights=(1, 2)), HiCLR(weights=(1.0, 2.0))),
        (STGCN(dropout=0), STGCN(dropout=0.0)),
    ],
)
def test_a_number_means_the_same_whole_or_not(whole, same):
    assert canonical(whole) == canonical(same)
    assert json.dumps(canonical(whole)) == json.dumps(canonical(same))


def test_lists_mean_the_same_as_tuples():
    assert canonical(SGD(milestones=[1, 2])) == canonical(SGD(milestones=(1, 2)))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_numbers_have_one_form_each(a, b):
    assert (digest(canonical(a)) == digest(canonical(b))) is (a == b)
    assert json.loads(json.dumps(canonical(a))) == a


def test_the_canonical_form_is_json_and_says_all():
    form = canonical(MONITORED)
    assert json.loads(json.dumps(form)) == form
    assert form["type"] == "Trial"
    assert form["method"]["similarity"] == {"function": "kl"}
    assert form["method"]["arrangement"][1]["augmentations"][0] == {"type": "Flip", "probability": 0.5, "mirror": False}
    assert form["monitor"] == {"type": "Monitor", "evaluation": {"type": "KNN", "k": 1, "temperature": None}, "every": 25}


@pytest.mark.parametrize(
    "value",
    [object(), torch.zeros(1), {1, 2}, {"a": 1}, KNN, torch.relu, print, b"bytes", 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_refused(value):
    with pytest.raises(ValueError, match="cannot be part of a trial"):
        canonical(value)


def test_the_id_does_not_depend_on_the_process():
    """Another process, another hash seed, another working folder."""
    script = "from skelray import papers; print([t.id('d') for t in (papers.HICLR, *papers.RELEASED.values())])"
    expected = str([t.id("d") for t in (papers.HICLR, *papers.RELEASED.values())])
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=True)
    assert found.stdout.strip() == expected


def module_from(folder: Path, source: str):
    """The module of a file in a folder, as a study file is loaded."""
    path = folder / "study_of_a_test.py"
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


STUDY = """
    from dataclasses import dataclass

    # {comment}

    @dataclass(frozen=True)
    class Shake:
        by: float = 0.1
        def __call__(self, view):
            return view.with_x(view.x + {amount})

    def distance(weak, strong):
        return {result}
"""


def test_what_a_study_defines_brings_its_source_along(tmp_path):
    def forms(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        source = STUDY.format(**{"comment": "as it was", "amount": "self.by", "result": "weak", **changes})
        module = module_from(folder, source)
        return canonical(module.Shake()), canonical(module.distance)

    shake, distance = forms("first")
    assert shake["type"] == "Shake"
    assert distance["function"] == "distance"
    assert forms("again") == (shake, distance)
    assert forms("elsewhere", comment="another remark") == (shake, distance)
    changed_shake, same_distance = forms("class", amount="2 * self.by")
    assert changed_shake != shake
    assert same_distance == distance
    same_shake, changed_distance = forms("function", result="strong")
    assert same_shake == shake
    assert changed_distance != distance


def test_a_definition_keeps_its_form_where_its_source_is_gone(tmp_path):
    """As on the node of a cluster, which gets the class and not the file."""
    module = module_from(tmp_path, STUDY.format(comment="", amount="1", result="weak"))
    forms = canonical(module.Shake()), canonical(module.distance)
    (tmp_path / "study_of_a_test.py").write_text("nothing = 0\n")
    assert (canonical(module.Shake(0.1)), canonical(module.distance)) == forms


# Changes by name


@pytest.mark.parametrize(
    ("name", "value", "home"),
    [
        ("seed", 3, ""),
        ("epochs", 7, ""),
        ("protocol", "xview", ""),
        ("stream", "motion", ""),
        ("tau", 0.2, "method"),
        ("arrangement", (BA,), "method"),
        ("lr", 0.5, "optimizer"),
        ("milestones", (5, 6), "optimizer"),
        ("hidden_dim", 32, "backbone"),
    ],
)
def test_a_field_is_changed_wherever_it_lives(name, value, home):
    trial = changed(papers.HICLR, {name: value})
    part, old = (getattr(t, home) if home else t for t in (trial, papers.HICLR))
    assert getattr(part, name) == value
    assert part == replace(old, **{name: value})
    back = changed(trial, {name: getattr(old, name)})
    assert back == papers.HICLR


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "3", 3),
        ("tau", "0.1", 0.1),
        ("tau", "1", 1),
        ("lr", "1e-2", 0.01),
        ("nesterov", "True", True),
        ("nesterov", "false", False),
        ("milestones", "[10, 20]", (10, 20)),
        ("mining_from", "null", None),
        ("frames", "25", 25),
        ("stream", "bone", "bone"),
        ("similarity", "l1", SIMILARITIES["l1"]),
        ("similarity", "cross_entropy", papers.RELEASED["hiclr"].method.similarity),
        ("precision", "bfloat16", "bfloat16"),
    ],
)
def test_values_may_come_as_text(name, text, value):
    trial = changed(papers.HICLR, {name: text})
    homes = [trial, trial.method, trial.optimizer, trial.backbone]
    found = next(getattr(part, name) for part in homes if name in names_in(part))
    assert found == value
    assert type(found) is type(value)


def test_an_unknown_field_names_those_there_are():
    with pytest.raises(ValueError, match="no field 'lamda_h'") as error:
        changed(papers.HICLR, {"lamda_h": 0.5})
    for name in ("lambda_h", "tau", "batch_size", "milestones", "hidden_channels"):
        assert name in str(error.value)


def test_a_field_of_another_method_is_unknown():
    with pytest.raises(ValueError, match="no field 'lambda_h'"):
        changed(papers.SKELETONCLR, {"lambda_h": 0.5})


@pytest.mark.parametrize(
    ("trial", "changes", "said"),
    [
        (papers.HICLR, {"similarity": "manhattan"}, "similarity 'manhattan' is none of kl, cosine, l1, cross_entropy"),
        (papers.HICLR, {"tau": "warm"}, "tau 'warm': a value like 0.07"),
        (papers.HICLR, {"seed": "1.5"}, "seed 1.5: a whole number"),
        (papers.HICLR, {"epochs": 2.5}, "epochs 2.5: a whole number"),
        (papers.HICLR, {"lr": "null"}, "lr None: a value like 0.1"),
        (papers.HICLR, {"lr": "[1]"}, "lr .1,.: a value like 0.1"),
        (papers.HICLR, {"milestones": "5"}, "milestones 5: a value like"),
        (papers.HICLR, {"method": "5"}, "method cannot be given as text"),
        (papers.HICLR, {"backbone": "null"}, "backbone cannot be given as text"),
        (papers.HICLR, {"nesterov": "1"}, "nesterov 1: a value like False"),
        (papers.HICLR, {"seed": True}, "seed True"),
        (papers.HICLR, {"tau": -1}, "tau -1"),
        (papers.HICLR, {"stream": "sound"}, "stream 'sound' is none of joint, bone, motion"),
        (papers.HICLR, {"frames": 12.5}, "frames 12.5"),
        (papers.HICLR, {"epochs": None}, "epochs None"),
        (papers.SKELETONCLR, {"query": "NA"}, "query .NA.: a value like AugmentationSet"),
    ],
)
def test_a_value_of_the_wrong_kind_says_what_is_needed(trial, changes, said):
    with pytest.raises(ValueError, match=said):
        changed(trial, changes)


def test_the_original_is_left_alone():
    before = canonical(papers.HICLR)
    changed(papers.HICLR, {"tau": 1.0, "seed": 9, "lr": 3.0})
    assert canonical(papers.HICLR) == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(TRIAL, stream="sound"), "stream 'sound' is none of joint, bone, motion"),
        (lambda: replace(TRIAL, precision="float16"), "precision 'float16' is none of float32, tf32, bfloat16"),
        (lambda: replace(TRIAL, epochs=-1), "epochs -1"),
        (lambda: replace(TRIAL, batch_size=0), "batch_size 0"),
        (lambda: replace(TRIAL, frames=0), "frames 0"),
        (lambda: SGD(lr=0), "lr 0"),
        (lambda: SGD(lr=float("nan")), "lr nan"),
        (lambda: SGD(lr=float("inf")), "lr inf"),
        (lambda: Monitor(KNN(), every=0), "every 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


# Schedules


def test_the_rate_falls_after_each_milestone():
    sgd = SGD(lr=1.0, milestones=(3, 5))
    assert [sgd.lr_at(epoch) for epoch in range(1, 8)] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(("epochs", "milestone", "mining"), [(300, 250, 150), (30, 25, 15), (8, 7, 4), (600, 500, 300)])
def test_a_schedule_is_stretched_whole(epochs, milestone, mining):
    trial = papers.HICLR.lasting(epochs)
    assert (trial.epochs, trial.optimizer.milestones, trial.method.mining_from) == (epochs, (milestone,), mining)
    assert replace(trial, epochs=300, optimizer=papers.HICLR.optimizer, method=papers.HICLR.method) == papers.HICLR


@given(st.integers(1, 2000))
@settings(max_examples=50, deadline=None)
def test_stretching_keeps_the_order_of_events(epochs):
    trial = papers.HICLR.lasting(epochs)
    assert 1 <= trial.optimizer.milestones[0] <= max(1, epochs)
    assert trial.method.mining_from <= trial.optimizer.milestones[0]


def test_stretching_what_never_mines():
    never = replace(papers.HICLR, method=HiCLR(mining_from=None))
    assert never.lasting(30).method.mining_from is None
    assert papers.SKELETONCLR.lasting(30).method == SkeletonCLR()


def test_a_monitor_is_due_at_its_multiples_and_at_the_end():
    monitor = Monitor(KNN(), every=4)
    assert [e for e in range(1, 11) if monitor.due(e, last=10)] == [4, 8, 10]


# The papers


def test_the_published_settings():
    """methods.md, 5.1 and 6.1, and the implementation sections of the papers."""
    stgcn = (papers.SKELETONCLR, papers.CROSSCLR, papers.AIMCLR, papers.HICLR)
    released = [papers.RELEASED[name] for name in ("skeletonclr", "crossclr", "aimclr", "hiclr")]
    for trial in (*stgcn, *released):
        stream = "joint+motion+bone" if isinstance(trial.method, CrosSCLR) else "joint"
        epochs = 290 if trial == papers.RELEASED["hiclr"] else 300  # the checkpoint that its configuration evaluates
        assert (trial.epochs, trial.batch_size, trial.stream, trial.precision) == (epochs, 128, stream, "float32")
        assert trial.optimizer == SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=False, milestones=(250,))
        method = trial.method
        assert (method.tau, method.m, method.queue, method.dim) == (0.07, 0.999, 32768, 128)
        assert (trial.backbone.hidden_channels, trial.backbone.hidden_dim, trial.backbone.dropout) == (16, 256, 0.5)
        last = (KNN(), Linear(lr=3.0, epochs=100, milestones=(80,), batch_size=128))
        best = replace(last[1], selection="released", every=5)
        assert trial.evaluations == ((*last, best) if trial in released else last)
        assert trial.monitor is None
    assert (papers.SKELETONCLR.method.query, papers.SKELETONCLR.method.key) == (BA, BA)
    hiclr = papers.HICLR.method
    assert (hiclr.arrangement, hiclr.lambda_h, hiclr.similarity) == ((BA, NA, Mask), 0.5, kl)
    assert (hiclr.mining_from, hiclr.mining_k, hiclr.mining_branches) == (150, 1, 3)
    assert papers.HICLR_DSTA.optimizer.weight_decay == 5e-4
    for trial in (papers.HICO_GRU, papers.HICO_LSTM, papers.HICO_TRANSFORMER, papers.RELEASED["hico"]):
        assert (trial.epochs, trial.batch_size, trial.optimizer.lr, trial.optimizer.milestones) == (451, 64, 0.01, (351,))
        method = trial.method
        assert (method.tau, method.m, method.queue, method.dim) == (0.2, 0.999, 2048, 128)
    aimclr = papers.AIMCLR.method
    assert (aimclr.mining_from, aimclr.mining_k, aimclr.beta, aimclr.eadm) == (150, 1, 1.0, EADM("published"))


def test_hiclr_on_pku_mmd_as_its_code_ran():
    """methods.md, 5.4."""
    found = [
        (t.benchmark, t.epochs, t.optimizer.milestones, t.method.mining_from)
        for t in (papers.HICLR_PKU_MMD1, papers.HICLR_PKU_MMD2)
    ]
    assert found == [("pku_mmd1", 600, (500,), 300), ("pku_mmd2", 1500, (1250,), 750)]


def test_the_published_augmentations():
    """methods.md, 3.1 to 3.3."""
    assert BA.augmentations == (Crop(ratio=6), Shear(amplitude=0.5))
    flip, rotate, noise, blur, axis = NA.augmentations
    assert (flip, rotate) == (Flip(probability=0.5, mirror=False), Rotate(main=30, other=1))
    assert noise == Noise(std=0.01, probability=0.5, ghosts=False)
    assert blur == Blur(low=0.1, high=2.0, taps=15, probability=0.5, normalise=True)
    assert axis.probability == 0.5
    assert Mask.augmentations == (RandomMask(ratio=0.1, per_sample=False, ghosts=False),)


def test_what_was_released_differs_in_what_is_known():
    released = papers.RELEASED["hiclr"].method
    assert released.similarity is cross_entropy
    assert released.key_init == papers.RELEASED["skeletonclr"].method.key_init == "independent"
    _, _, noise, blur, _ = released.arrangement[1].augmentations
    assert released.arrangement[2].augmentations == (RandomMask(ghosts=True),)
    assert noise.ghosts
    assert not blur.normalise
    like_ours = replace(released, similarity=kl, key_init="copy", arrangement=papers.HICLR.method.arrangement)
    assert like_ours == papers.HICLR.method


def test_what_was_released_reports_the_best_epoch_on_the_test_split():
    """methods.md, 6.2 and 6.4: every fifth epoch, HiCo every one, HiCLR's shares of labels every third."""
    for name, trial in papers.RELEASED.items():
        near, last, best = trial.evaluations
        assert (near, best) == (KNN(), replace(last, selection="released", every=1 if name == "hico" else 5))
    assert papers.RELEASED["hico"].evaluations[1] == papers.HICO_TRANSFORMER.evaluations[1]
    assert papers.RELEASED["hiclr_dsta"].evaluations[1].milestones == (30, 80)
    assert {name: [e.every for e in found] for name, found in papers.RELEASED_TUNED.items()} == {
        "aimclr": [5, 5, 5], "hiclr": [5, 3, 3], "hiclr_dsta": [5, 3, 3],
    }  # fmt: skip
    finetune, one, ten = papers.RELEASED_TUNED["hiclr"]
    assert [e.name for e in (finetune, one, ten)] == [f"{e} (best on test)" for e in ("finetune", "semi 1%", "semi 10%")]
    assert replace(finetune, selection="last") == papers.HICLR_FINETUNE


def test_settings_of_studies_have_a_form_too():
    for value in (Scale(changes=(("lr", 0.1),)), ASHA(), TPE()):
        assert json.dumps(canonical(value))


def test_a_trial_cannot_be_written_to():
    with pytest.raises(AttributeError):
        TRIAL.seed = 3
    assert isinstance(hash(TRIAL), int)
    assert isinstance(TRIAL, Trial)


def scaled(factor, power=2):
    """A similarity made by a function, as a study file may."""

    def similarity(weak, strong):
        return factor * kl(weak, strong) ** power

    return similarity


def test_functions_of_one_source_are_told_apart_by_what_they_hold():
    one, other = canonical(scaled(1.0)), canonical(scaled(9.0))
    assert one != other
    assert one == canonical(scaled(1.0))
    assert canonical(scaled(1.0, power=3)) != one


def test_a_lambda_is_refused_because_nothing_tells_it_apart():
    with pytest.raises(ValueError, match="write it as a function"):
        canonical(lambda a, b: kl(a, b))


def test_an_evaluation_given_twice_is_refused_and_settings_are_in_the_name():
    assert [KNN().name, KNN(k=20).name, KNN(k=200, temperature=0.1).name] == ["knn", "knn k=20", "knn k=200 tau=0.1"]
    replace(TRIAL, evaluations=(KNN(), KNN(k=20), Linear()))
    with pytest.raises(ValueError, match="two evaluations are called 'linear'"):
        replace(TRIAL, evaluations=(Linear(), Linear()))
    replace(TRIAL, evaluations=(Linear(), Linear(lr=1.0)))


@pytest.mark.parametrize(("stream", "said"), [("joint+sound", "'sound' is none of"), ("joint+joint", "twice")])
def test_streams_side_by_side_are_named_once_each(stream, said):
    assert replace(TRIAL, stream="joint+bone").stream == "joint+bone"
    with pytest.raises(ValueError, match=said):
        replace(TRIAL, stream=stream)
