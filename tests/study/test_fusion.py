"""The search for fusion weights: exact, decided by its content, blind to the test split, and the same after a kill."""

import itertools
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example as example_of
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import frame as result_frame
from result_rows import seeds
from small_study import TINY, Heard, assert_same, inline, make_run, study_file, table
from stored_streams import STREAMS, evaluate, keep, scores
from tiny import MOCO, TRIAL, splits

from skelray.ensemble import Ensemble
from skelray.evaluation import KNN, Finetune, HeldOut, Linear, top_k_accuracy, train_and_test
from skelray.identity.canonical import canonical
from skelray.methods import SkeletonCLR
from skelray.report import text as report
from skelray.results import tables as results
from skelray.results.verdicts import verdicts_of_frame
from skelray.runner.execute import execute
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan
from skelray.search.fusion_weights import HeldOutScores, chosen_ensemble, example_weights, search_weights
from skelray.store.store import Store, evaluated
from skelray.study.fusion import CHOSEN, PUBLISHED, Fusion, Random
from skelray.study.scale import Scale
from skelray.training import Pretraining

WEIGHTS = {"joint": 0.6, "bone": 0.6, "motion": 0.4}


def space(trial):
    return {stream: trial.suggest_float(stream, 0.0, 1.0, step=0.01) for stream in STREAMS}


FUSION = Fusion(base=TRIAL, space=space, published=WEIGHTS, samples=60, figures={"xsub": 80.0})
TEST, HELD_OUT = (evaluated(TRIAL.epochs, canonical(e)) for e in (Linear(), HeldOut(Linear())))


def streams(seed, votes=False, **shape):
    found = {stream: scores([seed, place], **shape) for place, stream in enumerate(STREAMS)}
    for arrays in found.values() if votes else ():
        arrays["scores"] = np.eye(5, dtype=np.float32)[arrays["scores"].argmax(1)]
    return found


def plainly(streams, weights):
    """Top-1 the long way."""
    fused = Ensemble(weights).fuse(streams)
    return top_k_accuracy(torch.from_numpy(fused["scores"]), torch.from_numpy(fused["labels"]))


# A point of the search


points = st.sampled_from([4, 10, 100]).flatmap(
    lambda train_and_test: st.tuples(*[st.integers(0, train_and_test).map(lambda n: n / train_and_test)] * 3)
)


@given(points.filter(any), st.integers(0, 200), st.booleans(), st.sampled_from([0.0, 1.5, 9.0]))
@example_of((0.1, 0.2, 0.3), 0, True, 0.0)
@example_of((0.07, 0.22, 0.29), 0, True, 0.0)
@settings(deadline=None, max_examples=200)
def test_a_point_is_judged_exactly_ties_and_all(weights, seed, votes, skill):
    found = streams(seed, votes, skill=skill)
    (value,) = HeldOutScores(found).top1(np.array([weights]))
    assert value == plainly(found, dict(zip(STREAMS, weights, strict=True)))


def test_weights_of_0_alone_are_right_about_nothing():
    assert HeldOutScores(streams(0)).top1(np.zeros((2, 3))).tolist() == [0.0, 0.0]


def test_the_first_of_the_best_points_is_chosen():
    """Against every point that the sampler gives, looked at the long way."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = streams(3)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [WEIGHTS] + [space(study.ask()) for _ in range(FUSION.samples - 1)]
    values = [plainly(found, point) for point in points]
    assert len(set(values)) > 3
    assert search_weights(FUSION, found) == (points[int(np.argmax(values))], max(values))


def test_points_are_judged_alike_in_parts_and_together(monkeypatch):
    held_out, points = HeldOutScores(streams(3)), np.random.default_rng(0).random((40, 3)).round(2)
    whole = held_out.top1(points)
    monkeypatch.setattr("skelray.search.fusion_weights.MOST_LEADS", 7 * held_out.leads.shape[1])
    assert held_out.top1(points).tolist() == whole.tolist()
    assert [held_out.top1(point[None])[0] for point in points] == whole.tolist()
    assert len(set(whole)) > 3


def test_the_published_weights_stay_where_nothing_is_better():
    perfect = {
        stream: {**arrays, "scores": np.eye(5, dtype=np.float32)[arrays["labels"]]} for stream, arrays in streams(0).items()
    }
    assert search_weights(FUSION, perfect) == (WEIGHTS, 1.0)
    assert search_weights(replace(FUSION, samples=1), streams(3)) == (WEIGHTS, plainly(streams(3), WEIGHTS))


def test_seed_and_number_of_points_decide_the_search():
    found = streams(5)
    values = {n: search_weights(replace(FUSION, samples=n), found)[1] for n in (1, 20, 60, 300)}
    assert list(values.values()) == sorted(values.values())
    assert search_weights(FUSION, found) == search_weights(FUSION, found)
    assert search_weights(FUSION, found)[0] != search_weights(replace(FUSION, sampler=Random(seed=1)), found)[0]


# A study


def test_the_test_split_is_not_for_searching():
    fusion = replace(FUSION, across={"protocol": ["xsub", "xview"]}, seeds=range(2))
    cells = fusion.cells()
    assert len(cells) == 2 * 2 * 3
    assert {cell.trial.evaluations for cell in cells} == {(HeldOut(Linear()),)}
    assert {cell.trial.stream for cell in cells} == set(STREAMS)
    fused = fusion.fused()
    assert {(one.arm, one.trial.protocol, one.published.get("linear")) for one in fused} == {
        (PUBLISHED, "xsub", 0.8), (PUBLISHED, "xview", None)
    }  # fmt: skip
    assert {one.trial.evaluations for one in fused} == {(HeldOut(Linear()), Linear())}
    assert [c.trial.id("d") for c in cells] == [c.trial.id("d") for one in fused for c in one.members.values()]
    assert not any(one.published for one in fusion.fused(Scale(epochs=2)))
    assert fusion.at_scale(Scale(samples=7)).samples == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"samples": 0}, "samples 0"),
        ({"space": partial(space)}, r"space functools.partial\(.*\) is no function: write it with def"),
        ({"across": {"stream": ["joint"]}}, "leave stream out of across"),
        ({"evaluation": HeldOut(Linear())}, "give it without HeldOut"),
        ({"evaluation": Linear(selection="released")}, r"linear \(best on test\) chooses by the labels it is scored on"),
        ({"published": {"joint": -1.0}}, "weight -1.0 of stream 'joint'"),
        ({"figures": {"xsub": 804}}, "published xsub 804"),
    ],
)
def test_what_is_no_fusion_is_said(changes, said):
    with pytest.raises(ValueError, match=said):
        replace(FUSION, **changes)


@pytest.mark.parametrize(
    ("found", "said"),
    [(None, r"space\(\) returns None, not a weight for each of joint, bone, motion"),
     ({"joint": 1.0}, "not a weight for each of"),
     ({"joint": 1.0, "bone": -0.5, "motion": 0.0}, "gives 'bone' the weight -0.5")],
)  # fmt: skip
def test_a_space_that_gives_no_weights_is_said(found, said):
    def wrong(trial):
        return found

    with pytest.raises(ValueError, match=said):
        example_weights(replace(FUSION, space=wrong))


# No leak


class Spy(Store):
    """A store that remembers what was read from it."""

    def __init__(self, root):
        super().__init__(root)
        self.opened = []

    def read(self, name):
        self.opened.append(name)
        return super().read(name)


def filled(store, poison=0):
    """The one ensemble of FUSION, whose streams have held-out and test scores."""
    (one,) = FUSION.fused()
    for place, cell in enumerate(one.members.values()):
        evaluate(store, cell)
        keep(store, cell.trial, Linear(), scores([99, poison, place]))
    return one


def test_weights_are_chosen_before_any_test_score_is_opened(tmp_path):
    filled(Store(tmp_path))
    spy = Spy(tmp_path)
    (one,) = FUSION.fused()
    assert chosen_ensemble(FUSION, one, spy, "d", look=False) is None
    found = chosen_ensemble(FUSION, one, spy, "d")
    assert found is not None
    assert any(HELD_OUT in name for name in spy.opened)
    assert not any(TEST in name for name in spy.opened)


def test_poisoned_test_scores_change_nothing(tmp_path):
    found = []
    for poison in (0, 1):
        store = Store(tmp_path / str(poison))
        found.append(chosen_ensemble(FUSION, filled(store, poison), store, "d"))
    assert found[0] == found[1]
    assert found[0].weights != WEIGHTS


def test_held_out_scores_are_those_of_the_scale(tmp_path):
    """A demonstration's are of a shorter evaluation."""
    fusion, store, scale = replace(FUSION, evaluation=Finetune()), Store(tmp_path), Scale(small=True)
    (one,) = fusion.fused(scale)
    assert one.trial.evaluations == (HeldOut(Finetune().small()), Finetune().small())
    for cell in one.members.values():
        evaluate(store, cell)
    assert chosen_ensemble(fusion, one, store, "d") is not None


def test_weights_are_compared_on_the_test_split_alone():
    """On the subjects that they were chosen on they are no worse by construction."""
    arms = {PUBLISHED: (0.5, 0.51), CHOSEN: (0.6, 0.62)}
    made = [seeds(*arms[arm], arm=arm, evaluation=name) for arm in arms for name in ("linear held-out", "linear")]
    rows = result_frame([row for own in made for row in own])
    rows.attrs["notes"] = FUSION.notes().as_json()
    assert verdicts_of_frame(rows)["evaluation"].tolist() == ["linear"]


def test_a_choice_is_recorded_and_not_made_twice(tmp_path, monkeypatch):
    store = Store(tmp_path)
    one = filled(store)
    found = chosen_ensemble(FUSION, one, store, "d")
    monkeypatch.setattr("skelray.search.fusion_weights.search_weights", None)
    assert chosen_ensemble(FUSION, one, store, "d") == chosen_ensemble(FUSION, one, store, "d", look=False) == found
    (file,) = store.names("fusions")
    record = store.read_json(f"fusions/{file}")
    assert (record["weights"], record["points"]) == (dict(found.weights), 60)
    assert len(store.read(f"fusions/{file}")) < 2000
    for other in (replace(FUSION, samples=61), replace(FUSION, sampler=Random(1)), replace(FUSION, space=other_space)):
        assert chosen_ensemble(other, one, store, "d", look=False) is None


@pytest.mark.parametrize("content", [b"", b'{"weig', b"[]", b'{"weights": {"joint": 1.0}}', b'{"weights": {"joint": "x"}}'])
def test_a_damaged_choice_is_made_again(tmp_path, caplog, content):
    store = Store(tmp_path)
    one = filled(store)
    found = chosen_ensemble(FUSION, one, store, "d")
    (file,) = store.names("fusions")
    store.write(f"fusions/{file}", content)
    assert chosen_ensemble(FUSION, one, store, "d") == found
    assert store.read(f"fusions/{file}.damaged") == content
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("error", [StopIteration, SystemExit, GeneratorExit], ids=lambda e: e.__name__)
def test_a_space_of_weights_that_would_end_the_program_is_an_error(error):
    def ending(trial):
        raise error

    with pytest.raises(RuntimeError, match=rf"{error.__name__} was raised in .*test_fusion.py, line \d+"):
        example_weights(replace(FUSION, space=ending))


def other_space(trial):
    return space(trial)


def test_no_choice_without_all_streams_or_of_other_samples(tmp_path):
    store = Store(tmp_path)
    (one,) = FUSION.fused()
    for cell in list(one.members.values())[:2]:
        evaluate(store, cell)
    assert chosen_ensemble(FUSION, one, store, "d") is None
    keep(store, one.members["motion"].trial, HeldOut(Linear()), {**scores(0), "rows": np.arange(40)})
    assert chosen_ensemble(FUSION, one, store, "d") is None


def test_held_out_learns_from_the_reduced_set_and_is_scored_on_the_rest(tmp_path):
    data = splits()
    trial = replace(TRIAL, epochs=1, method=SkeletonCLR(**MOCO), evaluations=(HeldOut(KNN()), KNN()))
    stored = Store(tmp_path).trial(trial.id("tiny0"))
    list(execute(trial, data, stored, torch.device("cpu")))
    pretraining = Pretraining(trial, data, torch.device("cpu"))
    pretraining.train_epoch()
    held_out, test = (stored.scores(1, canonical(evaluation)) for evaluation in trial.evaluations)
    assert held_out["rows"].tolist() == data.held_out.rows.tolist()
    assert held_out["labels"].tolist() == data.held_out.labels.tolist()
    assert test["rows"].tolist() == data.test.rows.tolist()
    expected = KNN()(pretraining.frozen_encoder(), data.reduced, data.held_out)
    assert held_out["scores"].tolist() == expected.tolist()
    assert not set(data.reduced.rows) & set(data.held_out.rows)
    assert [part.rows.tolist() for part in train_and_test(Linear(), data)] == [
        data.train.rows.tolist(),
        data.test.rows.tolist(),
    ]


# Run whole


BODY = """
    from skelray import Fusion
    def space(trial):
        return {stream: trial.suggest_float(stream, 0.0, 1.0, step=0.01) for stream in ("joint", "bone", "motion")}
    study = Fusion(base=base, space=space, published={"joint": 0.6, "bone": 0.6, "motion": 0.4},
                   evaluation=Linear(epochs=20, milestones=(15,)), samples=200)
"""
STREAMS_BODY = """
    study = Ablation(base=replace(base, evaluations=(KNN(), Linear(epochs=20, milestones=(15,)))), arms=[Arm("a")],
                     across={"stream": ["joint", "bone", "motion"]}, ensemble=papers.HICLR_FUSION)
"""
STEPS = tuple({**dict(TINY), "batch_size": 16}.items())  # as many as it takes for weights to matter
SMALL = {"epochs": 1, "samples": None, "changes": STEPS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, synthetic_data):
    folder = tmp_path_factory.mktemp("fusion")
    path = study_file(folder, BODY)
    return inline(path, folder, synthetic_data, **SMALL), folder, path


def test_a_study_reports_published_and_chosen_weights_held_out_and_test(undisturbed):
    frame, folder, _ = undisturbed
    assert list(dict.fromkeys(frame["arm"])) == [PUBLISHED, CHOSEN]
    assert set(frame["stream"]) == {"joint+bone+motion"}
    assert set(frame["status"]) == {"done"}
    tops = frame[frame["metric"] == "top1"].set_index(["arm", "evaluation"])["value"]
    assert len(tops) == 4
    assert tops[CHOSEN, "linear held-out"] >= tops[PUBLISHED, "linear held-out"]
    (record,) = (json.loads(path.read_text()) for path in (folder / "store" / "fusions").glob("*.json"))
    assert record["held_out_top1"] == pytest.approx(tops[CHOSEN, "linear held-out"])
    assert json.loads(frame[frame["arm"] == CHOSEN]["cell"].iloc[0])["weights"] == record["weights"]
    shown = report.report_text(results.load("small", folder / "results"))
    assert "| published weights | " in shown
    assert "Weights, and top-1 in percent." in shown
    assert len(results.curves("small", folder / "results")["trial"].unique()) == 3


def test_the_plan_names_searches_and_what_follows_them(undisturbed, tmp_path, synthetic_data):
    """Before anything ran, and of a run that was killed before the weights were chosen."""
    _, folder, path = undisturbed
    run, _ = make_run(path, tmp_path, synthetic_data, **SMALL)
    before = make_plan(run)
    assert (before.missing, before.evaluations, before.searches, before.untrained) == (3, 6, 1, 3)
    assert {row["evaluations"] for row in before.rows} == {"linear held-out, linear"}
    assert "1 search of 200 points to run" in before.text()
    shutil.copytree(folder / "store", tmp_path / "store", dirs_exist_ok=True)
    assert (make_plan(run).missing, make_plan(run).evaluations, make_plan(run).searches) == (0, 0, 0)
    test = {evaluated(c.trial.epochs, canonical(c.trial.evaluations[1])) for c in run.study.as_ablation().cells(run.scale)}
    for file in (tmp_path / "store").glob("*/*.json"):
        if file.stem in test or file.stem.startswith("record-") or file.parent.name == "fusions":
            file.unlink()
    killed = make_plan(run)
    assert (killed.missing, killed.evaluations, killed.searches, killed.epochs) == (3, 3, 1, 0)
    assert {row["evaluations"] for row in killed.rows} == {"linear"}
    assert "every encoder is there, so none is trained" in killed.text()


def test_a_second_run_and_the_streams_study_train_nothing(undisturbed, tmp_path, synthetic_data):
    frame, folder, path = undisturbed
    heard = Heard()
    run, _ = make_run(path, folder, synthetic_data, **SMALL)
    run_inline(run, heard)
    assert heard.trained == []
    assert_same(table(folder), frame)
    run, _ = make_run(study_file(tmp_path, STREAMS_BODY, "streams"), folder, synthetic_data, **SMALL)
    run_inline(run, heard)
    assert heard.trained == []
    streams = table(folder, "streams")
    same = (streams["stream"] == "joint+bone+motion") & (streams["evaluation"] == "linear") & (streams["metric"] == "top1")
    tops = frame[frame["metric"] == "top1"].set_index(["arm", "evaluation"])["value"]
    assert streams[same]["value"].tolist() == [tops[PUBLISHED, "linear"]]


class Killed(BaseException):
    pass


def test_killed_at_any_write_it_ends_with_the_same_table(undisturbed, tmp_path, synthetic_data, monkeypatch):
    frame, _, path = undisturbed
    write, kills = Store.write, 0
    for at, after in itertools.product(range(1, 40, 2), (False, True)):
        left = [at]

        def mortal(store, name, content, left=left, after=after):
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            write(store, name, content)
            if left[0] == 0:
                raise Killed

        monkeypatch.setattr(Store, "write", mortal)
        run, _ = make_run(path, tmp_path, synthetic_data, **SMALL)
        try:
            run_inline(run)
            break
        except Killed:
            kills += 1
    monkeypatch.setattr(Store, "write", write)
    assert kills >= 4
    assert_same(inline(path, tmp_path, synthetic_data, **SMALL).drop(columns="commit"), frame.drop(columns="commit"))


@pytest.mark.ray
def test_on_ray_the_rows_are_the_same(cluster, undisturbed, tmp_path, synthetic_data):
    frame, _, path = undisturbed
    run, module = make_run(path, tmp_path, synthetic_data, **SMALL)
    cluster.run_on_ray(run, module, Heard(), cluster.Cluster())
    assert_same(table(tmp_path).drop(columns="commit"), frame.drop(columns="commit"))


def test_a_failed_stream_fails_the_fusion(tmp_path, synthetic_data):
    path = study_file(tmp_path, BODY.replace("base=base", "base=replace(base, optimizer=replace(base.optimizer, lr=1e30))"))
    frame = inline(path, tmp_path, synthetic_data, **SMALL)
    assert frame["status"].tolist() == ["failed"]
    assert frame["error"].iloc[0].startswith("stream failed: joint, diverged")
    assert set(frame["evaluation"]) == {"linear held-out"}
