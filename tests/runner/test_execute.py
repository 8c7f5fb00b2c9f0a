"""A trial against a store: trained once, resumed after a kill at any write, and never at another trial's expense."""

import pickle
from dataclasses import dataclass, replace
from unittest.mock import ANY

import pytest
import torch
from mortal import Killed, Mortal
from tiny import MOCO, TRIAL, dataset, same_state, splits

from skelray.augment import Mask
from skelray.evaluation import (
    KNN,
    Clustering,
    Finetune,
    Linear,
    Retrieval,
    SemiSupervised,
    Supervised,
    Transfer,
    top_k_accuracy,
)
from skelray.identity.canonical import canonical
from skelray.methods import HiCLR, SkeletonCLR
from skelray.runner.execute import EvaluationsFailed, describe_failure, execute, pin_targets
from skelray.store.store import Store, evaluated
from skelray.training import HELD_OUT, Diverged, Pretraining
from skelray.trial import Monitor

CPU = torch.device("cpu")
LINEAR = Linear(epochs=3, milestones=(2,))
HICLR = replace(TRIAL, method=HiCLR(**MOCO), batch_size=18, evaluations=(KNN(), LINEAR))  # one step an epoch
TUNED = Finetune(epochs=1, batch_size=8)
ALL = (
    *(KNN(k=3, metric="euclidean"), KNN(layer="projector"), LINEAR, Linear(epochs=2, selection="released")),
    *(Retrieval(), Clustering(), TUNED, SemiSupervised(epochs=1, batch_size=8), Supervised(epochs=1, batch_size=8)),
)
MONITORED = replace(HICLR, monitor=Monitor(KNN(), every=2))


def stored(store, trial):
    return store.trial(trial.id("tiny0"))


def run(trial, store, stop_after=None):
    """The reports of a trial, up to an epoch at which it is stopped from outside."""
    reports, running = [], execute(trial, splits(), stored(store, trial), CPU)
    for report in running:
        reports.append(report)
        if report.epoch == stop_after and not report.replayed:
            running.close()
    return reports


def trained(reports):
    return [report.epoch for report in reports if not report.replayed]


def outcome(trial, store):
    """Encoder, curves, figures and scores, without the moments at which they were made."""
    kept = stored(store, trial)
    encoder = kept.encoder(trial.epochs)
    return {
        "model": encoder["model"],
        "history": [[epoch, metrics] for epoch, metrics, _ in encoder["history"]],
        "metrics": [kept.result(trial.epochs, canonical(e))["metrics"] for e in trial.evaluations],
        "scores": [kept.scores(trial.epochs, canonical(e))["scores"].tolist() for e in trial.evaluations],
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture(scope="module", params=[HICLR, MONITORED], ids=["plain", "monitored"])
def undisturbed(request, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    run(request.param, store)
    return request.param, outcome(request.param, store)


def test_a_trial_ends_with_an_encoder_curves_and_figures(store):
    reports = run(MONITORED, store)
    assert trained(reports) == [1, 2, 3, 4]
    pretraining = Pretraining(MONITORED, splits(), CPU)
    for report in reports:
        assert pretraining.train_epoch().metrics == report.metrics
    found = outcome(MONITORED, store)
    assert same_state(found["model"], pretraining.model.query.state_dict())
    assert found["history"] == [[r.epoch, r.metrics] for r in reports]
    data, kept = splits(), stored(store, MONITORED)
    for evaluation in MONITORED.evaluations:
        scores = evaluation(pretraining.frozen_encoder(), data.train, data.test)
        arrays = kept.scores(4, canonical(evaluation))
        assert arrays["scores"].tolist() == scores.tolist()
        assert arrays["labels"].tolist() == data.test.labels.tolist()
        assert arrays["rows"].tolist() == data.test.rows.tolist()
        result = kept.result(4, canonical(evaluation))
        labels = torch.from_numpy(data.test.labels.copy())
        assert result["evaluation"] == evaluation.name
        assert result["metrics"] == {"top1": top_k_accuracy(scores, labels), "top5": top_k_accuracy(scores, labels, 5)}
    assert store.read_json(f"{kept.id}/spec.json") == {"trial": canonical(MONITORED), "data": "tiny0"}


def test_a_second_run_reads_back_and_trains_nothing(store):
    first = run(MONITORED, store)
    id = stored(store, MONITORED).id
    before = {
        name: store.read(f"{id}/{name}") for name in store.names(id) if not name.startswith(".lock")
    }  # says since when
    second = run(MONITORED, store)
    assert trained(second) == []
    assert second == first  # seconds too
    assert before == {name: store.read(f"{id}/{name}") for name in before}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_write_it_ends_the_same(undisturbed, tmp_path, after):
    trial, expected = undisturbed
    for at in range(1, 20):
        root = tmp_path / str(at)
        try:
            run(trial, Mortal(root, at, after))
        except Killed:
            run(trial, Store(root))
            assert same_state(outcome(trial, Store(root)), expected), at
        else:
            break
    assert at > 6
    assert same_state(outcome(trial, Store(root)), expected)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_stopped_from_outside_it_goes_on(undisturbed, store, epoch):
    trial, expected = undisturbed
    run(trial, store, stop_after=epoch)
    later = run(trial, store)
    assert [report.epoch for report in later] == [1, 2, 3, 4]
    if trial.monitor and epoch % 2 == 0:  # a reading is never lost
        assert trained(later) == list(range(epoch + 1, 5))
    assert same_state(outcome(trial, store), expected)


def test_an_added_evaluation_is_all_that_runs(store):
    run(replace(HICLR, evaluations=(KNN(),)), store)
    kept = stored(store, HICLR)
    before = kept.result(4, canonical(KNN()))
    assert trained(run(HICLR, store)) == []
    assert kept.result(4, canonical(KNN())) == before
    assert kept.result(4, canonical(LINEAR)) is not None


def test_evaluations_of_a_finished_study_train_no_encoder_again(store, monkeypatch):
    """Whatever they are: no epoch of pretraining is run, and figures there already stay."""
    run(replace(HICLR, evaluations=(KNN(),)), store)
    before = store.read(f"{stored(store, HICLR).id}/encoder-4.pt")

    def never(self):
        raise AssertionError("an encoder is trained again")

    monkeypatch.setattr(Pretraining, "train_epoch", never)
    for count in range(1, len(ALL) + 1):
        more = replace(HICLR, evaluations=(KNN(), *ALL[:count]))
        assert trained(run(more, store)) == []
        assert stored(store, more).result(4, canonical(ALL[count - 1]))["evaluation"] == ALL[count - 1].name
    assert store.read(f"{stored(store, HICLR).id}/encoder-4.pt") == before


@pytest.mark.parametrize("kept_with", ["encoder", "state"])
def test_a_learned_mask_is_stored_for_evaluations_that_are_added(store, tmp_path, kept_with):
    """kept_with: encoders from before have none of their own, and the training state beside them has."""
    tuned = replace(HICLR, evaluations=(replace(TUNED, augmentation=Mask),))
    run(replace(tuned, evaluations=()), store)
    kept = stored(store, tuned)
    if kept_with == "state":
        encoder = kept.encoder(4)
        assert encoder.pop("masks")["joint"] != 0
        kept.save_encoder(4, encoder)
    assert trained(run(tuned, store)) == []
    at_once = Store(tmp_path / "at once")
    run(tuned, at_once)
    assert outcome(tuned, store) == {**outcome(tuned, at_once), "model": ANY}


def test_evaluations_do_not_depend_on_one_another_or_their_order(store, tmp_path):
    both = [replace(HICLR, evaluations=order) for order in (ALL, ALL[::-1])]
    stores = [store, Store(tmp_path / "other")]
    for trial, place in zip(both, stores, strict=True):
        run(trial, place)
    for evaluation in ALL:
        one, other = (stored(place, HICLR).scores(4, canonical(evaluation)) for place in stores)
        assert same_state({k: v.tolist() for k, v in one.items()}, {k: v.tolist() for k, v in other.items()})


def test_what_classifies_nothing_stores_no_scores_but_its_picture(store):
    trial = replace(HICLR, evaluations=(Clustering(), Retrieval()))
    run(trial, store)
    kept = stored(store, trial)
    arrays, result = kept.scores(4, canonical(Clustering())), kept.result(4, canonical(Clustering()))
    assert set(arrays) == {"places", "clusters", "place_labels", "place_rows"}
    assert set(result["metrics"]) == {"nmi"}
    assert result["files"] == ["png"]
    assert kept.picture(4, canonical(Clustering()), "png").startswith(b"\x89PNG")
    found = kept.result(4, canonical(Retrieval()))
    assert set(found["metrics"]) == {"top1", "top5", "map"}
    assert set(kept.scores(4, canonical(Retrieval()))) == {"scores", "labels", "rows", "subjects"}


def test_a_transfer_is_stored_by_the_data_of_its_target(store):
    trial = replace(HICLR, evaluations=(Transfer("other", "xview", KNN()),))
    targets = {seed: splits(dataset(samples=48, classes=4, seed=seed)) for seed in (5, 6)}
    for seed, target in targets.items():
        list(execute(trial, splits(), stored(store, trial), CPU, lambda *asked, target=target: target))
        found = pin_targets(trial, splits(), lambda *asked, target=target: target).evaluations[0]
        assert found.data == f"tiny{seed}"
        arrays = stored(store, trial).scores(4, canonical(found))
        assert arrays["labels"].tolist() == target.test.labels.tolist()
        assert arrays["rows"].tolist() == target.test.rows.tolist()
        assert arrays["scores"].shape == (len(target.test), 4)
        assert stored(store, trial).result(4, canonical(found))["test"] == {"benchmark": "tiny", "data": f"tiny{seed}"}
    assert stored(store, trial).result(4, canonical(trial.evaluations[0])) is None  # of no data in particular
    assert pin_targets(HICLR, splits(), None) is HICLR


def test_a_longer_trial_goes_on_where_a_shorter_one_ended(store, tmp_path):
    long = replace(HICLR, epochs=6)
    run(HICLR, store)
    short = outcome(HICLR, store)
    assert trained(run(long, store)) == [5, 6]
    assert same_state(outcome(HICLR, store), short)
    alone = Store(tmp_path / "alone")
    run(long, alone)
    assert same_state(outcome(long, store), outcome(long, alone))


@pytest.mark.parametrize("trial", [HICLR, MONITORED], ids=["plain", "monitored"])
def test_a_shorter_trial_leaves_the_state_of_a_longer_one_alone(store, trial):
    long = replace(trial, epochs=6)
    run(long, store)
    state = stored(store, long).state()
    assert state["epoch"] == 6
    assert trained(run(replace(trial, epochs=4), store)) == [1, 2, 3, 4]
    assert stored(store, long).state()["epoch"] == 6
    assert trained(run(replace(trial, epochs=7), store)) == [7]


def test_an_untrained_encoder_is_a_trial_of_no_epochs(store):
    untrained = replace(HICLR, epochs=0)
    assert run(untrained, store) == []
    expected = Pretraining(HICLR, splits(), CPU).model.query.state_dict()
    assert same_state(outcome(untrained, store)["model"], expected)
    assert trained(run(HICLR, store)) == [1, 2, 3, 4]
    assert same_state(outcome(untrained, store)["model"], expected)


def test_damage_to_the_checkpoint_costs_epochs_and_no_more(undisturbed, store):
    trial, expected = undisturbed
    run(trial, store, stop_after=3)
    kept = stored(store, trial)
    store.write(f"{kept.id}/checkpoint.pt", store.read(f"{kept.id}/checkpoint.pt")[:-100])
    assert trained(run(trial, store)) == [1, 2, 3, 4]
    assert same_state(outcome(trial, store), expected)


def test_damage_to_the_encoder_is_made_good_from_the_checkpoint(store):
    run(replace(HICLR, evaluations=(KNN(),)), store)
    expected = stored(store, HICLR).encoder(4)
    store.write(f"{stored(store, HICLR).id}/encoder-4.pt", b"rubbish")
    run(HICLR, store)
    assert same_state(stored(store, HICLR).encoder(4), expected)


def test_a_failure_that_was_overcome_is_forgotten(store):
    kept = stored(store, HICLR)
    kept.save_failure(5, {"cause": "diverged"})  # of a longer trial: not this one's to forget
    kept.save_failure(4, {"cause": "input or output"})
    run(HICLR, store)
    assert kept.failure(4) is None
    assert kept.failure(5)["cause"] == "diverged"


@dataclass(frozen=True)
class NotANumber:
    name: str = "broken"

    def __call__(self, encoder, train, test):
        return torch.full((len(test), 3), float("nan"))


def test_scores_that_are_no_numbers_are_a_failure_and_not_a_figure(store):
    trial = replace(HICLR, evaluations=(KNN(), NotANumber()))
    with pytest.raises(EvaluationsFailed, match="broken") as caught:
        run(trial, store)
    found = describe_failure(caught.value)
    assert (found["cause"], found["transient"]) == ("diverged", False)
    assert found["line"] == "broken: broken has scores that are not numbers"
    assert "in measure" in found["traceback"]
    kept = stored(store, trial)
    assert kept.has_encoder(4)
    assert kept.result(4, canonical(KNN())) is not None
    assert kept.result(4, canonical(NotANumber())) is None


def test_an_evaluation_that_fails_costs_itself_alone(store):
    other = replace(NotANumber(), name="also broken")
    trial = replace(HICLR, evaluations=(NotANumber(), KNN(), other, Clustering(), LINEAR))
    for _ in range(2):  # and again at the next run
        with pytest.raises(EvaluationsFailed) as caught:
            run(trial, store)
    found, kept = describe_failure(pickle.loads(pickle.dumps(caught.value))), stored(store, trial)
    assert found["line"].endswith("(and 1 more)")
    assert set(found["evaluations"]) == {evaluated(4, canonical(e)) for e in (NotANumber(), other)}
    for evaluation in (KNN(), Clustering(), LINEAR):
        assert kept.result(4, canonical(evaluation))["evaluation"] == evaluation.name
    kept.save_failure(4, found)
    assert kept.failure_of(4, canonical(KNN())) is None
    assert "also broken has scores" in kept.failure_of(4, canonical(other))["line"]
    assert kept.failure_of(4, canonical(other))["time"] > 0
    kept.save_failure(4, describe_failure(MemoryError()))  # of the whole trial
    assert kept.failure_of(4, canonical(KNN()))["cause"] == "out of memory"
    run(replace(trial, evaluations=(KNN(), LINEAR)), store)
    assert kept.failure_of(4, canonical(other)) is None


def test_a_monitor_of_what_classifies_nothing_says_so(store):
    with pytest.raises(ValueError, match="a monitor reads top-1, and clustering classifies nothing"):
        run(replace(HICLR, monitor=Monitor(Clustering(classes=2), every=2)), store)


def test_the_monitor_reads_the_same_after_a_replay(store):
    first = [r.metrics[HELD_OUT] for r in run(MONITORED, store) if HELD_OUT in r.metrics]
    assert len(first) == 2
    assert [r.metrics[HELD_OUT] for r in run(MONITORED, store) if HELD_OUT in r.metrics] == first


@pytest.mark.parametrize(
    ("error", "cause", "transient"),
    [
        (Diverged("the loss is nan in epoch 3"), "diverged", False),
        (MemoryError(), "out of memory", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory", True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory", True),
        (OSError("disk"), "input or output", True),
        (KeyError("mine"), "error", False),
        (ValueError("first line\nsecond line"), "error", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_names_its_cause_and_one_line(error, cause, transient):
    try:
        raise error
    except Exception as raised:
        found = describe_failure(raised)
    assert (found["cause"], found["transient"]) == (cause, transient)
    assert found["line"]
    assert "\n" not in found["line"]
    assert "test_execute.py" in found["traceback"]


@dataclass(frozen=True, kw_only=True)
class EndsInNothing(SkeletonCLR):
    """The loss of its second epoch is a number, the gradient is not."""

    def loss(self, model, views, epoch):
        step = super().loss(model, views, epoch)
        if epoch == 2:
            step.loss = step.loss + (next(model.query.parameters()) * 0).sqrt().sum()
        return step


def test_weights_that_are_no_numbers_are_a_failure_though_the_loss_was_one(store):
    trial = replace(HICLR, method=EndsInNothing(**MOCO), epochs=2)
    with pytest.raises(Diverged, match="weights are not numbers after epoch 2"):
        run(trial, store)
    assert stored(store, trial).state()["epoch"] == 1
    assert stored(store, trial).encoder(2) is None
