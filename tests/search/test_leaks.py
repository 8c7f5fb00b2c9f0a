"""What a search draws, reads and decides does not know the test split; a leak that is planted is found."""

from dataclasses import replace

import numpy as np
from small_study import SWEEP, inline, study_file

from skelray.evaluation import measure
from skelray.runner import context
from skelray.training import Pretraining

BODY = SWEEP.replace("return replace(base, method=method)", "return replace(base, method=method, evaluations=(KNN(),))")


def searched(folder, data, monkeypatch, labels):
    """(rows of the search, rows of the test split) where the test split has these labels instead of its own."""
    opened = context.open_splits.__wrapped__

    def splits(root, benchmark, protocol):
        found = opened(root, benchmark, protocol)
        samples = found.test.samples.assign(label=labels(found.test.labels))
        return replace(found, test=replace(found.test, samples=samples))

    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(context, "open_splits", splits)
        rows = inline(study_file(folder, BODY), folder, data, samples=4, epochs=2)
    held_out = rows["metric"] == "held_out_top1"
    told = ["cell", "epoch", "metric", "value", "status", "trial"]
    return rows.loc[held_out, told].to_dict("records"), rows.loc[~held_out & (rows["metric"] == "top1"), "value"].tolist()


def both(tmp_path, data, monkeypatch):
    """The same search beside a test split as it is, and beside one with other labels."""
    own = searched(tmp_path / "own", data, monkeypatch, lambda labels: labels)
    return own, searched(tmp_path / "other", data, monkeypatch, lambda labels: np.roll(labels, 1))


def test_a_search_is_the_same_whatever_the_test_split_is(tmp_path, synthetic_data, monkeypatch):
    (own, tested), (other, tested_otherwise) = both(tmp_path, synthetic_data, monkeypatch)
    assert len(own) >= 4
    assert own == other
    assert tested != tested_otherwise  # the labels were others


def test_a_planted_leak_is_found(tmp_path, synthetic_data, monkeypatch):
    def leaking(pretraining):
        """Reads the monitor on the test split."""
        frozen, evaluation = pretraining.frozen_encoder(), pretraining.trial.monitor.evaluation
        return measure(evaluation, frozen, pretraining.data, pretraining.splits.test).metrics["top1"]

    monkeypatch.setattr(Pretraining, "held_out_top1", leaking)
    (own, _), (other, _) = both(tmp_path, synthetic_data, monkeypatch)
    assert own != other
