"""What a study has cost, by hand."""

import pandas as pd
import pytest
from result_rows import frame, row

from skelray.results.costs import costs
from skelray.results.schema import CURVES_FIELDS

HOUR = 3600


def curves(**epochs):
    lines = [
        {"trial": trial, "epoch": epoch, "metric": metric, "value": 1.0, "seconds": HOUR}
        for trial, count in epochs.items()
        for epoch in range(1, count + 1)
        for metric in ("loss", "held_out_top1")
    ]
    return pd.DataFrame(lines, columns=list(CURVES_FIELDS))


def test_hours_are_counted_once_and_points_cost_what_their_arm_did():
    rows = [
        row(trial="t1", arm="a", value=0.50, seconds=HOUR, epochs=3, epoch=3, device="cpu, 1 thread"),
        row(trial="t2", arm="b", value=0.54, seconds=HOUR, epochs=3, epoch=3, device="cuda, H200"),
        row(trial="t1", arm="same as a", value=0.50, seconds=HOUR, epochs=3, epoch=3, device="cpu, 1 thread"),
    ]
    found = costs(frame(rows), curves(t1=3, t2=3, other=9))
    assert (found.training, found.evaluation) == (pytest.approx(6), pytest.approx(2))
    assert found.devices == {"cpu": pytest.approx(4), "cuda": pytest.approx(4)}
    assert found.shared == 3
    assert found.per_point == {"b": pytest.approx(1)}
    assert "3 epochs saved by trials that arms share" in found.sentence()
    assert "saved by stopping" not in found.sentence()


def test_a_shorter_trial_of_the_same_encoder_saves_nothing():
    rows = [row(trial="t1", arm="trained", epochs=3, epoch=3), row(trial="t1", arm="untrained", epochs=0, epoch=0)]
    assert costs(frame(rows), curves(t1=3)).shared == 0


def test_what_was_stopped_saved_its_other_epochs():
    shared = {"metric": "held_out_top1", "evaluation": "knn", "epochs": 300}
    rows = [
        row(trial="t1", arm="s0", epoch=300, **shared),
        row(trial="t2", arm="s1", epoch=25, status="stopped", **shared),
    ]
    found = costs(frame(rows), curves(t1=2, t2=1))
    assert found.stopped == 275
    assert found.per_point == {}
